// What a payment costs, whether many codes slow anything down, and how fast the change feed is read.
//   node money.mjs [--seconds S] [--connections C] [--rounds N] [--codes N] [--changes N]

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CARD, pageData, payPath, seal } from "../../../tests/e2e/shopper.mjs";
import { EDGE_MODULES, writeConfig } from "../workerd.mjs";
import { load } from "./load.mjs";
import { openVault, startOrigin } from "./origin.mjs";
import { end, endAll, freePorts, listening, start } from "./processes.mjs";
import { measure, median, print } from "./table.mjs";

const WORK = process.env.BENCH_WORK;
const ORIGIN = process.env.BENCH_ORIGIN;
const SANDBOX = join(process.env.SCANVAULT_BINARIES, "sandbox");
const CA = join(WORK, "ca");
const CREDENTIALS = join(WORK, "credentials");
const FEW = 1_000;

const text = { type: "string" };
const { values } = parseArgs({ options: { seconds: text, connections: text, rounds: text, codes: text, changes: text } });
const settings = {
  seconds: Number(values.seconds ?? 4),
  connections: Number(values.connections ?? 16),
  rounds: Number(values.rounds ?? 5),
  codes: Number(values.codes ?? 10_000_000),
  changes: Number(values.changes ?? 1_000_000),
};
if (Object.values(settings).some((value) => !(value > 0))) throw new Error("every setting is a positive number");
if (settings.codes <= FEW) throw new Error(`--codes: more than the ${FEW} that they are held against`);
const key = { id: "bench", secret: randomBytes(32).toString("base64") };
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
let codesMade = 0;

execFileSync(SANDBOX, ["dev-ca", "--dir", CA]);
execFileSync(SANDBOX, ["clearhaus-credentials", "--dir", CREDENTIALS]);
writeFileSync(join(WORK, "link-keys"), `${key.id} ${key.secret}\n`, { mode: 0o600 });
async function main() {
  try {
    const gateway = await startGateway();
    const names = { SQLite: sqlite, PostgreSQL: postgres };
    for (const [name, database] of Object.entries(names)) {
      await benchPayments(name, database("payments"), gateway);
      await benchSize(name, database, gateway);
    }
  } finally {
    await endAll();
  }
  console.log(`\n${cpus().length} cores for origin, database, workerd, gateway and load together`);
}

// --- Payments ------------------------------------------------------------------------------------------------------

/** Code, page, sealed card, authorisation and capture, each durable; then the feed of what was paid. */
async function benchPayments(name, database, gateway) {
  const bed = await setUp(`${name}-payments`, database, gateway);
  await payFor(bed, 1, 1);
  const [runs, cost] = [[], []];
  for (let round = 0; round < settings.rounds; round++) {
    const before = cpuMicros(bed.origin.pid);
    const run = await payFor(bed, settings.seconds, settings.connections);
    runs.push(run);
    cost.push((cpuMicros(bed.origin.pid) - before) / run.whole.length);
  }
  const whole = runs.flatMap((run) => run.whole).sort((a, b) => a - b);
  const post = runs.flatMap((run) => run.post).sort((a, b) => a - b);
  const rate = median(runs.map((run) => run.whole.length / settings.seconds));
  console.log(`\nFull payments on ${name}: ${rate.toFixed(0)} per second (${settings.connections} shoppers; code, page, card, authorised and captured, durable)`);
  console.log(`  whole: p50 ${at(whole, 0.5)} ms, p99 ${at(whole, 0.99)} ms; the payment alone: p50 ${at(post, 0.5)} ms, p99 ${at(post, 0.99)} ms; origin CPU ${median(cost).toFixed(0)} us each`);
  await stop(bed);
}

async function payFor(bed, seconds, shoppers) {
  const run = { whole: [], post: [] };
  const until = performance.now() + seconds * 1000;
  const shopper = async () => {
    while (performance.now() < until) {
      const began = performance.now();
      const made = await ask(bed, "POST", "/pluto/code/create", { authorization: bed.authorization }, newCode());
      const path = payPath(JSON.parse(made.body).code);
      const page = await ask(bed, "GET", path);
      const sealed = await seal({ data: pageData(page.body) }, CARD);
      const posted = performance.now();
      const paid = await ask(bed, "POST", path, {}, JSON.stringify({ sealed }));
      if (JSON.parse(paid.body).state !== "paid") throw new Error(paid.body.toString());
      run.post.push(performance.now() - posted);
      run.whole.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: shoppers }, shopper));
  return run;
}

// --- Size ----------------------------------------------------------------------------------------------------------

