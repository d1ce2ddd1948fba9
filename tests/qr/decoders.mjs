#!/usr/bin/env node
// What decoders that are not ours read from our images: zxing-cpp (as wasm, with its own PNG reader) and zbar (zbarimg,
// with ImageMagick's). Part of `scripts/soak qr`; the images are those of `qr/examples/images.rs`.
//   tests/qr/decoders.mjs --images N --seed S

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const MAKER = join(process.env.SCANVAULT_BINARIES ?? join(ROOT, "target/debug"), "examples/images");
const SHOWN = 10;

const text = { type: "string" };
const { values } = parseArgs({ options: { images: text, seed: text } });
const count = Number(values.images ?? 500);

const folder = mkdtempSync(join(tmpdir(), "scanvault-qr."));
try {
  execFileSync(MAKER, [folder, String(count), values.seed ?? "6"]);
  const samples = readFileSync(join(folder, "manifest"), "utf8").trim().split("\n").map((line) => {
    const [file, version, payload] = line.split(" ");
    return { file, version, payload: Buffer.from(payload, "hex").toString("latin1") };
  });
  if (samples.length !== count) throw new Error(`${samples.length} images instead of ${count}`);
  const failed = report("zxing-cpp", samples, await zxing(samples)) + (hasZbar() ? report("zbar", samples, zbar(samples)) : notChecked());
  process.exitCode = failed ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true });
}

/** For each image the payloads that were found in it. */
async function zxing(samples) {
  const wasmBinary = readFileSync(createRequire(import.meta.url).resolve("zxing-wasm/reader/zxing_reader.wasm"));
  prepareZXingModule({ overrides: { wasmBinary } });
  const found = [];
  for (const { file } of samples) {
    const symbols = await readBarcodes(readFileSync(join(folder, file)), { formats: ["QRCode"] });
    found.push(symbols.map(({ bytes }) => Buffer.from(bytes).toString("latin1")));
  }
  return found;
}

/** It comes from the system's packages: where it could not be installed, the other decoder is what there is. */
function hasZbar() {
  return !spawnSync("zbarimg", ["--version"]).error;
}

function notChecked() {
  console.log("NOT CHECKED: zbar (no zbarimg)");
  return 0;
}

function zbar(samples) {
  const byFile = new Map();
  const arguments_ = ["--quiet", "--xml", "-Sdisable", "-Sqrcode.enable"];
  for (let at = 0; at < samples.length; at += 500) {
    const files = samples.slice(at, at + 500).map(({ file }) => file);
    // It exits 4 when it finds nothing in one of them: that is seen below.
    const { stdout, status, error } = spawnSync("zbarimg", [...arguments_, ...files], {
      cwd: folder, encoding: "latin1", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"],
    });
    if (error || ![0, 4].includes(status)) throw error ?? new Error(`zbarimg: exit code ${status}`);
    for (const [, file, body] of stdout.matchAll(/<source href='([^']+)'>([\s\S]*?)<\/source>/g)) {
      const symbols = [...body.matchAll(/<data( format='base64' length='\d+')?><!\[CDATA\[([\s\S]*?)\]\]><\/data>/g)];
      // Base64 is what it writes when the payload would end the CDATA section.
      byFile.set(file, symbols.map(([, encoded, text]) => (encoded ? Buffer.from(text, "base64").toString("latin1") : text)));
    }
  }
  return samples.map(({ file }) => byFile.get(file) ?? []);
}

function report(name, samples, found) {
  const wrong = samples.filter(({ payload }, at) => found[at].length !== 1 || found[at][0] !== payload);
  for (const { file, version, payload } of wrong.slice(0, SHOWN)) {
    console.error(`${name}: ${file}, version ${version}: not read as ${JSON.stringify(payload)}`);
  }
  console.log(`${name}: ${samples.length - wrong.length} of ${samples.length} images read as meant`);
  return wrong.length;
}
