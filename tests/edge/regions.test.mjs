// Two regions: who is asked, who is asked next, and that nothing which changes something arrives twice. Each test has a
// worker of its own, so that none knows what another saw.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { addAccount, startAccounts } from "./accounts-stub.mjs";
import { apiPassword, ask, assertProblem, basic, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const CREATE = "/pluto/code/create";
const CODE = "/pluto/code/0123456789";
const PAGE = "/Q/0123456789";
const QR = "/pluto/public/qr/0123456789.png";
const JSON_TYPE = "application/json";
const UNREACHABLE = [503, "origin-unreachable", "The origin did not answer; the outcome is unknown, retry with the same key"];
const STANDBY = [503, "standby", "This region stands by; nothing was done, try again later"];
const RETRY = { "retry-after": "5" };
const WORKERS = ["header", "refuses", "resets", "garbage", "redirects", "lost", "standby", "known", "few", "back", "superseded",
  "dark", "none", "probes", "records", "spoofed", "served"];

let a, b, edge;

before(async () => {
  a = await startOrigin({ region: "a" });
  b = await startOrigin({ region: "b", tls: a.tls });
  const workers = Object.fromEntries(WORKERS.map((name) => [name, {}]));
  workers.refuses = { ORIGINS: `a=https://localhost:1 b=${b.url}` };
  workers.dark = { ORIGINS: "a=https://localhost:1 b=https://localhost:2" };
  edge = await startEdge([a, b], workers);
});
beforeEach(() => {
  for (const origin of [a, b]) {
    origin.requests.length = origin.probes.length = 0;
    origin.respond = (seen, response) => answerJson(seen, response, 200, `{"from":"${origin.region}"}`);
    origin.probed = origin.tellState;
    origin.state = { ...origin.state, serves: true, epoch: 0 };
  }
});
after(async () => {
  await edge?.close();
  await Promise.all([a?.close(), b?.close()]);
});

const headers = { authorization: basic("merchant-25") };
const read = (worker, path = CODE) => ask(edge.urls[worker], path, { headers });
const create = (worker, body = '{"merchantReference":"r-1"}') =>
  ask(edge.urls[worker], CREATE, { method: "POST", headers: { ...headers, "content-type": JSON_TYPE, "idempotency-key": "k-1" }, body });
const region = (answer) => answer.headers["scanvault-region"];
const cut = (_, response) => response.destroy();

/** From now on nothing that is sent to it is answered. */
function kill(origin, how = cut) {
  origin.respond = origin.probed = how;
}

function standBy(origin, epoch = 0) {
  origin.state = { ...origin.state, serves: false, epoch };
  origin.respond = (seen, response) => answerJson(seen, response, 503, '{"code":"standby"}', { "scanvault-standby": "1" });
}

/** Asks until the answer is as wished. */
async function until(isSo, what) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await what();
    if (isSo(answer)) return answer;
    assert.ok(Date.now() < deadline, "it never came so");
    await new Promise((turn) => setImmediate(turn));
  }
}

/** Takes the first region down, as live traffic shows it. */
async function takeDown(worker, how) {
  kill(a, how);
  for (let n = 0; n < 3; n += 1) assert.equal(region(await read(worker)), "b");
  a.requests.length = b.requests.length = 0;
}

test("the first region is asked, signed for it, and the answer says who gave it", async () => {
  assert.deepEqual([region(await read("header")), region(await create("header"))], ["a", "a"]);
  assert.deepEqual([a.requests.length, b.requests.length], [2, 0]);
  assert.ok(a.requests.every((seen) => seen.refusal === undefined));
  for (const path of [QR, "/pluto/public/monitor", "/nowhere"]) {
    assert.equal(region(await ask(edge.urls.header, path)), undefined, path);
  }
  assert.equal(region(await ask(edge.urls.header, CODE)), undefined, "refused here");
});

