// Ten thousand malformed Authorization headers, each with the answer that it must get, and the isolate alive after them.

import assert from "node:assert/strict";
import { Agent, request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { BASIC_CHALLENGE, apiPassword, ask, basic, startEdge } from "./harness.mjs";
import { startOrigin } from "./origin-stub.mjs";
import { addAccount, claims, startAccounts, token } from "./accounts-stub.mjs";

const CODE = "/pluto/code/0123456789";
const COUNT = 10_000;
const AT_ONCE = 32;
const URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
// What a header may hold, without the comma that makes lists and the dot that makes tokens; bytes over 127 among it.
const ANY = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).filter((it) => /[!-+\-/-~\x80-\xff ]/.test(it)).join("");

const SEED = Number(process.env.SCANVAULT_SEED ?? Date.now() % 2 ** 31);
const accounts = startAccounts();
const good = token(accounts.keys[0], claims());
// A header that is changed may name another key, which would be the origin's to judge.
const [head, rest] = [good.slice(0, good.indexOf(".")), good.slice(good.indexOf(".") + 1)];
const password = apiPassword("right");
const base64 = (text) => Buffer.from(text, "latin1").toString("base64");

let origin, edge;

before(async () => {
  origin = await startOrigin();
  origin.respond = accounts.respond;
  addAccount(accounts, "merchant-25", "right");
  edge = await startEdge(origin, { dev: {} });
  for (const authorization of [`Bearer ${good}`, basic("25", "right")]) {
    assert.equal((await ask(edge.urls.dev, CODE, { headers: { authorization } })).status, 200);
  }
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

const BAD = [401, "bad-credentials"];
const NO_JWT = [401, "invalid-jwt"];
const WRONG_JWT = [401, "invalid-or-expired-jwt"];

/** Header and answer by kind; `r` are random numbers and texts. */
const KINDS = [
  (r) => [r.text(ANY, 200).replace(/^(basic|bearer)/i, "x"), ...BAD],
  (r) => [`Basic ${r.text(ANY, 300)}`, ...BAD],
  (r) => [`Basic ${r.text(BASE64, 300)}`, ...BAD],
  (r) => [`Basic ${base64(r.text(ANY, 200))}`, ...BAD],
  (r) => [`Basic ${base64(`merchant-25:${r.text(ANY, 80)}`)}`, ...BAD],
  (r) => [`Basic ${base64(`!${r.text("!\"#$%&/()=? \x00\x80\xff", 30)}x:${password}`)}`, ...BAD],
  (r) => [`Basic ${base64(`merchant-25:${r.changed(password, URL_SAFE)}`)}`, ...BAD],
  (r) => [`Basic ${base64(`merchant-25:${password.slice(0, r.number(password.length))}`)}`, ...BAD],
  (r) => [`${r.pick(["Basic", "bAsIc"])}${" ".repeat(r.number(20))}`, ...BAD],
  (r) => [`Bearer ${r.text(ANY, 300)}`, ...NO_JWT],
  (r) => [`Bearer ${r.text(URL_SAFE, 100)}.${r.text(URL_SAFE, 100)}`, ...NO_JWT],
  (r) => [`Bearer a${r.text(URL_SAFE, 50)}.${r.text(URL_SAFE, 50)}!.b`, ...NO_JWT],
  (r) => [`a${r.text(URL_SAFE, 50)}.b${r.text(URL_SAFE, 50)}.c${r.text(URL_SAFE, 50)}`, ...NO_JWT],
  (r) => [`Bearer a${r.text(URL_SAFE, 300)}.b${r.text(URL_SAFE, 600)}.c${r.text(URL_SAFE, 200)}`, ...WRONG_JWT],
  (r) => [`Bearer ${head}.${r.changed(rest, URL_SAFE)}`, ...WRONG_JWT],
  (r) => [`Bearer ${good.split(".").map((part) => part.slice(0, 1 + r.number(part.length - 2))).join(".")}`, ...WRONG_JWT],
  (r) => [`Bearer ${good}${r.text(URL_SAFE, 20)}x`, ...WRONG_JWT],
  (r) => [`Bearer ${good.repeat(3).replaceAll(".", "").slice(0, 1500)}.${r.text(URL_SAFE, 50)}x.y`, ...WRONG_JWT],
  (r) => [`Basic ${r.text(BASE64, 50)}, Basic ${r.text(BASE64, 50)}`, 400, "bad-request"],
  (r) => [`Bearer ${r.text(URL_SAFE, 50)}, bearer ${good}`, 400, "bad-request"],
  (r) => [`${basic("25", "right")}, ${r.pick(["basic", "BASIC"])} ${r.text(BASE64, 50)}`, 400, "bad-request"],
  (r) => [`Bearer ${r.text(URL_SAFE, 10)}x${"A".repeat(6145)}`, 431, "headers-too-large"],
  (r) => [",".repeat(1 + r.number(3000)), ...BAD],
];

test(`${COUNT} headers (SCANVAULT_SEED=${SEED})`, async () => {
  const r = random(SEED);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const forwarded = origin.requests.length;
  let left = COUNT;
  const drive = async () => {
    while (left > 0) {
      left -= 1;
      const [header, status, code] = KINDS[left % KINDS.length](r);
      const answer = await get(agent, header);
      const document = JSON.parse(answer.body);
      assert.deepEqual([answer.status, document.code], [status, code], JSON.stringify(header));
      if (code === "bad-credentials") assert.equal(answer.headers["www-authenticate"], BASIC_CHALLENGE);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, drive));
  agent.destroy();
  assert.equal(origin.requests.length, forwarded, "one of them was forwarded");
  // The same isolate still knows what it was told before: another one would have to ask.
  assert.equal((await ask(edge.urls.dev, "/pluto/public/monitor")).status, 200);
  for (const authorization of [`Bearer ${good}`, basic("25", "right")]) {
    assert.equal((await ask(edge.urls.dev, CODE, { headers: { authorization } })).status, 200);
    const mark = origin.requests.at(-1).headers["scanvault-credential"];
    assert.ok(["verified", "renew"].includes(mark), mark);
  }
});

function get(agent, authorization) {
  const { hostname, port } = new URL(edge.urls.dev);
  return new Promise((done, failed) => {
    const request = httpRequest({ hostname, port, path: CODE, agent, headers: { authorization } }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text) => (body += text));
      response.on("error", failed);
      response.on("end", () => done({ status: response.statusCode, headers: response.headers, body }));
    });
    request.on("error", failed);
    request.end();
  });
}

/** Random choices from a seed (a 32-bit xorshift; its numbers need only be many and repeatable). */
function random(seed) {
  let state = seed || 1;
  const number = (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const pick = (from) => from[number(from.length)];
  const text = (alphabet, most) => Array.from({ length: number(most) }, () => pick(alphabet)).join("");
  const changed = (whole, alphabet) => {
    const at = number(whole.length);
    const others = [...alphabet].filter((it) => it !== whole[at]);
    return whole[at] === "." ? changed(whole, alphabet) : whole.slice(0, at) + pick(others) + whole.slice(at + 1);
  };
  return { number, pick, text, changed };
}
