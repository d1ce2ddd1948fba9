// A region that is frozen keeps its connections and says nothing on them. An edge asks all regions then, rather than learn
// it from deadlines; and who is only slow is not asked all the time. Each test has a worker of its own.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { ask, assertProblem, basic, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const CREATE = "/pluto/code/create";
const UNREACHABLE = [503, "origin-unreachable", "The origin did not answer; the outcome is unknown, retry with the same key", { "retry-after": "5" }];
/** How often a region may be asked in doubt at most: 500 ms, less a quarter. */
const OFTEN_MS = 375;

let a, b, edge, another;

before(async () => {
  a = await startOrigin({ region: "a" });
  b = await startOrigin({ region: "b", tls: a.tls });
  edge = await startEdge([a, b], { frozen: {}, slow: {} });
  another = await startEdge([a, b], { fresh: {} });
});
beforeEach(() => {
  for (const origin of [a, b]) {
    origin.requests.length = origin.probes.length = 0;
    origin.respond = (seen, response) => answerJson(seen, response);
    origin.probed = origin.tellState;
    origin.state = { ...origin.state, serves: origin === a, epoch: 1 };
  }
  b.respond = (seen, response) => answerJson(seen, response, 503, '{"code":"standby"}', { "scanvault-standby": "1" });
});
after(async () => {
  await Promise.all([edge?.close(), another?.close()]);
  await Promise.all([a?.close(), b?.close()]);
});

const headers = { authorization: basic("merchant-25"), "content-type": "application/json" };
const create = (worker, key) => ask({ ...edge.urls, ...another.urls }[worker], CREATE, { method: "POST", headers: { ...headers, "idempotency-key": key }, body: "{}" });
const region = (answer) => answer.headers["scanvault-region"];
const keys = (origin) => origin.requests.filter(({ method }) => method === "POST").map((seen) => seen.headers["idempotency-key"]);

/** It says so of the first region in its log. */
const isSaid = ({ logs }, health) => logs.some((line) => line.startsWith(`{"health":"${health}"`) && line.includes('"region":"a"'));

async function until(what, isSo) {
  const deadline = Date.now() + 30_000;
  while (!(await isSo())) {
    assert.ok(Date.now() < deadline, what);
    await new Promise((turn) => setImmediate(turn));
  }
}

function freeze(origin) {
  origin.respond = origin.probed = () => {};
}

function serve(origin) {
  origin.state = { ...origin.state, serves: true, epoch: 2 };
  origin.respond = (seen, response) => answerJson(seen, response);
}

test("a frozen region: the other one is asked, found when it serves, and nothing goes to both", { timeout: 60_000 }, async (t) => {
  assert.equal(region(await create("frozen", "k-0")), "a");
  await until("both have told how they stand", () => a.probes.length > 0 && b.probes.length > 0);
  freeze(a);
  let isGivenUp = false;
  const hanging = create("frozen", "k-1").finally(() => (isGivenUp = true));
  const asked = b.probes.length;
  await until("it is asked because of the one that waits", () => b.probes.length > asked);
  const began = Date.now();
  serve(b);
  await until("it is found", () => isSaid(edge, "superseded"));
  assert.equal(region(await create("frozen", "k-2")), "b");
  t.diagnostic(`found ${Date.now() - began} ms after it served`);
  assert.equal(isGivenUp, false, "before the one that waits was given up");
  assertProblem(await hanging, ...UNREACHABLE);
  assert.deepEqual([keys(a), keys(b)], [["k-0", "k-1"], ["k-2"]], "what may have been done was sent nowhere else");
});

test("an edge that knows nothing yet takes a frozen region for down", { timeout: 60_000 }, async () => {
  freeze(a);
  b.state = { ...b.state, serves: true };
  b.respond = (seen, response) => answerJson(seen, response);
  let isGivenUp = false;
  const hanging = create("fresh", "k-3").finally(() => (isGivenUp = true));
  await until("it is taken for down", () => isSaid(another, "down"));
  assert.equal(region(await create("fresh", "k-4")), "b");
  assert.equal(isGivenUp, false);
  assertProblem(await hanging, ...UNREACHABLE);
  assert.deepEqual([keys(a), keys(b)], [["k-3"], ["k-4"]]);
});

test("a region that is slow with one request is asked now and then, and goes on", { timeout: 60_000 }, async () => {
  let finish;
  a.respond = (seen, response) => (finish = () => answerJson(seen, response));
  const began = Date.now();
  const slow = create("slow", "k-5");
  await until("it is asked some times", () => a.probes.length >= 4);
  const most = 1 + Math.floor((Date.now() - began) / OFTEN_MS);
  for (const { probes } of [a, b]) assert.ok(probes.length <= most, `${probes.length} of ${most}`);
  const [first] = a.requests;
  finish();
  assert.equal(region(await slow), "a");
  a.respond = (seen, response) => answerJson(seen, response);
  assert.equal(region(await create("slow", "k-6")), "a", "it was never in question");
  assert.deepEqual([keys(a), keys(b), first.refusal], [["k-5", "k-6"], [], undefined]);
});
