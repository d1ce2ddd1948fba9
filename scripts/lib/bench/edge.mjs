// What a request costs at the edge: the worker's own answers and its forwarding beside a JavaScript worker, both in one
// workerd that has one core to itself, in turns. The load comes from another core, and from a program that costs less
// than what it measures; how busy workerd's core was stands beside each figure.
//
// The JavaScript worker is the plainest that does the same thing: no headers, no log, no checks. Beside it stand two that
// set the headers of our answers, so that what the runtime takes for those is seen apart.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { get } from "node:http";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildSync } from "esbuild";
import { writeConfig } from "../workerd.mjs";
import { coldStarts } from "./cold.mjs";
import { edgeWorker } from "./edge-worker.mjs";
import { end, endAll, freePorts, listening, start } from "./processes.mjs";
import { median } from "./table.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const WORK = process.env.BENCH_WORK;
const LOAD = join(process.env.SCANVAULT_BINARIES, "examples/edge_load");
const CA = join(WORK, "ca");
const CODE = "0123456789";
/** Nothing is made for it, and it has all headers of an image; no body. */
const SAME_HEADERS = "own 304, the image's headers";
/** The same two answers of the JavaScript worker: between them is what a body costs the runtime. */
const [JS_WHOLE, JS_UNCHANGED] = ["JS hello, our headers", "JS 304, our headers"];
const QR = `/pluto/public/qr/${CODE}`;
/** Cores that are told apart: one for workerd, the other for all that is not measured. */
const [MEASURED, OTHER] = ["0", "1"];

const text = { type: "string" };
const { values } = parseArgs({ options: { rounds: text, seconds: text, connections: text } });
const settings = {
  rounds: Number(values.rounds ?? 7),
  seconds: Number(values.seconds ?? 1.5),
  connections: Number(values.connections ?? 32),
};
if (Object.values(settings).some((value) => !(value > 0))) throw new Error("--rounds, --seconds and --connections are positive numbers");
if (cpus().length < 2) throw new Error("one core for workerd and one for the load: there are not two");

execFileSync(join(process.env.SCANVAULT_BINARIES, "sandbox"), ["dev-ca", "--dir", CA]);
try {
  await run();
} finally {
  await endAll();
}

async function run() {
  const [backend, ours, theirs, npm] = await freePorts(4);
  const files = [join(CA, "server.pem"), join(CA, "server.key")];
  const far = ["taskset", "-c", OTHER, process.execPath, join(HERE, "backend.mjs"), String(backend), ...files];
  await start("backend", far, { dir: WORK, ready: listening });
  const origin = `https://localhost:${backend}`;
  const edge = edgeWorker({ port: ours, origin });
  const js = jsWorker(theirs, origin, ours);
  const command = writeConfig({ dir: join(WORK, "edge"), trust: join(CA, "ca.pem"), workers: [edge, js, npmWorker(npm)] });
  const urls = [`http://127.0.0.1:${ours}/pluto/public/monitor`, `http://127.0.0.1:${theirs}/hello`, `http://127.0.0.1:${npm}/?size=300`];
  const ready = async () => (await Promise.all(urls.map(statusOf))).every((status) => status === 200);
  const workerd = await start("workerd", ["taskset", "-c", MEASURED, ...command], { dir: WORK, ready });
  const rows = rowsOf({ ours, theirs, npm, etag: await etagOf(`http://127.0.0.1:${ours}${QR}.png`) });
  measure(rows, workerd.pid);
  await end(workerd);
  print(rows);
  const byName = new Map(rows.map((row) => [row.name, row]));
  goals(byName);
  beside(byName);
  console.log(await coldStarts({ edge, js: { ...js, name: "cold-js" }, dir: WORK, trust: join(CA, "ca.pem"), core: MEASURED }));
}

function jsWorker(port, origin, ours) {
  const outfile = join(WORK, "js-worker.js");
  // qrcode's browser entry: the Node one wants fs and zlib.
  buildSync({ entryPoints: [join(HERE, "worker.js")], bundle: true, format: "esm", platform: "browser", minify: true, outfile, logLevel: "error" });
  return { name: "js", modules: [outfile], bindings: { ORIGIN_URL: origin, PUBLIC_URL: `http://127.0.0.1:${ours}` }, listen: `127.0.0.1:${port}` };
}

