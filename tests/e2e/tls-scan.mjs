#!/usr/bin/env node
// testssl.sh against the origin's listener and the fallback host's; what it finds must be known. Where SSLYZE names a
// sslyze, it holds both against Mozilla's intermediate profile too. `scripts/soak tls` runs it; the node tests ask OpenSSL
// for the same, faster.

import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Children } from "../../scripts/lib/demo/children.mjs";
import { writeBundle } from "../../scripts/lib/fallback/bundle.mjs";
import { FallbackHost, ownFile, ownFolder } from "./fallback-host.mjs";
import { READY, SANDBOX, SCANVAULT, freePorts, made, run } from "./world.mjs";

const SCAN_SECONDS = 900;
/** Of a development CA's certificate, of a name that is in no DNS, of this machine's OpenSSL. */
const OF_DEVELOPMENT = ["cert_chain_of_trust", "cert_revocation", "DNS_CAArecord", "engine_problem", "cert_trust"];
const EXPECTED = {
  // No web site: what is not signed gets an empty 401, and no session is resumed by ticket.
  origin: [...OF_DEVELOPMENT, "HSTS", "security_headers", "sessionresumption_ticket"],
  fallback: [...OF_DEVELOPMENT, "sessionresumption_ticket"],
};

const dir = mkdtempSync(join(tmpdir(), "scanvault-tls-scan-"));
const at = (...parts) => join(dir, ...parts);
const children = new Children(randomBytes(12).toString("hex"), at("logs"));
let wrong = 0;
let host;
try {
  const ports = await freePorts("origin", "fallback", "plain");
  await start(ports);
  for (const name of ["origin", "fallback"]) {
    wrong += await scan(name, ports[name]);
    if (process.env.SSLYZE) wrong += await judge(name, ports[name]);
  }
} finally {
  await host?.stop();
  await children.endAll();
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = wrong === 0 ? 0 : 1;

async function start(ports) {
  chmodSync(dir, 0o711);
  await made(run(SANDBOX, ["dev-ca", "--dir", at("ca")]));
  const secret = randomBytes(32).toString("base64");
  writeFileSync(at("link-keys"), `scan ${secret}\n`, { mode: 0o600 });
  const env = {
    SCANVAULT_MODE: "development",
    DATABASE_URL: `sqlite://${at("scanvault.db")}`,
    SCANVAULT_LISTEN: `127.0.0.1:${ports.origin}`,
    SCANVAULT_TLS_CERT: at("ca/server.pem"),
    SCANVAULT_TLS_KEY: at("ca/server.key"),
    SCANVAULT_ADMIN_SOCKET: at("admin.sock"),
    SCANVAULT_LINK_KEYS: at("link-keys"),
    SCANVAULT_PUBLIC_URL: "https://pay.example",
  };
  await children.start("origin", [SCANVAULT, "serve"], { env, ready: READY });
  writeBundle(at("bundle"));
  const secrets = ownFolder(at("secrets"));
  ownFile(at("secrets/link-secret"), secret);
  for (const [name, from] of [["server.pem", "server.pem"], ["server-key.pem", "server.key"], ["origin-ca-1.pem", "ca.pem"]]) {
    ownFile(at("secrets", name), readFileSync(at("ca", from)));
  }
  const settings = { PUBLIC_URL: "https://pay.example", ORIGINS: `a=https://localhost:${ports.origin}`, LINK_KEY_ID: "scan" };
  host = new FallbackHost({ bundle: at("bundle"), secrets, settings, ports: { https: ports.fallback, http: ports.plain } });
  await host.start();
}

/** What of Mozilla's intermediate profile does not hold: 0 or 1. */
async function judge(name, port) {
  const args = ["--mozilla_config=intermediate", `--certinfo_ca_file=${at("ca/ca.pem")}`, `localhost:${port}`];
  const { code, stdout, stderr } = await run(process.env.SSLYZE, args, { seconds: SCAN_SECONDS });
  const said = stdout.slice(stdout.indexOf("COMPLIANCE")).trim();
  console.log(`${name}, sslyze: ${said || stdout + stderr}`);
  return code === 0 ? 0 : 1;
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
