// What reaches the origin and what comes back: over real TLS, with the signature checked by the stub.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { FRAMED_POLICY, PAGE_POLICY, apiPassword, ask, assertProblem, basic, logOf, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const CREATE = "/pluto/code/create";
const CODE = "/pluto/code/0123456789";
const PAGE = "/Q/0123456789";
const JSON_TYPE = "application/json";
const UNREACHABLE = [503, "origin-unreachable", "The origin did not answer; the outcome is unknown, retry with the same key"];
const BAD_GATEWAY = [502, "bad-gateway", "The origin gave no valid answer; the outcome is unknown"];
const RETRY = { "retry-after": "5" };

let origin, edge, dev;

before(async () => {
  origin = await startOrigin();
  edge = await startEdge(origin, {
    dev: {},
    addressed: { CLIENT_ADDRESS: "cf-connecting-ip" },
    down: { ORIGINS: "a=https://localhost:1" },
    stranger: { ORIGINS: `a=${origin.url.replace("localhost", "127.0.0.1")}` },
  });
  dev = edge.urls.dev;
});
beforeEach(() => {
  origin.requests.length = 0;
  origin.respond = (seen, response) => answerJson(seen, response);
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

function only() {
  assert.equal(origin.requests.length, 1);
  assert.equal(origin.requests[0].refusal, undefined);
  return origin.requests[0];
}

test("a signed request arrives with exactly the covered headers, whatever the client sends", async () => {
  const authorization = basic("merchant-25");
  const spoofed = {
    "scanvault-credential": "verified",
    "scanvault-host": "evil.example",
    "scanvault-client": "10.0.0.1",
    "scanvault-request-id": "f".repeat(32),
    "scanvault-anything": "x",
    signature: "link=:AAAA:",
    "signature-input": "link=()",
    "content-digest": "sha-256=:AAAA:",
    forwarded: "for=10.0.0.1",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-host": "evil.example",
    "x-real-ip": "10.0.0.1",
    "cf-connecting-ip": "10.0.0.1",
    cookie: "a=b",
    "x-http-method-override": "DELETE",
  };
  const body = '{"merchantReference":"r-1","amount":10.00}';
  const headers = { ...spoofed, authorization, "content-type": `${JSON_TYPE}; charset=utf-8`, "idempotency-key": "k-1" };
  const answer = await ask(dev, CREATE, { method: "POST", headers, body });
  assert.equal(answer.status, 200);
  const seen = only();
  assert.deepEqual([seen.method, seen.url, seen.body.toString()], ["POST", CREATE, body]);
  const byTheRuntime = ["cf-worker"]; // on Cloudflare and in Miniflare; not covered, so the origin drops it
  assert.deepEqual(seen.names.filter((name) => !byTheRuntime.includes(name)).toSorted(), [
    "accept-encoding",
    "authorization",
    "content-digest",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "scanvault-client",
    "scanvault-credential",
    "scanvault-host",
    "scanvault-request-id",
    "signature",
    "signature-input",
  ]);
  assert.equal(seen.headers.authorization, authorization);
  assert.equal(seen.headers["scanvault-credential"], "unverified");
  assert.equal(seen.headers["scanvault-host"], new URL(dev).host);
  assert.equal(seen.headers["scanvault-client"], "unknown");
  assert.equal(seen.headers["scanvault-request-id"], answer.headers["scanvault-request-id"]);
  assert.notEqual(seen.headers["scanvault-request-id"], "f".repeat(32));
});

test("every request has an id and a nonce of its own", async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => ask(dev, CODE, { headers: { authorization: basic("merchant-25") } })),
  );
  assert.equal(new Set(answers.map((answer) => answer.headers["scanvault-request-id"])).size, 20);
  assert.deepEqual(origin.requests.map((seen) => seen.refusal), Array(20).fill(undefined)); // the stub keeps nonces
});

test("a name without an implied role goes to the origin, and so does Basic beside a token", async () => {
  for (const authorization of [basic("vodacom-ussd"), `Bearer a.b.c, ${basic("psp-13")}`, ["Bearer nonsense", basic("25")]]) {
    assert.equal((await ask(dev, CODE, { headers: { authorization } })).status, 200);
    const seen = origin.requests.pop();
    assert.deepEqual([seen.refusal, seen.headers["scanvault-credential"]], [undefined, "unverified"]);
  }
});