/** npm's qrcode as it writes a PNG itself: through Node's zlib, which the runtime has on request. */
function npmWorker(port) {
  const outfile = join(WORK, "npm-worker.js");
  // Some of what it imports asks for Node's modules the old way.
  const banner = { js: 'import { createRequire } from "node:module";const require = createRequire("/");' };
  buildSync({ entryPoints: [join(HERE, "npm-worker.js")], bundle: true, format: "esm", platform: "node", minify: true, banner, outfile, logLevel: "error" });
  return { name: "npm", modules: [outfile], flags: ["nodejs_compat"], bindings: { PUBLIC_URL: `http://127.0.0.1:${port}` }, listen: `127.0.0.1:${port}` };
}

function rowsOf({ ours, theirs, npm, etag }) {
  const row = (name, port, beside, path, { method = "GET", headers = {}, body = "", status = 200, goal } = {}) => {
    const lines = Object.entries({ host: `127.0.0.1:${port}`, ...headers, ...(body && { "content-length": body.length }) });
    const request = `${method} ${path} HTTP/1.1\r\n${lines.map(([key, value]) => `${key}: ${value}\r\n`).join("")}\r\n${body}`;
    return { name, port, beside, request, status, goal, rates: [], costs: [], busy: [] };
  };
  const sealed = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ sealed: "e30".repeat(300) }) };
  return [
    row("JS hello", theirs, undefined, "/hello"),
    row(JS_WHOLE, theirs, "JS hello", "/hello/image"),
    row(JS_UNCHANGED, theirs, JS_WHOLE, "/hello/unchanged", { status: 304 }),
    row("JS hello, our headers and a log line", theirs, "JS hello", "/hello/logged"),
    row("own hello", ours, "JS hello", "/pluto/public/monitor", { goal: 0.8 }),
    row(SAME_HEADERS, ours, "own hello", `${QR}.png`, { headers: { "if-none-match": etag }, status: 304 }),
    // The same image again and again is kept (edge/src/answer.rs); each another is drawn.
    row("PNG 300", ours, SAME_HEADERS, `${QR}.png?size=300`),
    row("PNG 1024", ours, SAME_HEADERS, `${QR}.png?size=1024`),
    row("PNG 300, each another", ours, SAME_HEADERS, "/pluto/public/qr/##########.png?size=300"),
    row("PNG 1024, each another", ours, SAME_HEADERS, "/pluto/public/qr/##########.png?size=1024"),
    row("SVG", ours, "own hello", `${QR}.svg`),
    row("npm qrcode PNG 300", npm, "PNG 300", "/?size=300"),
    row("npm qrcode PNG 1024", npm, "PNG 1024", "/?size=1024"),
    // Its matrix alone, drawn by hand and packed by the runtime's native code.
    row("npm qrcode, plain PNG 300", theirs, "PNG 300", `/qr/${CODE}.png?size=300`),
    row("npm qrcode, plain PNG 1024", theirs, "PNG 1024", `/qr/${CODE}.png?size=1024`),
    row("npm qrcode SVG", theirs, "SVG", `/qr/${CODE}.svg`),
    row("JS forwarded GET", theirs, undefined, `/Q/${CODE}`),
    row("forwarded GET", ours, "JS forwarded GET", `/Q/${CODE}`, { goal: 0.8 }),
    row("JS GET, our use of the runtime", theirs, "JS forwarded GET", `/alike/Q/${CODE}`),
    row("JS forwarded POST", theirs, undefined, `/pluto/public/pay/${CODE}`, sealed),
    row("forwarded POST", ours, "JS forwarded POST", `/pluto/public/pay/${CODE}`, { ...sealed, goal: 0.8 }),
    row("JS POST, our use of the runtime", theirs, "JS forwarded POST", `/alike/pluto/public/pay/${CODE}`, sealed),
  ];
}

