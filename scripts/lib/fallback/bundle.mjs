#!/usr/bin/env node
// Puts the fallback host's bundle together: a workerd, the built worker, configurations without one secret, and what
// starts it. `scripts/build-edge --fallback DIR` runs it; docs/fallback.md says what to do with the result.

import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EDGE_MODULES, ROOT, TLS12_SUITES, WORKERD, compatibilityDate, quote } from "../workerd.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const MARK = "SHA256SUMS";

/** Bindings that the launcher passes on. The link secret is none of them: an environment can be read in /proc. */
const SETTINGS = [
  ...["PUBLIC_URL", "ORIGINS", "LINK_KEY_ID", "CLIENT_ADDRESS", "RATE_LIMITS", "LOG", "SCREEN", "SECURITY_VIOLATION_513"],
  ...["EMV_COUNTRY", "EMV_CURRENCY", "EMV_NAME", "EMV_CITY"],
];

/** Writes the bundle into `out`, which is new, empty, or an older bundle. */
export function writeBundle(out) {
  const at = (...parts) => join(out, ...parts);
  if (existsSync(out) && readdirSync(out).length > 0 && !existsSync(at(MARK))) throw new Error(`not a bundle, and not empty: ${out}`);
  rmSync(out, { recursive: true, force: true });
  for (const folder of ["", "bin", "worker", "config", "systemd"]) mkdirSync(at(folder), { recursive: true, mode: 0o755 });
  const put = (from, to, mode) => {
    copyFileSync(from, at(to));
    chmodSync(at(to), mode);
  };
  put(WORKERD, "bin/workerd", 0o755);
  for (const module of EDGE_MODULES) put(module, `worker/${basename(module)}`, 0o644);
  put(join(HERE, "start"), "start", 0o755);
  put(join(HERE, "edge.env.example"), "edge.env.example", 0o644);
  for (const unit of readdirSync(join(HERE, "systemd"))) put(join(HERE, "systemd", unit), `systemd/${unit}`, 0o644);
  put(join(ROOT, "docs/fallback.md"), "fallback.md", 0o644);
  // A trust anchor or key pair cannot be left open in one text, so there is a text for each case.
  for (const authorities of [1, 2]) {
    for (const showsCertificate of [false, true]) {
      const name = `config/${authorities}-ca${showsCertificate ? "-client" : ""}.capnp`;
      writeFileSync(at(name), configText(authorities, showsCertificate), { mode: 0o644 });
    }
  }
  writeFileSync(at(MARK), sums(out), { mode: 0o644 });
}

/**
 * What begins with a slash is looked for in the folder that the launcher names (`--import-path`): there the secrets are,
 * and nothing of them is in the bundle.
 */
function configText(authorities, showsCertificate) {
  const keypair = (name) => `keypair = (privateKey = embed "/${name}-key.pem", certificateChain = embed "/${name}.pem")`;
  const modules = EDGE_MODULES.map((file) => basename(file)).map((name) => {
    const kind = name.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = ${quote(name)}, ${kind} = embed ${quote(`../worker/${name}`)})`;
  });
  const bindings = SETTINGS.map((name) => `(name = "${name}", fromEnvironment = "${name}")`);
  const trusted = Array.from({ length: authorities }, (_, at) => `embed "/origin-ca-${at + 1}.pem"`);
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = (
      compatibilityDate = ${quote(compatibilityDate())},
      modules = [
        ${modules.join(",\n        ")},
      ],
      bindings = [
        (name = "LINK_SECRET", text = embed "/link-secret"),
        ${bindings.join(",\n        ")},
      ],
    )),
    (name = "internet", network = (
      allow = ["public", "private"],
      tlsOptions = (${showsCertificate ? `${keypair("client")}, ` : ""}trustBrowserCas = false, trustedCertificates = [${trusted.join(", ")}]),
    )),
  ],
  sockets = [
    (name = "https", service = "edge", https = (options = (), tlsOptions = (
      ${keypair("server")}, minVersion = tls1Dot2, cipherList = ${quote(TLS12_SUITES)},
    ))),
    (name = "http", service = "edge", http = ()),
  ],
);
`;
}

/** As `sha256sum --check` reads it. */
function sums(out) {
  const files = readdirSync(out, { recursive: true }).filter((name) => statSync(join(out, name)).isFile()).toSorted();
  return files.map((name) => `${createHash("sha256").update(readFileSync(join(out, name))).digest("hex")}  ${name}\n`).join("");
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv.length !== 3) {
    console.error("usage: scripts/lib/fallback/bundle.mjs DIR");
    process.exit(2);
  }
  try {
    writeBundle(resolve(process.argv[2]));
  } catch (error) {
    console.error(`fallback bundle: ${error.message}`);
    process.exit(1);
  }
}
