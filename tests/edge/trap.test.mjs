// A panic of the worker is a trap: its memory is of no more use. What must hold nevertheless: hardened answers, and that
// the next request finds a worker. There is no panic to call for, so a call of the module into the runtime throws what a
// trap throws, in the middle of its work.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, assertProblem, basic, logOf, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const CODE = "/pluto/code/0123456789";
const HELLO = "/pluto/public/monitor";
const QR = "/pluto/public/qr/0123456789";
const INTERNAL = [500, "internal", "Internal error; the outcome is unknown, ask or retry with the same reference"];

/**
 * `x-trap: now` traps before an answer is thought of, `later` when the origin has answered, `after` in what is left to be
 * done after the answer, `all` now and each time that a module starts.
 */
const AROUND = `
import worker from "./index.js";
const [now, send] = [Date.now, globalThis.fetch];
let [isArmed, isLater, isBroken] = [false, false, false];
Date.now = () => {
  if (!isArmed && !isBroken) return now();
  isArmed = false;
  throw new WebAssembly.RuntimeError("unreachable");
};
globalThis.fetch = async (...all) => {
  const answer = await send(...all);
  isArmed ||= isLater;
  isLater = false;
  return answer;
};
const { Instance } = WebAssembly;
WebAssembly.Instance = function (...all) {
  if (isBroken) throw new WebAssembly.RuntimeError("unreachable");
  return new Instance(...all);
};
export default {
  async fetch(request, env, context) {
    const trap = request.headers.get("x-trap");
    [isArmed, isLater] = [trap === "now", trap === "later"];
    isBroken = trap === "all";
    const answer = await worker.fetch(request, env, context);
    isArmed ||= trap === "after";
    return answer;
  },
};`;

const authorization = basic("merchant-25");
let origin, second, edge, dev;

before(async () => {
  origin = await startOrigin();
  second = await startOrigin({ region: "b", tls: origin.tls });
  // With two regions there is something to do after an answer: they are asked how they stand.
  const ORIGINS = `a=${origin.url} b=${second.url}`;
  edge = await startEdge(origin, { dev: { around: AROUND }, two: { around: AROUND, ORIGINS } });
  ({ dev } = edge.urls);
});
after(async () => {
  await edge?.close();
  await Promise.all([origin?.close(), second?.close()]);
});

const restarts = () => edge.logs.filter((line) => line.includes("the module is started anew")).length;

test("the request gets a hardened 500 and a line in the log, and the next one an answer", async () => {
  for (const [path, headers] of [[HELLO, {}], [QR, {}], [CODE, { authorization }]]) {
    const answer = await ask(dev, path, { headers: { ...headers, "x-trap": "now" } });
    assertProblem(answer, ...INTERNAL);
    const [line] = await logOf(edge, [answer]);
    assert.deepEqual([line.level, line.rule, line.cause], ["error", "internal", "the module was started anew"]);
    assert.equal((await ask(dev, path, { headers })).status, 200, path);
  }
  const head = await ask(dev, HELLO, { method: "HEAD", headers: { "x-trap": "now" } });
  assert.deepEqual([head.status, head.body.length], [500, 0]);
});

test("so does one that had asked the origin", async () => {
  origin.requests.length = 0;
  assertProblem(await ask(dev, CODE, { headers: { authorization, "x-trap": "later" } }), ...INTERNAL);
  assert.equal(origin.requests.length, 1, "it is not sent again");
  assert.equal((await ask(dev, CODE, { headers: { authorization } })).status, 200);
});

test("what was under way in it fails alone: it does not start the module anew once more", async () => {
  let release;
  const held = new Promise((done) => (release = done));
  const arrived = new Promise((done) => {
    origin.respond = async (seen, response) => {
      done();
      await held;
      answerJson(seen, response);
    };
  });
  const under = ask(dev, CODE, { headers: { authorization } });
  await arrived;
  origin.respond = answerJson;
  const before = restarts();
  assertProblem(await ask(dev, HELLO, { headers: { "x-trap": "now" } }), ...INTERNAL);
  release();
  const answer = await under;
  assertProblem(answer, ...INTERNAL);
  await logOf(edge, [answer]);
  assert.equal(restarts(), before + 1);
  assert.equal((await ask(dev, CODE, { headers: { authorization } })).status, 200);
});

test("what is left to be done after an answer fails without an answer, and without a line as for a request", { timeout: 60_000 }, async () => {
  const before = restarts();
  const { two } = edge.urls;
  const answers = [await ask(two, CODE, { headers: { authorization, "x-trap": "after" } })];
  while (restarts() === before) await new Promise((turn) => setImmediate(turn));
  answers.push(await ask(two, CODE, { headers: { authorization } }));
  assert.deepEqual(answers.map(({ status }) => status), [200, 200]);
  await logOf(edge, answers);
  assert.equal(restarts(), before + 1);
  const ids = answers.map(({ headers }) => headers["scanvault-request-id"]);
  const [from, to] = ids.map((id) => edge.logs.findIndex((line) => line.includes(id)));
  assert.deepEqual(edge.logs.slice(from + 1, to).filter((line) => line.includes('"message":"request"')), []);
});

test("a module that does not start any more leaves a bare answer with the headers that harden", async () => {
  const answer = await fetch(new URL(HELLO, dev), { headers: { "x-trap": "all" } });
  assert.deepEqual([answer.status, await answer.text()], [500, ""]);
  const hardened = (await ask(dev, HELLO)).headers;
  for (const name of ["strict-transport-security", "x-content-type-options", "referrer-policy", "x-frame-options", "content-security-policy", "cache-control"]) {
    assert.equal(answer.headers.get(name), hardened[name], name);
  }
});
