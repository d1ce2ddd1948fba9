// The edge's own state: as JSON and as a page, with regions that answer, that do not, and that lie.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { ask, startEdge } from "./harness.mjs";
import { LINK_KEY, answerJson, startOrigin } from "./origin-stub.mjs";

const MONITOR = "/pluto/public/monitor";
const HTML = { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" };

let a, b, edge;

before(async () => {
  a = await startOrigin({ region: "a" });
  b = await startOrigin({ region: "b", tls: a.tls });
  const down = { ORIGINS: "a=https://localhost:1 b=https://localhost:2" };
  edge = await startEdge([a, b], { up: {}, often: {}, down, other: {}, liar: {}, hangs: {}, one: { ORIGINS: `a=${a.url}` } });
});
beforeEach(() => {
  for (const origin of [a, b]) {
    origin.requests.length = origin.probes.length = 0;
    origin.probed = origin.tellState;
    origin.state = { ...origin.state, version: "0.1.0", sealed: false, serves: true, epoch: 0 };
  }
});
after(async () => {
  await edge?.close();
  await Promise.all([a?.close(), b?.close()]);
});

async function monitor(worker, path = MONITOR) {
  const answer = await ask(edge.urls[worker], path);
  assert.deepEqual([answer.status, answer.headers["content-type"], answer.headers["cache-control"]], [200, "application/json", "no-store"]);
  assert.equal(answer.headers.vary, "accept");
  return JSON.parse(answer.body);
}

const brief = ({ regions }) => regions.map(({ region, role, health, sealed, serves, epoch }) => [region, role, health, sealed, serves, epoch]);

test("it asks the regions itself, signed, and says what they told", async () => {
  a.state = { ...a.state, sealed: true, epoch: 3 };
  b.state = { ...b.state, serves: false, epoch: 3, version: "0.2.0" };
  const state = await monitor("up", "/public/monitor?x=1");
  assert.deepEqual(Object.keys(state), ["status", "version", "regions"]);
  assert.equal(state.status, "ok");
  assert.match(state.version, /^\d+\.\d+\.\d+$/);
  assert.deepEqual(brief(state), [["a", "primary", "up", true, true, 3], ["b", "secondary", "standby", false, false, 3]]);
  assert.deepEqual(state.regions.map(({ version }) => version), ["0.1.0", "0.2.0"]);
  for (const { toldSecondsAgo, answeredSecondsAgo } of state.regions) {
    assert.ok(toldSecondsAgo >= 0 && toldSecondsAgo < 60 && answeredSecondsAgo >= 0 && answeredSecondsAgo < 60);
  }
  for (const { probes, requests } of [a, b]) {
    assert.deepEqual([probes.length, requests.length], [1, 0]);
    assert.deepEqual([probes[0].refusal, probes[0].method, probes[0].headers["scanvault-credential"]], [undefined, "GET", "none"]);
  }
  assert.deepEqual(brief(await monitor("one")), [["a", "primary", "up", true, true, 3]]);
});

test("however often it is asked, the regions are asked every few seconds", async () => {
  const began = Date.now();
  for (let n = 0; n < 20; n += 1) await Promise.all(Array.from({ length: 5 }, () => monitor("often")));
  const most = 1 + Math.floor((Date.now() - began) / 3_000);
  for (const { probes } of [a, b]) assert.ok(probes.length >= 1 && probes.length <= most, `${probes.length} of ${most}`);
});

test("who says nothing, or nothing of ours, is not believed", async () => {
  const wrong = (body, status = 200) => (seen, response) => answerJson(seen, response, status, body);
  const lies = [wrong("{}"), wrong("x".repeat(5_000)), wrong(JSON.stringify({ ...b.state, version: "<script>" })), wrong(JSON.stringify(a.state), 404)];
  lies.push(wrong(JSON.stringify({ ...a.state, region: "b" })), (_, response) => response.writeHead(200).end(JSON.stringify(a.state)));
  for (const [at, lie] of lies.entries()) {
    a.probed = lie;
    const fresh = await startEdge([a, b], { fresh: {} });
    try {
      const state = JSON.parse((await ask(fresh.urls.fresh, MONITOR)).body);
      assert.deepEqual([state.regions[0].health, state.regions[0].version, state.regions[1].health], ["doubtful", null, "up"], `${at}`);
    } finally {
      await fresh.close();
    }
  }
});

test("with every region out of reach it says so, as JSON and as a page", async () => {
  assert.deepEqual(brief(await monitor("down")), [["a", "primary", "doubtful", null, null, null], ["b", "secondary", "doubtful", null, null, null]]);
  const page = await ask(edge.urls.down, MONITOR, { headers: HTML });
  assert.deepEqual([page.status, page.headers["content-type"]], [200, "text/html; charset=utf-8"]);
});

test("the page may have its one style and nothing else", async () => {
  const page = await ask(edge.urls.up, MONITOR, { headers: HTML });
  const text = page.body.toString();
  const style = /<style>([^]*)<\/style>/.exec(text)[1];
  const hash = createHash("sha256").update(style).digest("base64");
  assert.equal(
    page.headers["content-security-policy"],
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
  assert.ok(!/<script|<link|<img|style="|\son\w+=/.test(text));
});

test("HEAD has the same headers and no body", async () => {
  for (const headers of [{}, HTML]) {
    const [head, get] = [await ask(edge.urls.up, MONITOR, { method: "HEAD", headers }), await ask(edge.urls.up, MONITOR, { headers })];
    assert.deepEqual([head.status, head.body.length], [200, 0]);
    for (const name of ["content-type", "content-security-policy", "cache-control", "vary"]) assert.equal(head.headers[name], get.headers[name], name);
  }
});

test("nothing that is secret or internal is told", async () => {
  const told = [];
  for (const worker of ["up", "down"]) for (const headers of [{}, HTML]) told.push(await ask(edge.urls[worker], MONITOR, { headers }));
  const text = told.map((answer) => `${JSON.stringify(answer.raw)} ${answer.body}`).join("\n");
  // A random id may hold the digits of a port.
  const ports = [a, b].map(({ url }) => `:${new URL(url).port}`);
  const internal = [LINK_KEY.id, LINK_KEY.secret.toString("base64"), "BwcHBwcH", "localhost", ...ports, "127.0.0.1"];
  for (const secret of internal) assert.ok(!text.includes(secret), secret);
});

test("a region that hangs does not hold the monitor for long, nor the others", async () => {
  a.probed = () => {};
  const state = await monitor("hangs");
  assert.deepEqual(state.regions.map(({ health }) => health), ["doubtful", "up"]);
});
