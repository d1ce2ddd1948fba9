// The first bench: the worker's own answers and its forwarding beside a JavaScript worker in the same workerd process,
// and durable code creation through edge and origin on both databases.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { get } from "node:http";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildSync } from "esbuild";
import { EDGE_MODULES, writeConfig } from "../workerd.mjs";
import { load } from "./load.mjs";
import { openVault, startOrigin } from "./origin.mjs";
import { end, endAll, freePorts, listening, start } from "./processes.mjs";
import { measure, print } from "./table.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const WORK = process.env.BENCH_WORK;
const SANDBOX = join(process.env.SCANVAULT_BINARIES, "sandbox");
const ORIGIN = process.env.BENCH_ORIGIN;
const CODE = "0123456789";
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
  await benchAnswers();
  await benchCreation();
} finally {
  await endAll();
}
console.log(`\n${cpus().length} cores, ${settings.connections} connections, median of ${settings.rounds} alternating rounds of ${settings.seconds} s`);

async function benchAnswers() {
  const [backend, ours, theirs] = await freePorts(3);
  const files = [join(CA, "server.pem"), join(CA, "server.key")];
  await start("backend", [process.execPath, join(HERE, "backend.mjs"), String(backend), ...files], { dir: WORK, ready: listening });
  const origin = `https://localhost:${backend}`;
  const workerd = await startWorkerd("answers", [
    edge(ours, origin),
    { name: "js", modules: [bundleJsWorker()], bindings: { ORIGIN_URL: origin, PUBLIC_URL: `http://127.0.0.1:${ours}` }, listen: `127.0.0.1:${theirs}` },
  ], [`http://127.0.0.1:${ours}/pluto/public/monitor`, `http://127.0.0.1:${theirs}/hello`]);
  const etag = await etagOf(`http://127.0.0.1:${ours}/pluto/public/qr/${CODE}.png`);
  print("The worker's answers", await measure(answerRows({ ours, theirs, pid: workerd.pid, etag }), { ...settings, load }));
  await end(workerd);
}

function answerRows({ ours, theirs, pid, etag }) {
  const own = (name, beside, request, more) => ({ name: `ours, ${name}`, beside, pid, port: ours, request, ...more });
  const js = (name, request) => ({ name: `JS, ${name}`, pid, port: theirs, request });
  const pair = (name, path, theirPath) => [own(name, `JS, ${name}`, () => ({ path })), js(name, () => ({ path: theirPath }))];
  const sealed = JSON.stringify({ sealed: "e30".repeat(300) });
  const post = () => ({
    method: "POST", path: `/pluto/public/pay/${CODE}`, headers: { "content-type": "application/json" }, body: sealed,
  });
  const page = () => ({ path: `/Q/${CODE}` });
  const qr = `/pluto/public/qr/${CODE}`;
  return [
    ...pair("hello", "/pluto/public/monitor", "/hello"),
    ...pair("QR SVG", `${qr}.svg`, `/qr/${CODE}.svg`),
    ...pair("QR PNG 300", `${qr}.png?size=300`, `/qr/${CODE}.png?size=300`),
    ...pair("QR PNG 1024", `${qr}.png?size=1024`, `/qr/${CODE}.png?size=1024`),
    own("QR 304", "JS, hello", () => ({ path: `${qr}.png`, headers: { "if-none-match": etag } }), { expect: 304 }),
    own("forwarded GET", "JS, forwarded GET", page),
    js("forwarded GET", page),
    own("forwarded POST", "JS, forwarded POST", post),
    js("forwarded POST", post),
  ];
}

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
  await startWorkerd(`edge-${name}`, [edge(edgePort, `https://localhost:${originPort}`)], [`http://127.0.0.1:${edgePort}/pluto/public/monitor`]);
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

function edge(port, origin) {
  const bindings = {
    ORIGINS: `a=${origin}`,
    LINK_KEY_ID: link.id,
    LINK_SECRET: link.secret,
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    ALLOW_PLAIN_HTTP: "loopback",
    CLIENT_ADDRESS: "none",
  };
  return { name: "edge", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${port}` };
}

function startWorkerd(name, workers, urls) {
  const command = writeConfig({ dir: join(WORK, name), trust: join(CA, "ca.pem"), workers });
  return start(name, command, { dir: WORK, ready: async () => (await Promise.all(urls.map(statusOf))).every((status) => status === 200) });
}

function bundleJsWorker() {
  const outfile = join(WORK, "js-worker.js");
  // qrcode's browser entry: the Node one wants fs and zlib.
  buildSync({ entryPoints: [join(HERE, "worker.js")], bundle: true, format: "esm", platform: "browser", minify: true, outfile, logLevel: "error" });
  return outfile;
}

async function statusOf(url) {
  return (await fetch(url)).status;
}

function etagOf(url) {
  return new Promise((resolve, reject) => {
    get(url, (answer) => {
      answer.resume();
      const { etag } = answer.headers;
      etag ? resolve(etag) : reject(new Error(`no ETag: ${answer.statusCode} ${url}`));
    }).on("error", reject);
  });
}