test("neither a client nor an origin decides what is said of regions", async () => {
  a.respond = (seen, response) => answerJson(seen, response, 200, "{}", { "scanvault-region": "evil", "scanvault-standby": "1" });
  const answer = await ask(edge.urls.spoofed, CODE, { headers: { ...headers, "scanvault-region": "b", "scanvault-standby": "1" } });
  assert.deepEqual([answer.status, region(answer), answer.headers["scanvault-standby"]], [200, "a", undefined]);
  const [seen] = a.requests;
  assert.deepEqual([seen.headers["scanvault-region"], seen.headers["scanvault-standby"]], [undefined, undefined]);
  assertProblem(await ask(edge.urls.spoofed, "/pluto/internal/region", { headers }), 404, "not-found", "Not found");
});

for (const [worker, how] of [
  ["refuses", null],
  ["resets", cut],
  ["garbage", (_, response) => response.writeHead(401).end()],
  ["redirects", (seen, response) => answerJson(seen, response, 302, "", { location: "https://evil.example/" })],
]) {
  test(`a read goes on to the next region: the first ${worker}`, async () => {
    if (how) kill(a, how);
    for (const [path, method] of [[CODE, "GET"], [PAGE, "GET"], [CODE, "HEAD"]]) {
      const answer = await ask(edge.urls[worker], path, { method, headers });
      assert.deepEqual([answer.status, region(answer)], [200, "b"], path);
    }
    assert.ok(b.requests.every((seen) => seen.refusal === undefined), "signed anew, for that region");
    assert.deepEqual(b.requests.map((seen) => seen.url), [CODE, PAGE, CODE]);
    const nonces = [...a.requests, ...b.requests].map((seen) => seen.headers["signature-input"]);
    assert.equal(new Set(nonces).size, nonces.length);
  });
}

test("what changes something is sent once, and nowhere else when its answer is lost", async () => {
  for (const how of [cut, (_, response) => response.writeHead(401).end()]) {
    a.requests.length = 0;
    a.respond = how;
    const answer = await create("lost");
    if (how === cut) assertProblem(answer, ...UNREACHABLE, RETRY);
    else assertProblem(answer, 502, "bad-gateway", "The origin gave no valid answer; the outcome is unknown");
    assert.equal(region(answer), undefined);
    assert.deepEqual([a.requests.length, b.requests.length], [1, 0]);
  }
  // A login's challenge is a GET, and is not repeatable.
  a.requests.length = 0;
  a.respond = cut;
  const path = `/authentication/login-challenges?identity=merchant-25&clientChallenge=${"A".repeat(86)}`;
  assertProblem(await ask(edge.urls.lost, path), ...UNREACHABLE, RETRY);
  assert.deepEqual([a.requests.length, b.requests.length], [1, 0]);
});

test("after `standby` it goes to the next region, unchanged, and the one after it goes there at once", async () => {
  standBy(a);
  const body = `{"merchantReference":"r-2","amount":10.00,"x":"${"\u00e9".repeat(20_000)}"}`;
  const answer = await create("standby", body);
  assert.deepEqual([answer.status, region(answer), a.requests.length, b.requests.length], [200, "b", 1, 1]);
  const [first, second] = [a.requests[0], b.requests[0]];
  assert.deepEqual([first.refusal, second.refusal], [undefined, undefined]);
  assert.equal(second.body.toString(), body);
  for (const name of ["authorization", "idempotency-key", "content-type", "content-digest", "scanvault-request-id"]) {
    assert.equal(second.headers[name], first.headers[name], name);
  }
  assert.equal(region(await create("standby")), "b");
  assert.deepEqual([a.requests.length, b.requests.length], [1, 2]);
});

test("a region that is known down is passed over before anything is sent", async () => {
  await takeDown("known");
  assert.equal(region(await create("known")), "b");
  assert.equal(region(await read("known")), "b");
  assert.deepEqual([a.requests.length, b.requests.length], [0, 2]);
});

test("two losses move nobody", async () => {
  a.respond = cut; // what it tells of itself would be a third
  for (let n = 0; n < 2; n += 1) assert.equal(region(await read("few")), "b");
  a.respond = (seen, response) => answerJson(seen, response);
  assert.equal(region(await create("few")), "a");
});

