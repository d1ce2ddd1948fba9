// An origin in trouble, as sockets show it: it says nothing, nonsense, too much or half of it, or cuts the connection. The
// images load meanwhile, the API's answers are problem documents, and what may have an effect is sent once.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { selfSigned } from "./certificate.mjs";
import { ask, assertProblem, basic, startEdge } from "./harness.mjs";
import { BROKEN, TROUBLES, Troubled, UNREACHABLE, whole } from "./troubled.mjs";

const CREATE = "/pluto/code/create";
const CODE = "/pluto/code/0123456789";
const IMAGES = 30;
const RETRY = { "retry-after": "5" };

const origins = {};
let edge;

before(async () => {
  const tls = selfSigned();
  const names = Object.keys(TROUBLES);
  for (const name of names) origins[name] = await new Troubled(tls, TROUBLES[name].does).listen();
  // A worker for each, since a worker remembers what became of an origin.
  const workers = names.map((name, at) => [`w${at}`, { ORIGINS: `a=${origins[name].url}`, RATE_LIMITS: "off" }]);
  edge = await startEdge({ url: "https://localhost:1", ca: tls.cert }, Object.fromEntries(workers));
});
after(async () => {
  await edge?.close();
  Object.values(origins).forEach((origin) => origin.close());
});

describe("an origin that", { concurrency: 6 }, () => {
  for (const [at, [name, { gives }]] of Object.entries(TROUBLES).entries()) {
    test(name, async () => {
      const base = edge.urls[`w${at}`];
      const { arrived } = origins[name];
      const authorization = basic("merchant-25");
      const answers = [
        ask(base, CREATE, { method: "POST", headers: { authorization, "content-type": "application/json" }, body: '{"amount":1}' }),
        ask(base, CODE, { headers: { authorization } }),
      ];
      const settled = Promise.allSettled(answers);
      const images = await Promise.all(Array.from({ length: IMAGES }, (_, n) => ask(base, `/pluto/public/qr/${String(n).padStart(10, "0")}.${n % 2 ? "png" : "svg"}`)));
      assert.ok(images.every(({ status }) => status === 200));
      for (const { status, value, reason } of await settled) {
        if (gives === BROKEN) assert.match(`${status} ${reason?.code}`, /^rejected ECONNRESET$/, JSON.stringify(value));
        else assertProblem(value ?? assert.fail(reason), ...gives, gives === UNREACHABLE ? RETRY : {});
      }
      const times = (method) => arrived.filter((request) => request.method === method).length;
      assert.equal(times("POST"), 1, "what may have an effect is sent once");
      assert.equal(times("GET"), 1, "it never answered, so no connection can be one that died since");
      assert.equal(new Set(arrived.map(({ method, id }) => `${method} ${id}`)).size, 2);
    });
  }
});

test("reads look for a connection that lives as often as answers may have left one, and not for each read anew", async () => {
  const [answered, cut] = [4, 12];
  const tls = selfSigned();
  const origin = await new Troubled(tls, (socket, { id }) => (origin.arrived.length > answered ? socket.destroy() : socket.write(`${whole(id, "{}")}{}`))).listen();
  const own = await startEdge({ url: origin.url, ca: tls.cert }, { dev: { RATE_LIMITS: "off" } });
  const read = async () => (await ask(own.urls.dev, CODE, { headers: { authorization: basic("merchant-25") } })).status;
  try {
    for (let n = 0; n < answered; n += 1) assert.equal(await read(), 200);
    for (let n = 0; n < cut; n += 1) assert.equal(await read(), 503);
    const { length } = origin.arrived;
    assert.ok(length <= answered + cut + answered, `${length}`);
  } finally {
    await own.close();
    origin.close();
  }
});

test("bytes that it has packed without saying so are passed on as they are", async () => {
  const tls = selfSigned();
  const packed = gzipSync('{"a":1}');
  const origin = await new Troubled(tls, (socket, { id }) => {
    socket.write(whole(id, packed));
    socket.write(packed);
  }).listen();
  const own = await startEdge({ url: origin.url, ca: tls.cert }, { dev: {} });
  try {
    const answer = await ask(own.urls.dev, CODE, { headers: { authorization: basic("merchant-25") } });
    assert.deepEqual([answer.status, answer.headers["content-encoding"], answer.body], [200, undefined, packed]);
  } finally {
    await own.close();
    origin.close();
  }
});
