// Scanpay's dialect at the edge: what the edge refuses there is one line, as the origin's refusals are, with the statuses
// and limits of its documentation.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { apiPassword, ask, assertHardened, basic, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const authorization = basic("25");
const json = { authorization, "content-type": "application/json" };

let origin, edge, dev, strict;

before(async () => {
  origin = await startOrigin();
  edge = await startEdge(origin, { dev: {}, strict: { ALLOW_PLAIN_HTTP: "" } });
  ({ dev, strict } = edge.urls);
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

function assertLine(answer, status, text) {
  assert.equal(answer.status, status, answer.body.toString());
  assert.equal(answer.body.toString(), `${text}\n`);
  assert.equal(answer.reason, text, "clients read it there too");
  assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
  assert.equal(answer.headers["content-length"], String(Buffer.byteLength(text) + 1));
  assert.equal(answer.headers["www-authenticate"], undefined);
  assertHardened(answer);
}

async function refused(base, path, options) {
  const before = origin.requests.length;
  const answer = await ask(base, path, options);
  assert.equal(origin.requests.length, before, "it was forwarded");
  return answer;
}

test("credentials: 403 and the documented line", async () => {
  for (const headers of [{}, { authorization: "Basic !!!" }, { authorization: `Basic ${btoa("25:hunter2")}` }, { authorization: "Digest a=b" }]) {
    assertLine(await refused(dev, "/v1/seq/0", { headers }), 403, "invalid apikey");
  }
  assertLine(await refused(dev, "/v1/seq/0", { headers: { authorization: "Bearer a.b" } }), 403, "Invalid JWT token");
  assertLine(await refused(dev, "/v1/seq/0", { headers: { authorization: "Bearer eyJh.eyJz.c2ln" } }), 403, "Invalid or expired JWT token");
});

test("bodies: 32 kB", async () => {
  const post = (body, headers = json) => ask(dev, "/v1/new", { method: "POST", headers, body });
  assert.equal((await post(`"${"x".repeat(31_998)}"`)).status, 200);
  const before = origin.requests.length;
  assertLine(await post(`"${"x".repeat(31_999)}"`), 413, "Request Entity Too Large");
  assertLine(await post("{}", { authorization, "content-type": "text/plain" }), 415, "The body must be application/json");
  assert.equal(origin.requests.length, before);
});

test("bodies: what curl sends by itself", async () => {
  for (const headers of [{}, { "content-type": "application/x-www-form-urlencoded" }]) {
    const answer = await ask(dev, "/v1/new", { method: "POST", headers: { authorization, ...headers }, body: "{}" });
    assert.equal(answer.status, 200);
    assert.equal(origin.requests.at(-1).headers["content-type"], headers["content-type"]);
  }
});

test("headers: 4 kB here, more elsewhere", async () => {
  const headers = { authorization, "x-sdk": "x".repeat(4_000) };
  assertLine(await refused(dev, "/v1/seq/0", { headers }), 400, "Request Header Or Cookie Too Large");
  assert.equal((await ask(dev, "/pluto/code/0123456789", { headers })).status, 200);
  const usual = { authorization, "x-sdk": "nodejs-1.3.0/v20.0.0", "x-cardholder-ip": "192.0.2.1", "content-type": "application/json" };
  assert.equal((await ask(dev, "/v1/seq/0", { headers: usual })).status, 200);
});

test("paths, methods, queries, plain HTTP", async () => {
  assertLine(await refused(dev, "/v1/nothing", { headers: { authorization } }), 404, "Not found");
  const answer = await refused(dev, "/v1/new", { headers: { authorization } });
  assertLine(answer, 405, "This path does not take this method");
  assert.equal(answer.headers.allow, "POST");
  assertLine(await refused(dev, "/v1/seq/0?a=1", { headers: { authorization } }), 400, "The request is not valid");
  assertLine(await refused(strict, "/v1/seq/0", { headers: { authorization } }), 403, "HTTPS is required; a credential sent over plain HTTP must be replaced");
});

test("the key of a call goes on, and its status comes back", async () => {
  origin.respond = (seen, response) => answerJson(seen, response, 200, '{"url":"https://pay.example/Q/1"}', { "idempotency-status": "OK" });
  const headers = { ...json, "idempotency-key": "1001:q3uhVdDkvhKOsFLsoZKoUvca" };
  const answer = await ask(dev, "/v1/new", { method: "POST", headers, body: "{}" });
  origin.respond = answerJson;
  assert.equal(answer.headers["idempotency-status"], "OK");
  const seen = origin.requests.at(-1);
  assert.deepEqual([seen.refusal, seen.headers["idempotency-key"]], [undefined, headers["idempotency-key"]]);
});

test("an origin that does not answer in time", { timeout: 20_000 }, async () => {
  origin.respond = () => {};
  const began = Date.now();
  const answer = await ask(dev, "/v1/new", { method: "POST", headers: { ...json, "idempotency-key": "k" }, body: "{}" });
  origin.respond = answerJson;
  assertLine(answer, 503, "The origin did not answer; the outcome is unknown, retry with the same key");
  assert.equal(answer.headers["idempotency-status"], undefined);
  assert.ok(Date.now() - began < 11_000);
});

test("a refusal of the origin with 403 counts as one of the credential", async () => {
  const wrong = { authorization: `Basic ${btoa(`25:${apiPassword("wrong")}`)}` };
  origin.respond = (seen, response) => answerJson(seen, response, 403, "invalid apikey\n", { "content-type": "text/plain; charset=utf-8" });
  const statuses = [];
  for (let batch = 0; batch < 14; batch += 1) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(dev, "/v1/seq/0", { headers: wrong })));
    statuses.push(...answers.map(({ status }) => status));
  }
  origin.respond = answerJson;
  assert.equal(statuses[0], 403);
  assert.ok(statuses.includes(429), "guessing is bounded");
});
