// The spine: durable code creation, through edge and origin, on both databases.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeConfig } from "../workerd.mjs";
import { edgeWorker } from "./edge-worker.mjs";
import { load } from "./load.mjs";
import { openVault, startOrigin } from "./origin.mjs";
import { endAll, freePorts, start } from "./processes.mjs";
import { measure, print } from "./table.mjs";

const WORK = process.env.BENCH_WORK;
const SANDBOX = join(process.env.SCANVAULT_BINARIES, "sandbox");
const ORIGIN = process.env.BENCH_ORIGIN;
const CA = join(WORK, "ca");

const text = { type: "string" };
const { values } = parseArgs({ options: { rounds: text, seconds: text, connections: text } });
const settings = {
  rounds: Number(values.rounds ?? 5),
  seconds: Number(values.seconds ?? 2),
  connections: Number(values.connections ?? 16),
};
if (Object.values(settings).some((value) => !(value > 0))) throw new Error("--rounds, --seconds and --connections are positive numbers");

const link = { id: `bench-${randomBytes(4).toString("hex")}`, secret: randomBytes(32).toString("base64") };
execFileSync(SANDBOX, ["dev-ca", "--dir", CA]);
try {
  await benchCreation();
} finally {
  await endAll();
}
console.log(`\n${cpus().length} cores, ${settings.connections} connections, median of ${settings.rounds} alternating rounds of ${settings.seconds} s`);

async function benchCreation() {
  writeFileSync(join(WORK, "link-keys"), `${link.id} ${link.secret}\n`, { mode: 0o600 });
  const databases = { SQLite: `sqlite://${encodeURI(join(WORK, "bench.db"))}`, PostgreSQL: process.env.BENCH_POSTGRES };
  const rows = [];
  for (const [name, url] of Object.entries(databases)) rows.push(await creationRow(name, url));
  rows[1].beside = rows[0].name;
  print("Codes created per second, durable, through edge and origin (CPU: the origin)", await measure(rows, { ...settings, load }));
}

async function creationRow(name, database) {
  const [originPort, edgePort] = await freePorts(2);
  const publicUrl = `http://127.0.0.1:${edgePort}`;
  const origin = await startOrigin(name, { database, port: originPort, publicUrl, dir: WORK, ca: CA, binary: ORIGIN });
  const account = createAccount(origin.admin, origin.folder);
  await startWorkerd(`edge-${name}`, [edgeWorker({ port: edgePort, origin: `https://localhost:${originPort}`, link })], [`http://127.0.0.1:${edgePort}/pluto/public/monitor`]);
  const authorization = `Basic ${Buffer.from(`${account.account}:${account.password}`).toString("base64")}`;
  const headers = { "content-type": "application/json", authorization };
  let made = 0; // over all rounds: a merchant reference is used once
  const request = () => ({
    method: "POST", path: "/pluto/code/create", headers, body: `{"merchantReference":"bench-${++made}","amount":10.00}`,
  });
  return { name: `codes on ${name}`, port: edgePort, pid: origin.pid, request };
}

/** The vault is opened first: an account's webhook secret is a record in it. */
function createAccount(admin, dir) {
  return openVault(admin, dir, ORIGIN)("account", "create", "merchant-25", "--currency", "ZAR", "--display-name", "Bench");
}

function startWorkerd(name, workers, urls) {
  const command = writeConfig({ dir: join(WORK, name), trust: join(CA, "ca.pem"), workers });
  return start(name, command, { dir: WORK, ready: async () => (await Promise.all(urls.map(statusOf))).every((status) => status === 200) });
}

async function statusOf(url) {
  return (await fetch(url)).status;
}
