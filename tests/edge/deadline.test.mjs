// The deadline of the route table, really waited for; in a file of its own so that it runs beside the others.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, assertProblem, basic, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const READ_MS = 8_000; // the row of GET /pluto/code/{code}
const CODE = "/pluto/code/0123456789";

let origin, edge;

before(async () => {
  origin = await startOrigin();
  edge = await startEdge(origin, { dev: {} });
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

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
