// Hostile requests against the built wasm in workerd, from a seed: no 5xx, no isolate lost, memory flat, every answer
// hardened, and nothing forwarded that is not signed.
//   node tests/edge/hostile-soak.mjs --requests N --seed S
// Three workers of one process share them: one without limits, one with limits by address, and one whose screen only
// reports. The origin tells of credentials before the beginning and never again: an isolate that was started anew in between
// would not know the token.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { EDGE_MODULES, writeConfig } from "../../scripts/lib/workerd.mjs";
import { ask, assertHardened, basic } from "../lib/answers.mjs";
import { Wire, isRuntimesOwn } from "../lib/raw.mjs";
import { addAccount, claims, startAccounts, token } from "./accounts-stub.mjs";
import { edgeBindings } from "./harness.mjs";
import { Hostile } from "./hostile.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const CODE = "/pluto/code/0123456789";
const LANES = 24;
const QUARTERS = 4;
/** V8 lets three isolates grow to some two hundred megabytes each before it collects in earnest; seen: 600 MiB after a quarter of a
 * million requests, and no more after a million. */
const MAX_RESIDENT_KB = 800 * 1024;
/** From there on it is flat: a leak of a hundred bytes a request would be fifty megabytes in the second half. */
const MAX_GROWTH_KB = 40 * 1024;
const FLAT_AFTER = 500_000;
const WORKERS = {
  plain: { RATE_LIMITS: "off" },
  limited: { RATE_LIMITS: "on", CLIENT_ADDRESS: "cf-connecting-ip" },
  monitor: { RATE_LIMITS: "off", SCREEN: "monitor" },
};

const { values } = parseArgs({ options: { requests: { type: "string" }, seed: { type: "string" } } });
const [requests, seed] = [values.requests, values.seed].map(Number);
assert.ok(Number.isSafeInteger(requests) && requests > 0 && Number.isSafeInteger(seed), "--requests N --seed S");

const dir = mkdtempSync(join(tmpdir(), "scanvault-hostile-"));
const accounts = startAccounts();
addAccount(accounts, "merchant-25", "right");
const RIGHT = { bearer: `Bearer ${token(accounts.keys[0], claims())}`, basic: basic("25", "right") };

const origin = await startOrigin();
const counts = {};
const forwarded = { total: 0 };
let lastMark;
let isTelling = true;
let answered = 0;
origin.respond = (seen, response) => {
  origin.requests.length = 0;
  assert.equal(seen.refusal, undefined, `${seen.method} ${seen.url}`);
  forwarded.total += 1;
  lastMark = seen.headers["scanvault-credential"];
  if (isTelling) return accounts.respond(seen, response);
  answerJson(seen, response, [200, 200, 404, 409, 400][(answered += 1) % 5]);
};

const edge = await start();
try {
  await run();
} finally {
  edge.child.kill("SIGKILL");
  await origin.close();
  rmSync(dir, { recursive: true, force: true });
}

async function start() {
  writeFileSync(join(dir, "ca.pem"), origin.ca);
  const names = Object.keys(WORKERS);
  const worker = (name) => ({ name, modules: EDGE_MODULES, bindings: { ...edgeBindings([origin]), ...WORKERS[name] }, listen: "127.0.0.1:0" });
  const workers = names.map(worker);
  const [program, ...args] = writeConfig({ dir: join(dir, "edge"), workers, trust: join(dir, "ca.pem") });
  const errors = join(dir, "stderr");
  const child = spawn(program, [...args, "--control-fd=3"], { stdio: ["ignore", "ignore", openSync(errors, "w"), "pipe"] });
  const urls = await ports(child, names);
  return { child, urls, errors: () => readFileSync(errors, "utf8") };
}

/** workerd says on its control descriptor which port each socket has. */
function ports(child, names) {
  return new Promise((done, failed) => {
    const urls = {};
    let text = "";
    child.on("exit", () => failed(new Error("workerd ended")));
    child.stdio[3].on("data", (bytes) => {
      text += bytes;
      for (const line of text.split("\n").slice(0, -1)) {
        const said = JSON.parse(line);
        if (said.event === "listen") urls[said.socket] = `http://127.0.0.1:${said.port}`;
      }
      if (names.every((name) => urls[name])) done(urls);
    });
  });
}

