// scripts/bench auth, the origin's half: logins per second, what a flood of challenges does to code creation, and whether
// the time of an answer tells who has an account.

import { execFile, execFileSync } from "node:child_process";
import { constants, createHash, createPublicKey, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { Agent as TlsAgent, request as httpsRequest } from "node:https";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { sign } from "../../../tests/e2e/link.mjs";
import { EDGE_MODULES, writeConfig } from "../workerd.mjs";
import { load } from "./load.mjs";
import { openVault, startOrigin } from "./origin.mjs";
import { end, endAll, freePorts, start } from "./processes.mjs";

const WORK = process.env.BENCH_WORK;
const ORIGIN = process.env.BENCH_ORIGIN;
const SANDBOX = join(process.env.SCANVAULT_BINARIES, "sandbox");
const CA = join(WORK, "ca");
const FLOOD = join(dirname(fileURLToPath(import.meta.url)), "flood.mjs");
const FLOOD_PER_SECOND = 300;
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" };
const CLASSES = {
  known: "merchant-25", basic: "merchant-26", suspended: "merchant-27", "dry run": "merchant-28", unknown: "merchant-999", named: "nobody-here",
};

const text = { type: "string" };
const { values } = parseArgs({ options: { seconds: text, connections: text, samples: text, rounds: text } });
const settings = { seconds: Number(values.seconds ?? 8), connections: Number(values.connections ?? 8), samples: Number(values.samples ?? 2000) };
const key = { id: "bench", region: "a", secret: randomBytes(32) };

execFileSync(SANDBOX, ["dev-ca", "--dir", CA]);
writeFileSync(join(WORK, "link-keys"), `${key.id} ${key.secret.toString("base64")}\n`, { mode: 0o600 });
try {
  const databases = { SQLite: `sqlite://${encodeURI(join(WORK, "logins.db"))}`, PostgreSQL: process.env.BENCH_POSTGRES };
  for (const [name, url] of Object.entries(databases)) await bench(name, url);
} finally {
  await endAll();
}
console.log(`\n${cpus().length} cores for origin, database, workerd and load together`);

async function bench(name, database) {
  const bed = await setUp(name, database);
  console.log(`\nLogins on ${name}: RSA-4096, OAEP, durable session and audit\n`);
  const rows = [["", "per second", "p50 ms", "p99 ms", "origin CPU us"]];
  rows.push(await challengesRow(bed), await loginsRow(bed));
  rows.push(...(await floodRows(bed)));
  for (const row of rows) console.log(row.map((cell, at) => (at === 0 ? cell.padEnd(44) : at > 4 ? `   ${cell}` : cell.padStart(14))).join(""));
  await timing(bed);
  for (const child of bed.children) await end(child);
}

async function setUp(name, database) {
  const [port, edgePort, limitedPort] = await freePorts(3);
  const publicUrl = `http://127.0.0.1:${edgePort}`;
  const origin = await startOrigin(name, { database, port, publicUrl, dir: WORK, ca: CA, binary: ORIGIN, env: { SCANVAULT_RATE_LIMITS: "off" } });
  const cli = openVault(origin.admin, join(WORK, name), ORIGIN);
  cli("vault", "rotate", "login");
  const passwords = Object.fromEntries(["merchant-25", "merchant-26", "merchant-27", "merchant-28"].map((user) => [user, cli("account", "create", user).password]));
  const keys = generateKeyPairSync("rsa", { modulusLength: 4096 });
  const der = keys.publicKey.export({ type: "spki", format: "der" }).toString("base64");
  const { loginPassword } = cli("account", "enrol", "merchant-25", "--public-key", der);
  for (const user of ["merchant-27", "merchant-28"]) cli("account", "enrol", user, "--public-key", der);
  cli("account", "suspend", "merchant-27");
  cli("account", "switch", "merchant-25", "bearer");
  const spki = { key: Buffer.from(cli("identity", "public-key").publicKey, "base64"), format: "der", type: "spki" };
  const gateway = createPublicKey(spki);
  // With limits, as behind Cloudflare: all of the flood is one address. Without, only the origin's own bound on the work is left.
  const bindings = (limits) => ({
    ORIGINS: `a=https://localhost:${port}`, LINK_KEY_ID: key.id, LINK_SECRET: key.secret.toString("base64"),
    PUBLIC_URL: publicUrl, ALLOW_PLAIN_HTTP: "loopback", CLIENT_ADDRESS: limits === "on" ? "cf-connecting-ip" : "none", RATE_LIMITS: limits,
  });
  const workers = [["off", edgePort], ["on", limitedPort]].map(([limits, listen]) => ({
    name: `edge-${limits}`, modules: EDGE_MODULES, bindings: bindings(limits), listen: `127.0.0.1:${listen}`,
  }));
  const ready = async () => (await fetch(`${publicUrl}/pluto/public/monitor`)).status === 200;
  const edge = await start(`edge-${name}`, writeConfig({ dir: join(WORK, `edges-${name}`), trust: join(CA, "ca.pem"), workers }), { dir: WORK, ready });
  return { origin, port, edgePort, limitedPort, keys, gateway, loginPassword, passwords, children: [edge, origin] };
}

function challengePath(bed, identity, sent = publicEncrypt({ key: bed.gateway, ...OAEP }, randomBytes(64))) {
  return `/authentication/login-challenges?identity=${identity}&clientChallenge=${encodeURIComponent(sent.toString("base64"))}`;
}

async function challengesRow(bed) {
  const path = challengePath(bed, "merchant-25");
  return row(bed, "challenges alone", () => load({ port: bed.edgePort, request: () => ({ path }), ...settings }));
}

/** Whole logins, one after the other: this process has one thread, and its private-key work is slower than the origin's. */
async function loginsRow(bed) {
  const agent = new Agent({ keepAlive: true });
  const path = challengePath(bed, "merchant-25");
  const measured = async () => {
    const ms = [];
    const began = performance.now();
    while (performance.now() - began < settings.seconds * 1000) {
      const at = performance.now();
      const first = await get(bed.edgePort, path, agent);
      const theirs = Buffer.from(JSON.parse(first.body).base64EncodedChallenge, "base64");
      const opened = privateDecrypt({ key: bed.keys.privateKey, ...OAEP }, theirs);
      const hash = (bytes) => createHash("sha256").update(bytes).digest("base64");
      const body = JSON.stringify({
        identity: "merchant-25", password: bed.loginPassword, base64EncodedChallengeHash: hash(theirs), base64EncodedChallengeResponse: hash(opened),
      });
      const second = await get(bed.edgePort, "/authentication/login", agent, body);
      if (second.status !== 200) throw new Error(`login: ${second.status} ${second.body}`);
      ms.push(performance.now() - at);
    }
    return { done: ms.length, rate: ms.length / settings.seconds, ms: ms.sort((a, b) => a - b) };
  };
  return row(bed, "whole logins, one client (its RSA included)", measured);
}

async function floodRows(bed) {
  const authorization = `Basic ${Buffer.from(`merchant-26:${bed.passwords["merchant-26"]}`).toString("base64")}`;
  let made = 0;
  const request = () => ({
    method: "POST", path: "/pluto/code/create", headers: { authorization, "content-type": "application/json" },
    body: `{"merchantReference":"flood-${process.pid}-${++made}","amount":10.00}`,
  });
  const create = (port) => load({ port, request, seconds: settings.seconds, connections: 4 });
  const rows = [await row(bed, "code creation, 4 connections, alone", () => create(bed.edgePort))];
  const floods = [
    ["pages, for comparison", bed.edgePort, "/Q/0000000000"],
    ["challenges, limits off", bed.edgePort, challengePath(bed, "merchant-25")],
    ["challenges, limits on", bed.limitedPort, challengePath(bed, "merchant-25")],
  ];
  for (const [name, port, path] of floods) {
    const flood = start([FLOOD, port, path, FLOOD_PER_SECOND, settings.seconds + 1]);
    const under = await row(bed, `with ${FLOOD_PER_SECOND}/s of ${name}`, () => create(port));
    rows.push([...under, `p99 ${(Number(under[3]) / Number(rows[0][3])).toFixed(2)} x; flood: ${await flood}`]);
  }
  return rows;

  function start(args) {
    return new Promise((done, failed) => {
      execFile(process.execPath, args.map(String), (error, stdout) => (error ? failed(error) : done(stdout.trim())));
    });
  }
}

async function row(bed, name, measured) {
  const before = cpuMicros(bed.origin.pid);
  const { rate, done, ms } = await measured();
  const cpu = (cpuMicros(bed.origin.pid) - before) / done;
  return [name, rate.toFixed(0), at(ms, 0.5).toFixed(2), at(ms, 0.99).toFixed(2), cpu.toFixed(0)];
}

/** At the origin itself, one connection, the classes in turn: means, and Welch's t of each against the known identity. The
 * known identity against itself is the control. */
async function timing(bed) {
  const agent = new TlsAgent({ keepAlive: true, maxSockets: 1, ca: readFileSync(join(CA, "ca.pem")) });
  const names = ["known", "known again", ...Object.keys(CLASSES).slice(1), "malformed"];
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const sent = Object.fromEntries(names.map((name) => [name, challengePath(bed, CLASSES[name] ?? "merchant-25", name === "malformed" ? randomBytes(512).fill(0, 0, 1) : undefined)]));
  const sizes = new Set();
  for (let n = 0; n < settings.samples; n += 1) {
    for (const name of shuffled(names)) {
      const [path, query] = sent[name].split("?");
      const signed = sign(`https://localhost:${bed.port}`, { key, path, query });
      const began = process.hrtime.bigint();
      const answer = await get(bed.port, signed.path, agent, undefined, signed.headers);
      times[name].push(Number(process.hrtime.bigint() - began) / 1e3);
      sizes.add(`${answer.status} ${answer.body.length}`);
    }
  }
  console.log(`\ntime of a challenge's answer, us; ${settings.samples} of each, interleaved; all answers: ${[...sizes].join(", ")} bytes`);
  const base = trimmed(times.known);
  for (const name of names) {
    const own = trimmed(times[name]);
    console.log(`  ${name.padEnd(14)} mean ${mean(own).toFixed(1).padStart(8)}  sd ${Math.sqrt(variance(own)).toFixed(1).padStart(7)}  t ${welch(own, base).toFixed(2).padStart(6)}`);
  }
}

/** The slowest tenth is the machine's noise. */
function trimmed(all) {
  return all.toSorted((a, b) => a - b).slice(0, Math.floor(all.length * 0.9));
}

function mean(all) {
  return all.reduce((sum, x) => sum + x, 0) / all.length;
}

function variance(all) {
  const middle = mean(all);
  return all.reduce((sum, x) => sum + (x - middle) ** 2, 0) / (all.length - 1);
}

function welch(a, b) {
  return a === b ? 0 : (mean(a) - mean(b)) / Math.sqrt(variance(a) / a.length + variance(b) / b.length);
}

function at(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

function shuffled(list) {
  return list.map((item) => [Math.random(), item]).sort(([a], [b]) => a - b).map(([, item]) => item);
}

function cpuMicros(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

function get(port, path, agent, body, headers = {}) {
  const isTls = agent instanceof TlsAgent;
  const all = body === undefined ? headers : { "content-type": "application/json", "content-length": Buffer.byteLength(body), ...headers };
  return new Promise((done, failed) => {
    const options = { host: isTls ? "localhost" : "127.0.0.1", port, path, agent, method: body === undefined ? "GET" : "POST", headers: all };
    const asked = (isTls ? httpsRequest : httpRequest)(options, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => done({ status: answer.statusCode, body: Buffer.concat(chunks).toString() }));
      answer.on("error", failed);
    });
    asked.on("error", failed);
    asked.end(body);
  });
}
