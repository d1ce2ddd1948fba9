// The QR renderer, native: a 300 px image beside libqrencode with libpng and npm qrcode, a 1024 px image beside a memcpy
// of its raster. Rows are measured in turns, in processes that live through all rounds.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import qrcode from "qrcode";
import { median } from "./table.mjs";

const URL_OF_45_BYTES = "https://app.scantopay.io/qr?qrcode=8962148867";
const MARGIN = 4;

const text = { type: "string" };
const { values } = parseArgs({ options: { rounds: text } });
const rounds = Number(values.rounds ?? 9);
if (!(rounds >= 1)) throw new Error("--rounds is a positive number");

const speed = peer(process.env.BENCH_QR_SPEED, URL_OF_45_BYTES);
const c = peer(process.env.BENCH_QR_C, URL_OF_45_BYTES);
const rows = {
  ours300: { name: "ours, PNG 300", run: (count) => speed.ask(`png 300 ${count}`), count: 4000 },
  c300: { name: "libqrencode + libpng, PNG 300", run: (count) => c.ask(`300 ${count}`), count: 400 },
  npm300: { name: "npm qrcode, PNG 300", run: (count) => npm(300, count), count: 12 },
  ours1024: { name: "ours, PNG 1024", run: (count) => speed.ask(`png 1024 ${count}`), count: 4000 },
  c1024: { name: "libqrencode + libpng, PNG 1024", run: (count) => c.ask(`1024 ${count}`), count: 100 },
  npm1024: { name: "npm qrcode, PNG 1024", run: (count) => npm(1024, count), count: 3 },
  memcpy: { name: "memcpy of its 8-bit raster, 1024", run: (count) => speed.ask(`memcpy 1024 ${count}`), count: 1000 },
};
for (const row of Object.values(rows)) row.nanos = [];
for (let round = 0; round <= rounds; round++) {
  for (const row of Object.values(rows)) {
    const [nanos, bytes] = await row.run(row.count);
    row.bytes = bytes;
    if (round > 0) row.nanos.push(nanos); // round 0 warms up
  }
}
speed.end();
c.end();
report();

function report() {
  const us = (row) => median(row.nanos) / 1000;
  console.log(`\nA URL of 45 bytes as PNG, native; medians of ${rounds} alternating rounds\n`);
  const width = Math.max(...Object.values(rows).map(({ name }) => name.length));
  console.log(`${"".padEnd(width)}  ${"us".padStart(9)}  ${"best".padStart(9)}  ${"bytes".padStart(9)}`);
  for (const row of Object.values(rows)) {
    const cells = [us(row).toFixed(2), (Math.min(...row.nanos) / 1000).toFixed(2), String(row.bytes)];
    console.log(`${row.name.padEnd(width)}  ${cells.map((cell) => cell.padStart(9)).join("  ")}`);
  }
  const { ours300, c300, npm300, ours1024, memcpy } = rows;
  const ratios = [
    ["300 px against libqrencode + libpng", us(c300) / us(ours300), 10],
    ["300 px against npm qrcode", us(npm300) / us(ours300), 300],
    ["1024 px against the memcpy", us(memcpy) / us(ours1024), 1],
  ];
  console.log();
  for (const [name, ratio, goal] of ratios) {
    console.log(`${name}: ${ratio.toFixed(2)} x as fast, goal ${goal} x: ${ratio >= goal ? "met" : "MISSED"}`);
  }
  console.log(`300 px: ${ours300.bytes} bytes, goal at most 450: ${ours300.bytes <= 450 ? "met" : "MISSED"}`);
}

async function npm(size, count) {
  let bytes = 0;
  const began = process.hrtime.bigint();
  for (let at = 0; at < count; at++) {
    bytes = (await qrcode.toBuffer(URL_OF_45_BYTES, { width: size, margin: MARGIN, errorCorrectionLevel: "M" })).length;
  }
  return [Number(process.hrtime.bigint() - began) / count, bytes];
}

/** A program that answers each line of its standard input with nanoseconds and bytes. */
function peer(program, ...args) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.on("exit", (code) => code && process.exit(1));
  const lines = createInterface({ input: child.stdout });
  return {
    ask: async (line) => {
      child.stdin.write(`${line}\n`);
      return (await once(lines, "line"))[0].split(" ").map(Number);
    },
    end: () => child.stdin.end(),
  };
}