test("a credential on an open path stays at the edge", async () => {
  const headers = { authorization: basic("merchant-25"), "content-type": JSON_TYPE };
  assert.equal((await ask(dev, "/pluto/public/pay/0123456789", { method: "POST", headers, body: "{}" })).status, 200);
  const seen = only();
  assert.equal(seen.headers.authorization, undefined);
  assert.equal(seen.headers["scanvault-credential"], "none");
});

test("the client's address comes from the one configured header, as an address", async () => {
  for (const [sent, arrived] of [["203.0.113.7", "203.0.113.7"], ["2001:DB8::0:1", "2001:db8::1"], ["evil", "unknown"]]) {
    const headers = { "cf-connecting-ip": sent, "x-forwarded-for": "10.0.0.1" };
    await ask(edge.urls.addressed, PAGE, { headers });
    assert.equal(origin.requests.pop().headers["scanvault-client"], arrived);
  }
});

test("a body of exactly the limit arrives whole, with and without a length", async () => {
  const headers = { authorization: basic("merchant-25"), "content-type": JSON_TYPE };
  const body = "x".repeat(65_536);
  for (const chunked of [false, true]) {
    assert.equal((await ask(dev, CREATE, { method: "POST", headers, body, chunked })).status, 200);
    const seen = origin.requests.pop();
    assert.deepEqual([seen.refusal, seen.body.length], [undefined, 65_536]);
  }
  const empty = await ask(dev, CREATE, { method: "POST", headers, body: "" });
  assert.equal(empty.status, 200);
  assert.deepEqual([only().body.length, only().refusal], [0, undefined]);
});

test("the query arrives as it was signed", async () => {
  for (const [sent, arrived] of [["?utm=a%20b&x=%27", "?utm=a%20b&x=%27"], ["?a='<>\"", "?a=%27%3C%3E%22"], ["?a=|^`{}[]", "?a=|^`{}[]"], ["?", ""]]) {
    assert.equal((await ask(dev, PAGE + sent)).status, 200, sent);
    const seen = origin.requests.pop();
    assert.deepEqual([seen.refusal, seen.url], [undefined, PAGE + arrived]);
  }
});

test("of an answer, the status, the body and the listed headers pass", async () => {
  origin.respond = (seen, response) =>
    answerJson(seen, response, 409, '{"state":"busy"}', {
      "idempotency-status": "OK",
      "retry-after": "2",
      "www-authenticate": "Basic x",
      "set-cookie": "a=b",
      server: "axum",
      location: "https://evil.example/",
      "access-control-allow-origin": "*",
      "cache-control": "public, max-age=604800",
      "content-security-policy": "default-src *",
      "strict-transport-security": "max-age=0",
    });
  const answer = await ask(dev, CODE, { headers: { authorization: basic("merchant-25") } });
  assert.deepEqual([answer.status, answer.body.toString()], [409, '{"state":"busy"}']);
  const { headers } = answer;
  assert.deepEqual(
    [headers["content-type"], headers["content-length"], headers["idempotency-status"], headers["retry-after"], headers["www-authenticate"]],
    [JSON_TYPE, "16", "OK", "2", "Basic x"],
  );
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
  for (const name of ["set-cookie", "server", "location", "access-control-allow-origin"]) assert.equal(headers[name], undefined, name);
});

test("a page gets the policy of pages, on errors too; what is no page does not", async () => {
  const html = { "content-type": "text/html; charset=utf-8", "content-security-policy": "script-src *" };
  for (const status of [200, 404, 410, 503]) {
    origin.respond = (seen, response) => answerJson(seen, response, status, "<main data-state=ready>", html);
    for (const path of [PAGE, "/q/0123456789", "/pluto/public/pay/0123456789", "/public/pay/0123456789"]) {
      const answer = await ask(dev, path);
      assert.deepEqual([answer.status, answer.headers["content-security-policy"]], [status, PAGE_POLICY]);
      assert.equal(answer.headers["cache-control"], "no-store");
      assert.equal(answer.body.toString(), "<main data-state=ready>");
    }
  }
  const answer = await ask(dev, CODE, { headers: { authorization: basic("merchant-25") } });
  assert.notEqual(answer.headers["content-security-policy"], PAGE_POLICY);
});