test("who was down is asked again when it has told twice that it is back", async () => {
  await takeDown("back");
  const lines = () => edge.logs.filter((line) => line.startsWith('{"health"')).map((line) => JSON.parse(line));
  assert.ok(lines().some((line) => line.level === "warn" && line.region === "a" && line.health === "down"));
  a.probes.length = 0;
  a.respond = (seen, response) => answerJson(seen, response);
  a.probed = a.tellState;
  await until((answer) => region(answer) === "a", () => read("back"));
  assert.ok(a.probes.length >= 2, `${a.probes.length}`);
  assert.ok(a.probes.every((seen) => seen.refusal === undefined && seen.headers.authorization === undefined));
  assert.equal(region(await create("back")), "a");
});

test("who was superseded is never asked, whatever becomes of the other", async () => {
  a.state = { ...a.state, epoch: 4 };
  b.state = { ...b.state, epoch: 5 };
  await until((answer) => region(answer) === "b", () => read("superseded"));
  a.requests.length = 0;
  assert.equal(region(await create("superseded")), "b");
  kill(b);
  for (let n = 0; n < 5; n += 1) assertProblem(await read("superseded"), ...UNREACHABLE, RETRY);
  assertProblem(await create("superseded"), ...UNREACHABLE, RETRY);
  assert.equal(a.requests.length, 0);
});

test("a region that is told to serve does so with the next request, though nobody else is there", async () => {
  standBy(b);
  assert.equal(region(await read("served")), "a");
  kill(a);
  for (let n = 0; n < 4; n += 1) assertProblem(await read("served"), ...UNREACHABLE, RETRY);
  a.requests.length = b.requests.length = 0;
  b.respond = (seen, response) => answerJson(seen, response);
  const answer = await create("served");
  assert.deepEqual([answer.status, region(answer), a.requests.length, b.requests.length], [200, "b", 0, 1]);
});

test("when no region serves, the client is told that nothing was done", async () => {
  standBy(a);
  standBy(b);
  for (let n = 0; n < 2; n += 1) {
    assertProblem(await create("none"), ...STANDBY, RETRY);
    assertProblem(await read("none"), ...STANDBY, RETRY);
  }
  assert.deepEqual([a.requests.length, b.requests.length], [4, 4], "each is asked once: one of them may serve meanwhile");
});

test("with all of them down there is a document, and images load all the while", async () => {
  const wanted = Array.from({ length: 8 }, async (_, n) => {
    const [answer, image] = await Promise.all([n % 2 ? read("dark") : create("dark"), ask(edge.urls.dark, QR)]);
    assertProblem(answer, ...UNREACHABLE, RETRY);
    assert.deepEqual([image.status, image.headers["content-type"], region(answer)], [200, "image/png", undefined]);
  });
  await Promise.all(wanted);
  const line = await ask(edge.urls.dark, "/v1/new", { method: "POST", headers: { ...headers, "content-type": JSON_TYPE }, body: "{}" });
  assert.deepEqual([line.status, line.body.toString()], [503, `${UNREACHABLE[2]}\n`]);
});

test("each region is asked how it stands once in its interval, however many requests there are", async () => {
  const began = Date.now();
  for (let n = 0; n < 20; n += 1) await Promise.all(Array.from({ length: 10 }, () => read("probes")));
  await until(() => a.probes.length > 0 && b.probes.length > 0, () => read("probes"));
  const most = 1 + Math.floor((Date.now() - began) / 7_500); // three quarters of ten seconds
  for (const { probes, region: name } of [a, b]) {
    assert.ok(probes.length <= most, `${probes.length} of ${most}`);
    assert.ok(probes.every((seen) => seen.refusal === undefined), name);
  }
});

test("what one region told of a credential counts at the other", async () => {
  const accounts = startAccounts();
  addAccount(accounts, "merchant-25", "s");
  const known = { authorization: basic("merchant-25", "s") };
  assert.ok(Buffer.from(known.authorization.slice(6), "base64").toString().endsWith(apiPassword("s")));
  a.respond = b.respond = accounts.respond;
  assert.equal((await ask(edge.urls.records, CODE, { headers: known })).status, 200);
  kill(a);
  const answer = await ask(edge.urls.records, CODE, { headers: known });
  assert.deepEqual([answer.status, region(answer)], [200, "b"]);
  assert.equal(b.requests.at(-1).headers["scanvault-credential"], "verified");
});
