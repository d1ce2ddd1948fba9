// How much of what is not verified reaches the origin, in real workerd. The figures are those of edge/src/budget.rs.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { ask, assertProblem, basic, startEdge } from "./harness.mjs";
import { startOrigin } from "./origin-stub.mjs";
import { addAccount, rotate, startAccounts, token } from "./accounts-stub.mjs";

const CODE = "/pluto/code/0123456789";
const CHALLENGE = "/authentication/login-challenges?identity=merchant-25&clientChallenge=AAAA";
const ADDRESS_BURST = 100;
const STRANGERS_BURST = 500;

let origin, edge, accounts;

before(async () => {
  origin = await startOrigin();
  const addressed = { CLIENT_ADDRESS: "cf-connecting-ip" };
  edge = await startEdge(origin, {
    address: addressed,
    flood: {},
    tokens: {},
    off: { ...addressed, RATE_LIMITS: "off" },
    login: addressed,
    busy: addressed,
    platform: { ...addressed, ratelimits: { LIMITER: { simple: { limit: 10, period: 60 } } } },
  });
});
beforeEach(() => {
  accounts = startAccounts();
  origin.requests.length = 0;
  origin.respond = accounts.respond;
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

const from = (address) => ({ "cf-connecting-ip": address });
const get = (name, authorization, headers = {}, path = CODE) =>
  ask(edge.urls[name], path, { headers: { ...headers, ...(authorization && { authorization }) } });

/** Asks `count` times, some at once; how many got each status, and how long it took in ms. */
async function flood(count, one) {
  const began = Date.now();
  const statuses = {};
  for (let n = 0; n < count; n += 25) {
    const answers = await Promise.all(Array.from({ length: 25 }, (_, at) => one(n + at)));
    for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1;
  }
  return { statuses, took: Date.now() - began };
}

/** Asks until it has to wait: room for one more may just have come free. */
async function untilRefused(one) {
  for (let tries = 0; tries < 10; tries += 1) {
    const answer = await one();
    if (answer.status === 429) return answer;
  }
  return assert.fail("it never has to wait");
}

function assertWait(answer, secs) {
  assertProblem(answer, 429, "too-many-requests", "Too many requests", { "retry-after": answer.headers["retry-after"] });
  const wait = Number(answer.headers["retry-after"]);
  assert.ok(wait >= 1 && wait <= secs, `${wait}`);
}

test("an address that is wrong all the time is slowed down; a right password there, and other addresses, are not", async () => {
  const account = addAccount(accounts, "merchant-25", "right");
  await get("address", basic("25", "right"), from("203.0.113.7"));
  const { statuses, took } = await flood(200, (n) => get("address", basic(`merchant-${1000 + n}`), from("203.0.113.7")));
  const most = ADDRESS_BURST + Math.ceil(took / 500);
  assert.ok(statuses[401] >= ADDRESS_BURST && statuses[401] <= most, JSON.stringify(statuses));
  assert.equal(statuses[401] + statuses[429], 200);
  assert.equal(origin.requests.length, statuses[401] + 1, "what has to wait is not forwarded");
  assertWait(await untilRefused(() => get("address", basic("merchant-9999", "wrong"), from("203.0.113.7"))), 1);
  assert.equal((await get("address", basic("merchant-25", "right"), from("203.0.113.7"))).status, 200);
  // One that the edge has not been told of is not verified: the account was right here before, so its neighbours do not count.
  rotate(account, "second");
  assert.equal((await get("address", basic("merchant-25", "second"), from("203.0.113.7"))).status, 200);
  assert.equal((await get("address", basic("merchant-1", "x"), from("203.0.113.8"))).status, 401);
  assert.equal((await get("address", undefined, from("203.0.113.7"), "/Q/0123456789")).status, 401, "the stub's own");
});

test("invented names do not lock out who was right before, verified or just rotated", async () => {
  const account = addAccount(accounts, "merchant-25", "right");
  addAccount(accounts, "merchant-26", "right");
  await get("flood", basic("25", "right"));
  const { statuses, took } = await flood(1000, (n) => get("flood", basic(`merchant-${1000 + n}`)));
  const most = STRANGERS_BURST + Math.ceil(took / 20);
  assert.ok(statuses[401] >= STRANGERS_BURST && statuses[401] <= most, JSON.stringify({ statuses, took }));
  rotate(account, "second");
  const during = await flood(50, (n) => get("flood", n % 2 ? basic(`merchant-${5000 + n}`) : basic("25", "second")));
  assert.ok(during.statuses[200] === 25, JSON.stringify(during));
  assert.equal((await get("flood", basic("25", "second"))).status, 200);
  // Tokens have a budget of their own.
  assert.equal((await get("flood", `Bearer ${token(accounts.keys[0])}`)).status, 200);
});

test("tokens that nobody can judge are bounded too", async () => {
  origin.respond = (seen, response) => accounts.respond(seen, response);
  accounts.keys = [];
  const { statuses, took } = await flood(800, () => get("tokens", `Bearer ${token(startAccounts().keys[0])}`));
  assert.ok(statuses[401] >= STRANGERS_BURST && statuses[401] <= STRANGERS_BURST + Math.ceil(took / 20), JSON.stringify({ statuses, took }));
});

test("what the origin accepts costs nothing, however much of it there is", async () => {
  // An origin that tells nothing: every request is unverified.
  origin.respond = (seen, response) => {
    response.writeHead(404, { "scanvault-request-id": seen.headers["scanvault-request-id"], "content-length": 0 }).end();
  };
  const { statuses } = await flood(400, () => get("busy", basic("25", "right"), from("203.0.113.7")));
  assert.deepEqual(statuses, { 404: 400 });
  assert.ok(origin.requests.every(({ headers }) => headers["scanvault-credential"] === "unverified"));
});

test("off is off", async () => {
  const { statuses } = await flood(700, (n) => get("off", basic(`merchant-${1000 + n}`), from("203.0.113.7")));
  assert.deepEqual(statuses, { 401: 700 });
  const challenges = await flood(25, () => get("off", undefined, from("203.0.113.7"), CHALLENGE));
  assert.equal(challenges.statuses[429], undefined);
});

test("challenges and logins of an address are limited each; of an unknown one they are the origin's business", async () => {
  const post = (headers) =>
    ask(edge.urls.login, "/authentication/login", { method: "POST", body: "{}", headers: { ...headers, "content-type": "application/json" } });
  for (const one of [(headers) => get("login", undefined, headers, CHALLENGE), post]) {
    const { statuses, took } = await flood(25, () => one(from("203.0.113.7")));
    assert.ok(statuses[401] >= 5 && statuses[401] <= 5 + Math.ceil(took / 6000), JSON.stringify({ statuses, took }));
    assertWait(await untilRefused(() => one(from("203.0.113.7"))), 6);
    assert.equal((await one(from("203.0.113.8"))).status, 401);
    assert.deepEqual((await flood(25, () => one({}))).statuses, { 401: 25 });
  }
});

test("the platform's limiter, where there is one, counts refusals of an address over all isolates", async () => {
  addAccount(accounts, "merchant-25", "right");
  const right = () => get("platform", basic("25", "right"), from("203.0.113.7"));
  await right();
  let refused = 0;
  let answer;
  for (; refused < 60; refused += 1) {
    answer = await get("platform", basic(`merchant-${refused + 1000}`), from("203.0.113.7"));
    if (answer.status === 429) break;
  }
  // It is asked beside the answer, so a few get through; and it counts anew with each minute of the clock.
  assert.ok(refused >= 10 && refused <= 25, `${refused}`);
  assertWait(answer, 10);
  assert.ok(Number(answer.headers["retry-after"]) > 1, "longer than the isolate's own limit would say");
  assert.equal((await right()).status, 200);
  assert.equal((await get("platform", basic("merchant-1"), from("203.0.113.8"))).status, 401);
});
