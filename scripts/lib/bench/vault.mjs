// scripts/bench vault: an internal system stores and reads cards over HTTP; a release origin on a durable PostgreSQL.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openVault, startOrigin } from "./origin.mjs";
import { endAll, freePorts } from "./processes.mjs";

const WORK = process.env.BENCH_WORK;
const ORIGIN = process.env.BENCH_ORIGIN;
const SANDBOX = join(process.env.SCANVAULT_BINARIES, "sandbox");
const LOAD = join(process.env.SCANVAULT_BINARIES, "examples", "vault_load");
const WIPING = join(process.env.SCANVAULT_BINARIES, "examples", "wiping_cost");
const SPEED = join(ORIGIN, "..", "examples", "vault_speed");
const CA = join(WORK, "ca");
const ACCOUNT = "bench";

const text = { type: "string" };
const { values } = parseArgs({ options: { seconds: text, connections: text, cards: text } });
const settings = {
  seconds: Number(values.seconds ?? 10),
  connections: Number(values.connections ?? 16),
  cards: Number(values.cards ?? 200_000),
};
if (!Object.values(settings).every((value) => value > 0)) throw new Error("--seconds, --connections and --cards are positive numbers");

// Design notes, hyperswitch-card-vault: measured on two cores with 16 connections, its own protection layer off and on.
const PEER = `
hyperswitch-card-vault (measured once, elsewhere; CPU per request is what to compare between machines)
| row | req/s | CPU us, server and PostgreSQL |
|---|---|---|
| store new, protection off | 2032 | 889 |
| read, protection off, not audited | 8673 | 193 |
| store known, protection off | 5287 | 329 |
| store new, JWE and JWS | 435 | 4411 |
| read, JWE and JWS, not audited | 632 | 3087 |`;

execFileSync(SANDBOX, ["dev-ca", "--dir", CA]);
try {
  await run();
} finally {
  await endAll();
}

async function run() {
  const key = { id: `bench-${randomBytes(4).toString("hex")}`, secret: randomBytes(32).toString("base64") };
  writeFileSync(join(WORK, "link-keys"), `${key.id} ${key.secret} ${ACCOUNT}\n`, { mode: 0o600 });
  const [port] = await freePorts(1);
  const origin = await startOrigin("vault", {
    database: process.env.BENCH_POSTGRES, port, publicUrl: "http://127.0.0.1:1", dir: WORK, ca: CA, binary: ORIGIN,
  });
  const cli = openVault(origin.admin, WORK, ORIGIN);
  cli("account", "create", ACCOUNT, "--role", "INTERNAL");
  const postmaster = readFileSync(join(WORK, "postgres", "data", "postmaster.pid"), "utf8").split("\n")[0];
  const load = {
    port, ca: join(CA, "ca.pem"), "key-id": key.id, secret: key.secret, account: ACCOUNT,
    "origin-pid": origin.pid, "postgres-pid": postmaster, ...settings,
  };
  console.log(`${cpus().length} cores for origin, PostgreSQL and load together, ${settings.connections} connections, ${settings.seconds} s a row`);
  console.log("fsync and synchronous_commit on; every request signed, nonces shared, every read audited in its transaction\n");
  execFileSync(LOAD, Object.entries(load).map(([name, value]) => `${name}=${value}`), { stdio: "inherit" });
  console.log(PEER);
  console.log("");
  execFileSync(SPEED, { stdio: "inherit" });
  console.log("\nthe wiping allocator beside the plain one, in one process (our code unoptimised, libraries optimised)");
  execFileSync(WIPING, { stdio: "inherit" });
}