/** Origins on databases of every size, measured in turns. */
async function benchSize(name, database, gateway) {
  const sizes = [FEW, Math.round(Math.sqrt(FEW * settings.codes)), settings.codes];
  const beds = [];
  for (const size of sizes) {
    const label = `${name}-${size}`;
    const first = await setUp(label, database(`codes-${size}`), gateway);
    await stop(first);
    const seconds = fill(first.database, size, size === settings.codes ? settings.changes : 0);
    process.stderr.write(`${label}: filled in ${seconds} s\n`);
    beds.push(await setUp(label, first.database, gateway, first));
  }
  const rows = beds.flatMap((bed, at) => [createRow(bed, sizes, at), queryRow(bed, sizes, at)]);
  print(`Codes created and looked up on ${name}, by how many there are`, await measure(rows, { ...settings, load }));
  await benchFeed(name, beds.at(-1));
  for (const bed of beds) await stop(bed);
}

const names = (what, size) => `${what} among ${size.toLocaleString("en")}`;

function createRow(bed, sizes, index) {
  const headers = { "content-type": "application/json", authorization: bed.authorization };
  const request = () => ({ method: "POST", path: "/pluto/code/create", headers, body: newCode() });
  return { name: names("created", sizes[index]), beside: index > 0 ? names("created", sizes[0]) : undefined, port: bed.edgePort, pid: bed.origin.pid, request };
}

function queryRow(bed, sizes, index) {
  const size = sizes[index];
  const request = () => ({ path: `/pluto/code/${codeOf(Math.floor(Math.random() * size))}`, headers: { authorization: bed.authorization } });
  return { name: names("looked up", size), beside: index > 0 ? names("looked up", sizes[0]) : undefined, port: bed.edgePort, pid: bed.origin.pid, request };
}

/** Codes are even numbers, so that what is drawn later is seldom taken. */
const codeOf = (n) => String(n * 2).padStart(10, "0");

function fill(database, codes, changes) {
  const began = performance.now();
  const entry = '{"type":"transaction","id":1,"orderid":"bench","rev":1,"method":{"type":"card","card":{"brand":"visa","last4":"1111"}},"acts":[{"act":"capture","time":1790000000,"total":"10.00 ZAR"}],"totals":{"authorized":"10.00 ZAR","captured":"10.00 ZAR","refunded":"0.00 ZAR","left":"0.00 ZAR","voided":"0.00 ZAR"},"time":{"created":1790000000,"authorized":1790000000}}';
  const series = (last, sql) => (database.kind === "sqlite" ? `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${last - 1}) ${sql} FROM n` : `${sql} FROM generate_series(0, ${last - 1}) AS n (i)`);
  const padded = (width, value) => (database.kind === "sqlite" ? `printf('%0${width}d', ${value})` : `lpad((${value})::text, ${width}, '0')`);
  const statements = [
    `INSERT INTO payment_requests (id, account, merchant_reference, amount_minor, currency, use_once, expires_at_ms, created_at_ms) ${series(codes, `SELECT 'fill-' || ${padded(10, "i")}, 'merchant-25', 'fill-' || ${padded(10, "i")}, 1000, 'ZAR', 1, 0, 0`)}`,
    `INSERT INTO codes (code, request_id, state) ${series(codes, `SELECT ${padded(10, "i * 2")}, 'fill-' || ${padded(10, "i")}, 'Available'`)}`,
  ];
  if (changes) {
    statements.push(
      `INSERT INTO changes (account, seq, kind, object_id, rev, body, at_ms) ${series(changes, `SELECT 'merchant-25', i + 1, 'transaction', i, 1, '${entry}', 0`)}`,
      `UPDATE accounts SET change_seq = ${changes} WHERE name = 'merchant-25'`,
    );
  }
  database.write(statements);
  return ((performance.now() - began) / 1000).toFixed(0);
}

/** One reader after the other from the start to the end of a feed, as a merchant's system that begins anew. */
async function benchFeed(name, bed) {
  for (const readers of [1, 4]) {
    const before = cpuMicros(bed.origin.pid);
    const began = performance.now();
    const read = await Promise.all(Array.from({ length: readers }, () => readFeed(bed)));
    const seconds = (performance.now() - began) / 1000;
    const changes = read.reduce((sum, one) => sum + one.changes, 0);
    const cpu = (cpuMicros(bed.origin.pid) - before) / changes;
    console.log(`feed on ${name}, ${readers} reader${readers > 1 ? "s" : ""}: ${(changes / seconds).toFixed(0)} changes/s in answers of ${(changes / read.reduce((sum, one) => sum + one.answers, 0)).toFixed(0)}, origin CPU ${cpu.toFixed(1)} us a change`);
  }
}