test("a form of a bank's page passes as it is, and its answer may be framed by ourselves alone", async () => {
  const html = { "content-type": "text/html; charset=utf-8", "x-frame-options": "ALLOWALL", "content-security-policy": "default-src *" };
  origin.respond = (seen, response) => answerJson(seen, response, 200, "<p>back</p>", html);
  const form = "application/x-www-form-urlencoded";
  const body = `cres=${"A".repeat(2000)}%3D%3D&threeDSSessionData=&x=+%2B`;
  for (const path of ["/pluto/public/3ds/method/81234", "/pluto/public/3ds/challenge/81234", "/public/3ds/challenge/81234"]) {
    for (const type of [form, `${form}; charset=UTF-8`]) {
      const headers = { "content-type": type, origin: "null", referer: "https://bank.example/challenge" };
      const answer = await ask(dev, path, { method: "POST", headers, body });
      assert.deepEqual([answer.status, answer.body.toString()], [200, "<p>back</p>"]);
      assert.equal(answer.headers["content-security-policy"], FRAMED_POLICY);
      assert.equal(answer.headers["x-frame-options"], "SAMEORIGIN");
      const seen = origin.requests.pop();
      assert.deepEqual([seen.refusal, seen.url, seen.headers["content-type"], seen.body.toString()], [undefined, path, type, body]);
      for (const name of ["origin", "referer"]) assert.equal(seen.headers[name], undefined, name);
    }
    for (const type of [JSON_TYPE, "multipart/form-data; boundary=x", "text/plain", undefined]) {
      const headers = type ? { "content-type": type } : {};
      const answer = await ask(dev, path, { method: "POST", headers, body });
      assertProblem(answer, 415, "unsupported-media-type", "The body must be application/x-www-form-urlencoded");
      assert.equal(answer.headers["x-frame-options"], "DENY");
    }
    const get = await ask(dev, path);
    assertProblem(get, 405, "method-not-allowed", "This path does not take this method", { allow: "POST" });
  }
  assert.equal(origin.requests.length, 0);
  const pay = await ask(dev, "/pluto/public/pay/0123456789", { method: "POST", headers: { "content-type": form }, body });
  assertProblem(pay, 415, "unsupported-media-type", "The body must be application/json");
});

test("an asset may be cached, and is not sent again to who has it", async () => {
  const asset = { "content-type": "text/javascript", etag: '"v1"', "cache-control": "public, max-age=86400" };
  origin.respond = (seen, response) => answerJson(seen, response, 200, "export {}", asset);
  const path = "/pluto/public/assets/pay.js";
  const whole = await ask(dev, path);
  assert.deepEqual([whole.status, whole.headers.etag, whole.headers["cache-control"]], [200, '"v1"', "public, max-age=86400"]);
  const again = await ask(dev, path, { headers: { "if-none-match": '"v0", "v1"' } });
  assert.deepEqual([again.status, again.body.length, again.headers.etag], [304, 0, '"v1"']);
  assert.equal(again.headers["cache-control"], "public, max-age=86400");
  assert.equal((await ask(dev, path, { headers: { "if-none-match": '"v0"' } })).status, 200);
  origin.respond = (seen, response) => answerJson(seen, response, 404, "gone", asset);
  assert.equal((await ask(dev, path)).headers["cache-control"], "no-store");
});

test("HEAD is forwarded as HEAD and has no body", async () => {
  const answer = await ask(dev, CODE, { method: "HEAD", headers: { authorization: basic("merchant-25") } });
  assert.deepEqual([answer.status, answer.body.length, answer.headers["content-type"]], [200, 0, JSON_TYPE]);
  assert.equal(only().method, "HEAD");
});

test("an answer without a body stays one", async () => {
  origin.respond = (seen, response) => {
    response.writeHead(204, { "scanvault-request-id": seen.headers["scanvault-request-id"] });
    response.end();
  };
  const answer = await ask(dev, CODE, { headers: { authorization: basic("merchant-25") } });
  assert.deepEqual([answer.status, answer.body.length], [204, 0]);
});

test("a large answer passes whole", async () => {
  const body = "y".repeat(1_500_000);
  origin.respond = (seen, response) => answerJson(seen, response, 200, body);
  const answer = await ask(dev, CODE, { headers: { authorization: basic("merchant-25") } });
  assert.equal(answer.body.length, body.length);
});

