#!/usr/bin/env node
// testssl.sh against the origin's listener and the built edge on TLS; what it finds must be known. `scripts/soak tls`
// runs it; the node tests ask OpenSSL for the same, faster.

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Children } from "../../scripts/lib/demo/children.mjs";
import { EDGE_MODULES, writeConfig } from "../../scripts/lib/workerd.mjs";
import { READY, SANDBOX, SCANVAULT, freePorts, made, run } from "./world.mjs";

const SCAN_SECONDS = 900;
/** Of a development CA's certificate, of a name that is in no DNS, of this machine's OpenSSL. */
const OF_DEVELOPMENT = ["cert_chain_of_trust", "cert_revocation", "DNS_CAArecord", "engine_problem", "cert_trust"];
const EXPECTED = {
  // No web site: what is not signed gets an empty 401, and no session is resumed by ticket.
  origin: [...OF_DEVELOPMENT, "HSTS", "security_headers", "sessionresumption_ticket"],
  edge: [...OF_DEVELOPMENT, "sessionresumption_ticket"],
};

const dir = mkdtempSync(join(tmpdir(), "scanvault-tls-scan-"));
const at = (...parts) => join(dir, ...parts);
const children = new Children(randomBytes(12).toString("hex"), at("logs"));
let wrong = 0;
try {
  const ports = await freePorts("origin", "edge");
  await start(ports);
  for (const [name, port] of Object.entries(ports)) wrong += await scan(name, port);
} finally {
  await children.endAll();
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = wrong === 0 ? 0 : 1;

async function start(ports) {
  await made(run(SANDBOX, ["dev-ca", "--dir", at("ca")]));
  const secret = randomBytes(32).toString("base64");
  writeFileSync(at("link-keys"), `scan ${secret}\n`, { mode: 0o600 });
  const files = { cert: at("ca/server.pem"), key: at("ca/server.key") };
  const env = {
    SCANVAULT_MODE: "development",
    DATABASE_URL: `sqlite://${at("scanvault.db")}`,
    SCANVAULT_LISTEN: `127.0.0.1:${ports.origin}`,
    SCANVAULT_TLS_CERT: files.cert,
    SCANVAULT_TLS_KEY: files.key,
    SCANVAULT_ADMIN_SOCKET: at("admin.sock"),
    SCANVAULT_LINK_KEYS: at("link-keys"),
    SCANVAULT_PUBLIC_URL: "https://pay.example",
  };
  await children.start("origin", [SCANVAULT, "serve"], { env, ready: READY });
  const bindings = {
    ORIGINS: `a=https://localhost:${ports.origin}`,
    LINK_KEY_ID: "scan",
    LINK_SECRET: secret,
    PUBLIC_URL: "https://pay.example",
    CLIENT_ADDRESS: "none",
  };
  const worker = { name: "edge", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${ports.edge}`, tls: files };
  const command = writeConfig({ dir: at("edge"), workers: [worker], trust: at("ca/ca.pem") });
  const hello = ["s_client", "-connect", `127.0.0.1:${ports.edge}`, "-tls1_3"];
  await children.start("edge", command, { ready: async () => (await run("openssl", hello)).code === 0 });
}

/** How many findings are neither fine nor expected. */
async function scan(name, port) {
  const file = at(`${name}.json`);
  const options = ["--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--jsonfile", file];
  const { stdout, stderr } = await run("testssl", [...options, `localhost:${port}`], { seconds: SCAN_SECONDS });
  const findings = JSON.parse(readFileSync(file, "utf8"));
  const grade = (severity) => findings.filter((finding) => finding.severity === severity).length;
  if (grade("OK") < 20) throw new Error(`testssl.sh did not get through:\n${stdout}${stderr}`);
  const bad = findings.filter(({ severity }) => !["OK", "INFO"].includes(severity));
  const unknown = bad.filter(({ id }) => !EXPECTED[name].some((start) => id === start || id.startsWith(`${start} `)));
  const known = bad.filter((finding) => !unknown.includes(finding)).map(({ id }) => id);
  console.log(`${name}: ${findings.length} findings, ${grade("OK")} ok, ${grade("INFO")} for information; expected here: ${known.join(", ")}`);
  for (const { severity, id, finding } of unknown) console.log(`${name}: ${severity} ${id}: ${finding}`);
  return unknown.length;
}
