// The screen's rules by name, what `SCREEN=monitor` lets through, and the limits of requests by address and account, in
// real workerd. Names of rules are edge/src/screen/rule.rs, figures edge/src/budget/requests.rs.

import assert from "node:assert/strict";
import { Agent, request as httpRequest } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { ask, assertHardened, assertProblem, basic, logOf, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";
import { addAccount, startAccounts } from "./accounts-stub.mjs";

const CREATE = "/pluto/code/create";
const CODE = "/pluto/code/0123456789";
const QR = "/pluto/public/qr/0123456789";
const PAGE = "/Q/0123456789";
const PAY = "/pluto/public/pay/0123456789";
const LARGE = `"${"x".repeat(20_000)}"`;
const many = (count) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, "1"]));

let origin, edge;

before(async () => {
  origin = await startOrigin();
  const limited = { CLIENT_ADDRESS: "cf-connecting-ip" };
  const never = { simple: { limit: 3, period: 60 } };
  edge = await startEdge(origin, {
    enforce: {},
    monitor: { SCREEN: "monitor" },
    limited,
    account: limited,
    platform: { ...limited, ratelimits: { ADDRESS_LIMITER: never, ACCOUNT_LIMITER: never } },
    off: { ...limited, RATE_LIMITS: "off" },
  });
});
beforeEach(() => {
  origin.requests.length = 0;
  origin.respond = answerJson;
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

const json = { authorization: basic("25"), "content-type": "application/json" };
const post = (body, headers = {}, more = {}) => ({ method: "POST", headers: { ...json, ...headers }, body, ...more });

/** rule, path, options, status where it is enforced, and what the origin sees of it where it is reported. */
const POLICY = [
  ["header-count", CODE, { headers: { ...json, ...many(70) } }, 431],
  ["header-bytes", CODE, { headers: { ...json, "x-big": "b".repeat(17_000) } }, 431],
  ["header-bytes", "/v1/seq/0", { headers: { ...json, "x-big": "b".repeat(5_000) } }, 400],
  ["cookie-bytes", PAGE, { headers: { cookie: `a=${"c".repeat(8_191)}` } }, 431],
  ["query-name", `${CODE}?utm_source=mail`, { headers: json }, 400],
  ["media-type", CREATE, post("{}", { "content-type": "text/plain" }), 415],
  ["body-bytes", PAY, post(LARGE), 413],
  ["body-bytes", PAY, post(LARGE, {}, { chunked: true }), 413],
];
const STRUCTURAL = [
  ["path-form", "/pluto/code/%2e", { headers: json }, 400],
  ["path-length", `/${"a".repeat(512)}`, {}, 414],
  ["query-length", `${QR}?${"q".repeat(4_097)}`, {}, 414],
  ["header-count", CODE, { headers: { ...json, ...many(95) } }, 431],
  ["header-bytes", CODE, { headers: { ...json, "x-big": "b".repeat(25_000) } }, 431],
  ["header-form", CREATE, post("{}", { "idempotency-key": "kaf\u00e9" }), 400],
  ["length-form", CREATE, { ...post("{}", { "content-length": "2" }), chunked: true }, 400],
  ["content-coding", CREATE, post("{}", { "content-encoding": "gzip" }), 415],
  ["no-body", CODE, { headers: json, body: "{}" }, 400],
  ["no-body", "/pluto/stk/x", { method: "HEAD", headers: { ...json, authorization: basic("vodacom-ussd") }, body: "{}" }, 400],
  ["body-bytes", PAY, post("x".repeat(65_537)), 413],
  ["body-bytes", CREATE, post("x".repeat(65_537), {}, { chunked: true }), 413],
];

test("each rule that refuses is named in the log, and nothing of the request", async () => {
  for (const [rule, path, options, status] of [...POLICY, ...STRUCTURAL]) {
    const answer = await ask(edge.urls.enforce, path, options);
    assert.equal(answer.status, status, `${rule} ${path.slice(0, 40)}`);
    const [line] = await logOf(edge, [answer]);
    assert.equal(line.rule, rule, path.slice(0, 40));
    assert.ok(!("cause" in line) && !("wouldRefuse" in line), JSON.stringify(line));
  }
  assert.equal(origin.requests.length, 0);
  for (const secret of ["utm_source", "kaf", "gzip", "ccccc", "bbbbb", "xxxxx"]) assert.ok(!edge.logs.join("").includes(secret), secret);
});

test("monitor: what is policy goes on and is reported; the origin judges it", async () => {
  for (const [rule, path, options] of POLICY) {
    origin.requests.length = 0;
    const answer = await ask(edge.urls.monitor, path, options);
    assert.equal(answer.status, 200, rule);
    const [line] = await logOf(edge, [answer]);
    assert.deepEqual([line.wouldRefuse, line.rule], [[rule], undefined]);
    const [seen] = origin.requests;
    assert.deepEqual([seen.refusal, seen.url, seen.body.toString()], [undefined, path, options.body ?? ""], "signed, and whole");
    assert.equal(seen.headers["x-big"] ?? seen.headers.cookie ?? seen.headers["x-1"], undefined);
  }
  const odd = await ask(edge.urls.monitor, `${CREATE}?a=1`, post("{}", { "content-type": "text/plain", ...many(70) }));
  const [line] = await logOf(edge, [odd]);
  assert.deepEqual(line.wouldRefuse, ["header-count", "query-name", "media-type"], "all of them");
});

test("monitor: what is structural is refused as ever", async () => {
  for (const [rule, path, options, status] of STRUCTURAL) {
    const answer = await ask(edge.urls.monitor, path, options);
    assert.equal(answer.status, status, `${rule} ${path.slice(0, 40)}`);
    const [line] = await logOf(edge, [answer]);
    assert.equal(line.rule, rule);
  }
  assert.equal(origin.requests.length, 0);
});

// --- Limits -------------------------------------------------------------------------------------------------------------

const from = (address) => ({ "cf-connecting-ip": address });
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
after(() => agent.destroy());

/** Asks until 429 or so often: how many were not, how long it took in ms, and the 429. */
async function until429(base, path, headers, most) {
  const { hostname, port } = new URL(base);
  const began = Date.now();
  let taken = 0;
  let refused;
  const lane = async () => {
    while (!refused && taken < most) {
      const answer = await new Promise((done, failed) => {
        const asked = httpRequest({ hostname, port, path, agent, headers }, (response) => {
          const chunks = [];
          response.on("data", (chunk) => chunks.push(chunk));
          response.on("end", () => done({ status: response.statusCode, headers: response.headers, raw: response.rawHeaders, body: Buffer.concat(chunks) }));
        });
        asked.on("error", failed);
        asked.end();
      });
      if (answer.status === 429) refused = answer;
      else taken += 1;
    }
  };
  await Promise.all(Array.from({ length: 32 }, lane));
  return { taken, took: Date.now() - began, refused };
}

function assertWait(answer) {
  assertHardened(answer);
  assertProblem(answer, 429, "too-many-requests", "Too many requests", { "retry-after": "1" });
}

test("an address on open paths, and a higher bound for its images; another address is another one", async () => {
  const pages = await until429(edge.urls.limited, PAGE, from("203.0.113.7"), 20_000);
  assert.ok(pages.taken >= 1_000 && pages.taken <= 1_032 + pages.took / 10, JSON.stringify(pages));
  assertWait(pages.refused);
  const [line] = await logOf(edge, [pages.refused]);
  assert.equal(line.rule, "limit-address");
  assert.equal(origin.requests.length, pages.taken, "what has to wait is not forwarded");
  const images = await until429(edge.urls.limited, QR, { ...from("203.0.113.7"), "if-none-match": "*" }, 60_000);
  assert.ok(images.taken >= 5_000 && images.taken <= 5_032 + images.took / 2, JSON.stringify(images));
  assertWait(images.refused);
  for (const path of [PAGE, QR]) assert.equal((await ask(edge.urls.limited, path, { headers: from("203.0.113.8") })).status, 200);
});

test("what is refused before anybody is counted counts for its address; an account that is right passes from there", async () => {
  const accounts = startAccounts();
  addAccount(accounts, "merchant-25", "right");
  origin.respond = accounts.respond;
  const who = { authorization: basic("25", "right") };
  await ask(edge.urls.limited, CODE, { headers: who });
  const signed = { authorization: `Bearer ${"e30.".repeat(2)}e30` };
  for (const [address, path, headers] of [["203.0.113.17", "/nowhere", {}], ["203.0.113.18", CODE, signed], ["203.0.113.19", `${PAGE}/x`, {}]]) {
    const { taken, took, refused } = await until429(edge.urls.limited, path, { ...from(address), ...headers }, 20_000);
    assert.ok(taken >= 1_000 && taken <= 1_032 + took / 10, JSON.stringify({ path, taken, took }));
    assertWait(refused);
    assert.equal((await logOf(edge, [refused]))[0].rule, "limit-address");
    for (const [path, headers] of [[CODE, who], [QR, {}]]) {
      assert.equal((await ask(edge.urls.limited, path, { headers: { ...headers, ...from(address) } })).status, 200);
    }
  }
});

test("an account that is right has a bound, too, from wherever it calls; another one is another one", async () => {
  const accounts = startAccounts();
  for (const name of ["merchant-25", "merchant-26"]) addAccount(accounts, name, "right");
  origin.respond = accounts.respond;
  const who = (name) => ({ authorization: basic(name, "right") });
  for (const name of ["25", "26"]) await ask(edge.urls.account, CODE, { headers: who(name) });
  const asked = await until429(edge.urls.account, CODE, { ...who("25"), ...from("203.0.113.7") }, 60_000);
  assert.ok(asked.taken >= 5_000 && asked.taken <= 5_032 + asked.took / 2, JSON.stringify({ ...asked, refused: undefined }));
  assertWait(asked.refused);
  const [line] = await logOf(edge, [asked.refused]);
  assert.equal(line.rule, "limit-account");
  assert.equal((await ask(edge.urls.account, CODE, { headers: { ...who("26"), ...from("203.0.113.7") } })).status, 200);
});

test("the platform's limiters, where there are any, are told of some, and their word rests a client", async () => {
  const { taken, refused } = await until429(edge.urls.platform, PAGE, from("203.0.113.9"), 900);
  assert.ok(refused && taken >= 3, `${taken}`);
  assert.ok(["1", "2"].includes(refused.headers["retry-after"]));
  assert.equal((await ask(edge.urls.platform, PAGE, { headers: from("203.0.113.10") })).status, 200);
  assert.equal((await until429(edge.urls.platform, QR, from("203.0.113.9"), 900)).refused, undefined, "images are not told");
});

test("off is off, and without an address nobody is counted by it", async () => {
  assert.equal((await until429(edge.urls.off, PAGE, from("203.0.113.7"), 1_500)).refused, undefined);
  assert.equal((await until429(edge.urls.limited, PAGE, {}, 1_500)).refused, undefined);
});