async function run() {
  const began = Date.now();
  for (const url of Object.values(edge.urls)) {
    for (const authorization of Object.values(RIGHT)) assert.equal((await ask(url, CODE, { headers: { authorization } })).status, 200);
  }
  await sameIsolates();
  isTelling = false;
  const resident = [];
  for (let quarter = 1; quarter <= QUARTERS; quarter += 1) {
    let left = Math.floor((requests * quarter) / QUARTERS) - Math.floor((requests * (quarter - 1)) / QUARTERS);
    const lane = async (n) => {
      const draw = new Hostile(seed * 64 + quarter * LANES + n, Object.values(RIGHT));
      const name = Object.keys(WORKERS)[n % 3];
      const state = { url: edge.urls[name], wire: undefined };
      while (left-- > 0) await one(state, draw.next());
      state.wire?.destroy();
    };
    await Promise.all(Array.from({ length: LANES }, (_, n) => lane(n)));
    await sameIsolates();
    resident.push(residentKb());
  }
  const secs = (Date.now() - began) / 1000;
  console.error(`${requests} requests in ${secs.toFixed(0)} s (${Math.round(requests / secs)}/s), ${forwarded.total} forwarded; by status (! is the runtime's own): ${JSON.stringify(counts)}`);
  console.error(`resident after each quarter, MiB: ${resident.map((kb) => Math.round(kb / 1024)).join(", ")}; the same three isolates throughout`);
  assert.ok(Math.max(...resident) <= MAX_RESIDENT_KB, "too much memory");
  const grown = resident[3] - resident[1];
  assert.ok(requests <= FLAT_AFTER || grown <= MAX_GROWTH_KB, `memory grew by ${grown} KiB in the second half`);
  assert.ok(forwarded.total > requests / 50, "some of it got as far as the origin");
  assert.ok(!/panicked|RuntimeError|unreachable/.test(edge.errors()), edge.errors().slice(0, 2000));
}

/** One request, and every answer to it. One that finds its connection closed, as the last answer may have done, goes anew. */
async function one(state, request) {
  const { bytes, toHead, isClean } = request;
  for (let time = 1; time <= 2; time += 1) {
    const isNew = state.wire === undefined || state.wire.closed;
    if (isNew) state.wire = new Wire(state.url);
    const { wire } = state;
    wire.write(bytes);
    if (!isClean) wire.end();
    const answers = isClean ? [await wire.answer({ toHead })] : await wire.answers({ toHead });
    if (isClean && answers[0] === undefined && !isNew) continue;
    judge(answers, request);
    if (!isClean || answers[0].headers.connection === "close") {
      wire.destroy();
      state.wire = undefined;
    }
    return;
  }
  assert.fail(`no answer: ${shown(request)}`);
}

function judge(answers, request) {
  if (answers.length === 0) count("none");
  for (const answer of answers) {
    assert.ok(answer, `no answer: ${shown(request)}`);
    const isOwn = isRuntimesOwn(answer);
    count(`${answer.status}${isOwn ? "!" : ""}`);
    if (isOwn) {
      assert.ok(!request.isClean, `the runtime refused ${answer.status}: ${shown(request)}`);
      continue;
    }
    assertHardened(answer);
    assert.ok(answer.status < 500, `${answer.status}: ${shown(request)}`);
  }
}

function shown({ bytes }) {
  return JSON.stringify(bytes.toString("latin1").slice(0, 700));
}

function count(what) {
  counts[what] = (counts[what] ?? 0) + 1;
}

/** Each isolate still knows the token that it was told of at the beginning. */
async function sameIsolates() {
  for (const [name, url] of Object.entries(edge.urls)) {
    lastMark = undefined;
    const { status } = await ask(url, CODE, { headers: { authorization: RIGHT.bearer } });
    assert.ok(["verified", "renew"].includes(lastMark), `${name}: another isolate (${status}, ${lastMark})`);
  }
}

function residentKb() {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${edge.child.pid}/status`, "utf8"))[1]);
}