function measure(rows, pid) {
  const { rounds, seconds, connections } = settings;
  // Round 0 warms up: compiled code, connections.
  for (let round = 0; round <= rounds; round++) {
    for (const row of rows) {
      const before = cpuNanos(pid);
      const args = ["-c", OTHER, LOAD, row.port, row.status, round === 0 ? 1 : seconds, connections].map(String);
      const load = spawnSync("taskset", args, { input: row.request, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"] });
      if (load.status !== 0) throw new Error(`${row.name} failed`);
      const [done, took] = load.stdout.split(" ").map(Number);
      const used = cpuNanos(pid) - before;
      if (round === 0) continue;
      row.rates.push(done / took);
      row.costs.push(used / 1000 / done);
      row.busy.push(used / 1e9 / took);
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  for (const row of rows) [row.rate, row.cost, row.load] = [row.rates, row.costs, row.busy].map(median);
}

/** CPU time of all threads of a process, in nanoseconds. */
function cpuNanos(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]), 0);
}

/** Ratios are of one round's two figures, and of those the median: what slows the machine slows both. */
function ratio(row, other, list) {
  return median(row[list].map((value, at) => (list === "rates" ? value / other[list][at] : other[list][at] / value)));
}

function print(rows) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const line = (name, cells, beside = "") => console.log(`${name.padEnd(width)}  ${cells.map((cell) => cell.padStart(10)).join("  ")}  ${beside}`.trimEnd());
  console.log(`\nAt the edge, one core (${MEASURED}) for workerd\n`);
  line("", ["per second", "CPU us", "core busy", "ratio", "by CPU"], "beside");
  for (const row of rows) {
    const other = rows.find(({ name }) => name === row.beside);
    const ratios = other ? [ratio(row, other, "rates").toFixed(2), ratio(row, other, "costs").toFixed(2)] : ["", ""];
    line(row.name, [row.rate.toFixed(0), row.cost.toFixed(1), `${Math.round(row.load * 100)} %`, ...ratios], row.beside);
  }
  const idle = rows.filter((row) => row.load < 0.9).map(({ name }) => name);
  console.log(idle.length ? `\nNot busy throughout, so trust the CPU column there: ${idle.join(", ")}` : "\nworkerd's core was busy throughout: the load is not the limit");
  console.log(`${cpus().length} cores, ${settings.connections} connections, medians of ${settings.rounds} alternating rounds of ${settings.seconds} s`);
}

function goals(rows) {
  console.log("\nGoals");
  const say = (what, value, goal) => console.log(`  ${value >= goal ? "held  " : "MISSED"}  ${what}: ${value.toFixed(2)}, at least ${goal}`);
  for (const row of rows.values()) if (row.goal) say(`${row.name} beside ${row.beside}`, ratio(row, rows.get(row.beside), "costs"), row.goal);
  const hello = { costs: helloWithBody(rows) };
  for (const size of [300, 1024]) {
    say(`PNG ${size} beside ${SAME_HEADERS}, and a body (${median(bodyCosts(rows)).toFixed(1)} us)`, ratio(rows.get(`PNG ${size}`), hello, "costs"), 0.9);
    for (const name of [`PNG ${size}`, `PNG ${size}, each another`]) {
      say(`${name} beside npm qrcode`, ratio(rows.get(name), rows.get(`npm qrcode PNG ${size}`), "costs"), 50);
    }
  }
}

/** A hello of ours with an image's headers: the 304, which nothing is made for, and what a body costs the runtime. */
function helloWithBody(rows) {
  const bodies = bodyCosts(rows);
  return rows.get(SAME_HEADERS).costs.map((cost, round) => cost + bodies[round]);
}

function bodyCosts(rows) {
  return rows.get(JS_WHOLE).costs.map((cost, round) => cost - rows.get(JS_UNCHANGED).costs[round]);
}

/** Beside a JavaScript worker that asks the same of the runtime and does nothing else: what is left is ours. */
function beside(rows) {
  console.log("\nBeside a JavaScript worker that asks the same of the runtime, by CPU");
  for (const [own, other] of [
    ["own hello", JS_WHOLE],
    [SAME_HEADERS, JS_UNCHANGED],
    ["PNG 300", JS_WHOLE],
    ["forwarded GET", "JS GET, our use of the runtime"],
    ["forwarded POST", "JS POST, our use of the runtime"],
  ]) console.log(`  ${own}: ${ratio(rows.get(own), rows.get(other), "costs").toFixed(2)}`);
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
