// The deadlines of the route table, really waited for, side by side; in a file of their own so that they run beside the
// others.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { ask, assertProblem, basic, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const READ_MS = 8_000; // the row of GET /pluto/code/{code}
const CODE = "/pluto/code/0123456789";

let origin, slow, slower, other, edge;

before(async () => {
  origin = await startOrigin();
  slow = await startOrigin({ region: "a", tls: origin.tls });
  other = await startOrigin({ region: "b", tls: origin.tls });
  slower = await startOrigin({ region: "b", tls: origin.tls });
  for (const stub of [slow, slower]) stub.respond = stub.probed = () => {};
  const ORIGINS = `a=${slow.url} b=${other.url}`;
  const workers = { dev: {}, read: { ORIGINS }, change: { ORIGINS }, dark: { ORIGINS: `a=${slow.url} b=${slower.url}` } };
  edge = await startEdge(origin, workers);
});
after(async () => {
  await edge?.close();
  await Promise.all([origin, slow, slower, other].map((each) => each?.close()));
});

describe("deadlines", { concurrency: true }, () => {
  test("an origin that never answers is given up at the deadline, and only that request", async () => {
    origin.respond = (seen, response) => {
      if (seen.url === CODE) answerJson(seen, response); // the other one hangs
    };
    const headers = { authorization: basic("merchant-25") };
    const began = Date.now();
    const hanging = ask(edge.urls.dev, "/pluto/code/transaction/state/7", { headers });
    assert.equal((await ask(edge.urls.dev, CODE, { headers })).status, 200);
    assert.ok(Date.now() - began < READ_MS, "it does not wait for the other");
    const answer = await hanging;
    const took = Date.now() - began;
    assert.ok(took >= READ_MS - 50 && took < READ_MS + 3_000, `${took} ms`);
    const detail = "The origin did not answer; the outcome is unknown, retry with the same key";
    assertProblem(answer, 503, "origin-unreachable", detail, { "retry-after": "5" });
    assert.equal(origin.requests.length, 2, "nothing is sent twice");
  });

  test("a read leaves half of its time to the next region", async () => {
    const headers = { authorization: basic("merchant-25") };
    const began = Date.now();
    const answer = await ask(edge.urls.read, CODE, { headers });
    const took = Date.now() - began;
    assert.deepEqual([answer.status, answer.headers["scanvault-region"]], [200, "b"]);
    assert.ok(took >= READ_MS / 2 - 50 && took < READ_MS, `${took} ms`);
  });

  test("what changes something waits for its region to the end, and goes nowhere else", async () => {
    const headers = { authorization: basic("merchant-25"), "content-type": "application/json" };
    const began = Date.now();
    const answer = await ask(edge.urls.change, "/pluto/code/create", { method: "POST", headers, body: "{}" });
    const took = Date.now() - began;
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [503, "origin-unreachable"]);
    assert.ok(took >= READ_MS - 50 && took < READ_MS + 3_000, `${took} ms`);
    const arrived = (stub) => stub.requests.filter((seen) => seen.method === "POST").length;
    assert.deepEqual([arrived(slow), arrived(other)], [1, 0]);
  });

  test("the deadline is one for all regions", async () => {
    const headers = { authorization: basic("merchant-25") };
    const began = Date.now();
    const answer = await ask(edge.urls.dark, CODE, { headers });
    const took = Date.now() - began;
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [503, "origin-unreachable"]);
    assert.ok(took >= READ_MS - 50 && took < READ_MS + 3_000, `${took} ms`);
  });

  // As Scanpay documents it: 8 s, and its line. The other interface has a document.
  for (const [path, length, what, text] of [
    ["/v1/new", { "content-length": 10 }, "text/plain; charset=utf-8", "Request Timeout\n"],
    ["/pluto/code/create", { "content-length": 10 }, "application/problem+json", "request-timeout"],
    ["/pluto/code/create", { "transfer-encoding": "chunked" }, "application/problem+json", "request-timeout"],
  ]) {
    test(`a body that does not arrive is given up at the deadline: ${path}, ${Object.keys(length)}`, async () => {
      const began = Date.now();
      const answer = await unfinished(path, length);
      const took = Date.now() - began;
      assert.ok(took >= READ_MS - 50 && took < READ_MS + 3_000, `${took} ms`);
      assert.deepEqual([answer.status, answer.headers["content-type"]], [408, what]);
      assert.equal(what.startsWith("text/") ? answer.text : JSON.parse(answer.text).code, text);
    });
  }
});

/** Sends the head of a call and the first byte of its body, and no more. */
function unfinished(path, length) {
  const headers = { authorization: basic("merchant-25"), "content-type": "application/json", ...length };
  return new Promise((done, failed) => {
    const sent = request(new URL(path, edge.urls.dev), { method: "POST", headers, agent: false }, async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      done({ status: response.statusCode, headers: response.headers, text });
      sent.destroy();
    });
    sent.on("error", failed);
    sent.write("{");
  });
}