test("a 401 that does not echo our id is a refused link, not the client's fault", async () => {
  origin.respond = (_, response) => response.writeHead(401).end();
  const answer = await ask(dev, CODE, { headers: { authorization: basic("merchant-25") } });
  assertProblem(answer, ...BAD_GATEWAY);
  origin.respond = (_, response) => response.writeHead(200, { "scanvault-request-id": "0".repeat(32) }).end("hello");
  assertProblem(await ask(dev, PAGE), ...BAD_GATEWAY);
  origin.respond = (seen, response) => answerJson(seen, response, 401, "{}", { "www-authenticate": "Basic x" });
  assert.equal((await ask(dev, CODE, { headers: { authorization: basic("merchant-25") } })).status, 401);
});

test("a redirect is neither followed nor passed on", async () => {
  for (const status of [301, 302, 303, 307, 308, 304]) {
    origin.requests.length = 0;
    origin.respond = (seen, response) => {
      const echo = { "scanvault-request-id": seen.headers["scanvault-request-id"] };
      response.writeHead(status, { ...echo, location: `${origin.url}/elsewhere` }).end();
    };
    const answer = await ask(dev, PAGE);
    assertProblem(answer, ...BAD_GATEWAY);
    assert.equal(answer.headers.location, undefined);
    assert.deepEqual(origin.requests.map((seen) => seen.url), [PAGE]);
  }
});

test("an origin that is down, hangs up, or shows another's certificate is unreachable; only reads are sent again", async () => {
  const authorization = basic("merchant-25");
  assertProblem(await ask(edge.urls.down, CODE, { headers: { authorization } }), ...UNREACHABLE, RETRY);
  const connections = origin.connections;
  assertProblem(await ask(edge.urls.stranger, CODE, { headers: { authorization } }), ...UNREACHABLE, RETRY);
  assert.equal(origin.requests.length, 0);
  assert.ok(origin.connections > connections, "the stranger was reached, and refused for its name");
  origin.respond = (_, response) => response.destroy();
  // A read looks for a connection that lives, as often as a pool may hold dead ones. What takes long to fail is none of
  // those: on a busy machine it may take more than one read to see it.
  let reads = 0;
  for (; origin.requests.length === reads; reads += 1) {
    assert.ok(reads < 20, "no read was sent again");
    assertProblem(await ask(dev, CODE, { headers: { authorization } }), ...UNREACHABLE, RETRY);
  }
  assert.ok(origin.requests.length <= 100 + reads, `${origin.requests.length}`);
  origin.requests.length = 0;
  const posted = { method: "POST", headers: { authorization, "content-type": JSON_TYPE }, body: "{}" };
  assertProblem(await ask(dev, CREATE, posted), ...UNREACHABLE, RETRY);
  assert.equal(origin.requests.length, 1, "the rest is sent once");
  const head = await ask(edge.urls.down, CODE, { method: "HEAD", headers: { authorization } });
  assert.deepEqual([head.status, head.body.length, head.headers["retry-after"]], [503, 0, "5"]);
});

test("the log has one line per request, and no secret, query or body", async () => {
  const authorization = basic("merchant-25", "log");
  const headers = { authorization, "content-type": JSON_TYPE };
  const created = await ask(dev, CREATE, { method: "POST", headers, body: '{"secret":"in-the-body"}' });
  const queried = await ask(dev, "/Q/0123456789?token=in-the-query");
  const unknown = await ask(dev, "/in-the-path/4111111111111111");
  const lines = await logOf(edge, [created, queried, unknown]);
  const shape = ({ durationMs, requestId, ...rest }) => rest;
  assert.ok(lines.every((line) => Number.isInteger(line.durationMs)));
  assert.deepEqual(lines.map(shape), [
    { level: "info", message: "request", method: "POST", route: CREATE, status: 200 },
    { level: "info", message: "request", method: "GET", route: "/q/{code}", status: 200 },
    { level: "info", message: "request", method: "GET", route: "-", status: 404, rule: "not-found" },
  ]);
  const all = edge.logs.join("\n");
  const secrets = [authorization.slice(6), apiPassword("log"), "in-the-body", "in-the-query", "in-the-path", "4111111111111111", "BwcHBwcH"];
  for (const secret of secrets) assert.ok(!all.includes(secret), secret);
});