async function readFeed(bed) {
  const found = { changes: 0, answers: 0 };
  for (let seq = 0; ; ) {
    const answer = await ask(bed, "GET", `/v1/seq/${seq}`, { authorization: bed.v1 });
    // Counted without parsing: this process is the slower one.
    const changes = answer.body.toString("latin1").split('"type":"transaction"').length - 1;
    if (changes === 0) return found;
    found.changes += changes;
    found.answers += 1;
    seq = Number(/^\{"seq":(\d+)/.exec(answer.body.toString("latin1", 0, 32))?.[1]);
    if (!(seq > 0)) throw new Error(answer.body.toString("latin1", 0, 200));
  }
}

// --- What all of it stands on ----------------------------------------------------------------------------------------

async function startGateway() {
  const [port] = await freePorts(1);
  // Without a state directory: what it books is in its memory, and it answers at once.
  await start("sandbox", [SANDBOX, "serve", "--listen", `127.0.0.1:${port}`, "--credentials", CREDENTIALS], { dir: WORK, ready: listening });
  return `http://127.0.0.1:${port}`;
}

/** An origin with a merchant, and an edge before it; `known` is one that was here before, on the same database. */
async function setUp(label, database, gateway, known) {
  const [port, edgePort] = await freePorts(2);
  const publicUrl = `http://127.0.0.1:${edgePort}`;
  const env = { SCANVAULT_CLEARHAUS_URL: gateway, SCANVAULT_RATE_LIMITS: "off", SCANVAULT_LOG: "warn,scanvault_origin::app=info" };
  // Their names differ: the folder of the one before is still there.
  const name = known ? `${label}-again` : label;
  const origin = await startOrigin(name, { database: database.url, port, publicUrl, dir: WORK, ca: CA, binary: ORIGIN, env });
  const password = known?.password ?? createMerchant(origin);
  const bindings = {
    ORIGINS: `a=https://localhost:${port}`, LINK_KEY_ID: key.id, LINK_SECRET: key.secret,
    PUBLIC_URL: publicUrl, ALLOW_PLAIN_HTTP: "loopback", CLIENT_ADDRESS: "none", RATE_LIMITS: "off",
  };
  const worker = { name: "edge", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${edgePort}` };
  const ready = async () => (await fetch(`${publicUrl}/pluto/public/monitor`)).status === 200;
  const edge = await start(`edge-${name}`, writeConfig({ dir: join(WORK, `edge-${name}`), trust: join(CA, "ca.pem"), workers: [worker] }), { dir: WORK, ready });
  const basic = (user) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  return { database, origin, edge, edgePort, password, authorization: basic("merchant-25"), v1: basic("25") };
}

function createMerchant(origin) {
  const file = (name) => join(CREDENTIALS, name);
  const cli = openVault(origin.admin, origin.folder, ORIGIN);
  return cli(
    "account", "create", "merchant-25", "--currency", "ZAR", "--display-name", "Bench",
    "--clearhaus-api-key-file", file("api-key.txt"),
    "--clearhaus-signing-key-id", readFileSync(file("signing-key-id.txt"), "utf8").trim(),
    "--clearhaus-signing-key-file", file("signing-key.pem"),
  ).password;
}

async function stop({ edge, origin }) {
  await end(edge);
  await end(origin);
}

function newCode() {
  codesMade += 1;
  return `{"merchantReference":"bench-${process.pid}-${codesMade}","amount":10.00}`;
}

function sqlite(name) {
  const file = join(WORK, `${name}.db`);
  const script = `
import sqlite3, sys, json
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA synchronous = OFF"); db.execute("BEGIN")
for text in json.load(sys.stdin): db.execute(text)
db.execute("COMMIT"); db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
`;
  const write = (statements) => execFileSync("python3", ["-c", script, file], { input: JSON.stringify(statements) });
  return { kind: "sqlite", url: `sqlite://${encodeURI(file)}`, write };
}

function postgres(name) {
  const url = new URL(process.env.BENCH_POSTGRES);
  const psql = (database, input) => {
    const env = { PATH: process.env.PATH, PGPASSWORD: decodeURIComponent(url.password) };
    const args = ["-v", "ON_ERROR_STOP=1", "-q", "-h", url.hostname, "-p", url.port, "-U", url.username, "-d", database];
    execFileSync(process.env.PSQL, args, { input, env });
  };
  const database = `bench_${name.replace(/\W/g, "_")}`;
  psql("postgres", `CREATE DATABASE ${database}`);
  const write = (statements) => psql(database, [...statements, "VACUUM ANALYZE", "CHECKPOINT"].join(";\n"));
  return { kind: "postgres", url: Object.assign(new URL(url), { pathname: `/${database}` }).href, write };
}

function ask({ edgePort }, method, path, headers = {}, body) {
  const all = body === undefined ? headers : { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers };
  return new Promise((done, failed) => {
    const asked = httpRequest({ host: "127.0.0.1", port: edgePort, method, path, headers: all, agent }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("error", failed);
      answer.on("end", () => {
        const whole = Buffer.concat(chunks);
        answer.statusCode === 200 ? done({ body: whole }) : failed(new Error(`${method} ${path}: ${answer.statusCode} ${whole}`));
      });
    });
    asked.on("error", failed);
    asked.end(body);
  });
}

function cpuMicros(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

function at(sorted, part) {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(1);
}

await main();
