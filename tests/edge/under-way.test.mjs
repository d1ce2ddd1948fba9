// How many requests wait for the origin at once, in real workerd, with an origin that hangs. The figures are those of
// edge/src/underway.rs. Each test has a worker of its own.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { ask, assertProblem, logOf, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const MOST = 1_024;
const SHARE = 256;
/** A row that waits for long, so that none is over before the last has come. */
const PAY = "/pluto/public/pay/0123456789";
/** One that waits 8 s. */
const PAGE = "/Q/0123456789";
const QR = "/pluto/public/qr/0123456789.png";
const OVERLOADED = [503, "overloaded", "Too much to do at the moment; nothing was done, try again later", { "retry-after": "2" }];

let origin, edge, held;

before(async () => {
  origin = await startOrigin();
  edge = await startEdge(origin, { all: {}, shares: { CLIENT_ADDRESS: "cf-connecting-ip" }, gone: { CLIENT_ADDRESS: "cf-connecting-ip" } });
});
beforeEach(() => {
  origin.requests.length = 0;
  held = [];
  origin.respond = (seen, response) => held.push([seen, response]);
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

const pay = (worker, address = "203.0.113.1") =>
  ask(edge.urls[worker], PAY, { method: "POST", headers: { "content-type": "application/json", "cf-connecting-ip": address }, body: '{"a":1}' });

async function until(isSo) {
  const deadline = Date.now() + 60_000;
  while (!(await isSo())) {
    assert.ok(Date.now() < deadline, "it never came so");
    await new Promise((turn) => setImmediate(turn));
  }
}

/** So many wait for the origin. */
async function waiting(count, one) {
  const answers = Array.from({ length: count }, one);
  await until(() => held.length >= count);
  return answers;
}

/** The origin answers what has waited, and from now on at once. */
function recover() {
  origin.respond = answerJson;
  for (const [seen, response] of held) answerJson(seen, response);
}

test("over the bound nothing is sent, images and the edge's own state come, and when the origin answers it goes on", { timeout: 120_000 }, async () => {
  const answers = await waiting(MOST, () => pay("all"));
  const refused = await Promise.all([pay("all"), pay("all"), ask(edge.urls.all, PAGE)]);
  for (const answer of refused) assertProblem(answer, ...OVERLOADED);
  for (const { rule, status } of await logOf(edge, refused)) assert.deepEqual([rule, status], ["limit-under-way", 503]);
  for (const path of [QR, "/pluto/public/monitor"]) assert.equal((await ask(edge.urls.all, path)).status, 200, path);
  assert.equal(origin.requests.length, MOST, "nothing was sent for those");
  recover();
  for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  assert.equal(origin.requests.length, MOST, "each was sent once");
  assert.equal((await pay("all")).status, 200);
});

test("one client has a quarter of it, and the others the rest", { timeout: 120_000 }, async () => {
  const answers = await waiting(SHARE, () => pay("shares"));
  const refused = await pay("shares");
  assertProblem(refused, ...OVERLOADED);
  assert.equal((await logOf(edge, [refused]))[0].rule, "limit-under-way-client");
  const [other] = await waiting(1, () => pay("shares", "203.0.113.2"));
  await until(() => held.length === SHARE + 1);
  recover();
  for (const { status } of await Promise.all([...answers, other])) assert.equal(status, 200);
  assert.equal((await pay("shares")).status, 200);
});

test("clients that have gone leave nothing behind when their time is over, though the origin never answers", { timeout: 120_000 }, async () => {
  const address = { "cf-connecting-ip": "203.0.113.3" };
  const clients = await waiting(SHARE, () => {
    const client = request(new URL(PAGE, edge.urls.gone), { headers: address, agent: false }).end();
    return client.on("error", () => {});
  });
  assertProblem(await ask(edge.urls.gone, PAGE, { headers: address }), ...OVERLOADED);
  clients.forEach((client) => client.destroy());
  origin.respond = answerJson;
  await until(async () => (await ask(edge.urls.gone, PAGE, { headers: address })).status === 200);
});
