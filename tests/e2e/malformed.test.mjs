// Ten thousand credentials, tokens, challenges and logins that are not right, from a seed, against the built wasm and the
// origin: each gets the status of its kind, nothing panics, no isolate is lost, and the right ones still work.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { Agent, request } from "node:http";
import { test } from "node:test";
import { assertHardened, ask } from "../lib/answers.mjs";
import { enrol, session } from "./bearer.mjs";
import { onBothDatabases } from "./both.mjs";

const MANY = 10_000;
const AT_ONCE = 16;
const SEED = Number(process.env.SCANVAULT_SEED ?? randomInt(2 ** 31));
const CODE = "/pluto/code/0000000000";

/** What each kind may be answered. Never 404 or 200 for a credential, never 5xx. */
const ALLOWED = {
  authorization: [400, 401, 431],
  token: [400, 401, 431],
  challenge: [200, 400, 414],
  login: [400, 401, 413],
};

onBothDatabases((at) => {
  test(`${MANY} malformed requests (SCANVAULT_SEED=${SEED}): the right status for each`, async (t) => {
    const { world } = at;
    const merchant = await world.merchant("merchant-25", { webhook: false, acquirer: false });
    const who = await enrol(world, "merchant-25");
    await world.cli("account", "switch", "merchant-25", "bearer");
    const { authorization } = await session(world, who);
    const make = new Maker(SEED, { token: authorization.slice("Bearer ".length), merchant });
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const counts = {};
    let left = MANY;
    const lane = async () => {
      while (left-- > 0) {
        const { kind, ...what } = make.next();
        const answer = await send(world.edge, what, agent);
        assertHardened(answer);
        assert.ok(ALLOWED[kind].includes(answer.status), `${kind} ${answer.status}: ${JSON.stringify(what).slice(0, 600)}`);
        counts[`${kind} ${answer.status}`] = (counts[`${kind} ${answer.status}`] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    agent.destroy();
    t.diagnostic(JSON.stringify(counts));
    assert.equal((await ask(world.edge, CODE, { headers: { authorization } })).status, 404, "the session is alive");
    assert.equal((await session(world, who)).headerName, "Authorization", "logins work");
    assert.ok(!/panicked|RuntimeError|unreachable executed/.test(world.log("edge") + world.log("origin")), "nobody panicked");
  });
}, { limits: "off", provokes: ["query-length", "query-form", "query-name", "body-bytes", "header-bytes"] });

/** Draws requests from a seed. */
class Maker {
  constructor(seed, { token, merchant }) {
    Object.assign(this, { state: seed, right: token, merchant });
  }

  next() {
    const kind = this.oneOf(["authorization", "authorization", "token", "token", "challenge", "login"]);
    return { kind, ...this[kind]() };
  }

  authorization() {
    const basic = (text) => `Basic ${Buffer.from(text).toString("base64")}`;
    const value = this.oneOf([
      () => basic(`${this.text(20)}:${this.text(60)}`),
      () => basic(`merchant-25:${this.mutated(this.merchant.password)}`),
      () => basic(this.text(80)),
      () => `Basic ${this.text(100)}`,
      () => `Bearer ${this.text(100)}`,
      () => `${this.oneOf(["Basic", "Bearer", "Digest", "basic", "BEARER", ""])} ${this.text(20)}, ${this.oneOf(["Basic", "Bearer"])} ${this.text(20)}`,
      () => this.text(200),
      () => `Bearer ${"a".repeat(this.below(9000))}.b.c`,
    ])();
    return { path: CODE, headers: { authorization: value } };
  }

  token() {
    const parts = this.right.split(".");
    const at = this.below(3);
    parts[at] = this.oneOf([
      () => this.mutated(parts[at]),
      () => parts[at].slice(0, this.below(parts[at].length)),
      () => parts[at] + this.oneOf(["A", "=", ".", "AA"]),
      () => Buffer.from(this.mutated(Buffer.from(parts[at], "base64url").toString("latin1")), "latin1").toString("base64url"),
      () => "",
      () => parts[(at + 1) % 3],
    ])();
    // Spaces around a token are not part of it (RFC 9110, 11.4): with those alone it would still be the right one.
    const value = parts.join(".").trim();
    return { path: CODE, headers: { authorization: `Bearer ${value === this.right ? `${value}A` : value}` } };
  }

  challenge() {
    const sent = this.oneOf([
      () => this.bytes(512).toString("base64"),
      () => this.bytes(512).fill(0, 0, 1).toString("base64url"),
      () => this.bytes(this.below(600)).toString("base64"),
      () => this.text(100),
      () => "A".repeat(this.below(5000)),
      () => Buffer.alloc(512, this.below(256)).toString("base64"),
    ])();
    const identity = this.oneOf(["merchant-25", "25", "psp-1", "", this.text(30), "x".repeat(this.below(200))]);
    const query = `identity=${encodeURIComponent(identity)}&clientChallenge=${encodeURIComponent(sent)}`;
    const more = this.oneOf(["", "", "", "&identity=merchant-25", "&clientChallenge=AA", "&x=1"]);
    return { path: `/authentication/login-challenges?${query}${more}` };
  }

  login() {
    const value = () => this.oneOf([() => this.text(60), () => this.bytes(32).toString("base64"), () => this.below(1000), () => null, () => "", () => this.merchant.password])();
    const whole = {
      identity: this.oneOf(["merchant-25", "25", "", this.text(20)]),
      password: value(),
      base64EncodedChallengeHash: value(),
      base64EncodedChallengeResponse: value(),
    };
    if (this.below(4) === 0) delete whole[this.oneOf(Object.keys(whole))];
    const text = JSON.stringify(whole);
    const body = this.oneOf([text, text, text, text.slice(0, this.below(text.length)), `[${text}]`, this.text(50), `{"a":${"[".repeat(this.below(500))}`, "x".repeat(this.below(20_000))]);
    return { path: "/authentication/login", method: "POST", headers: { "content-type": "application/json" }, body };
  }

  mutated(text) {
    const at = this.below(text.length);
    const other = this.oneOf([..."AZaz09-_+/=. \u00e9"].filter((c) => c !== text[at]));
    return this.oneOf([text.slice(0, at) + other + text.slice(at + 1), text.slice(0, at) + text.slice(at + 1), text.slice(0, at) + other + text.slice(at)]);
  }
  /** Printable, so that a client can send it in a header at all. */
  text(length) {
    return Array.from({ length: this.below(length) + 1 }, () => String.fromCharCode(32 + this.below(95))).join("");
  }
  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
  oneOf(list) {
    return list[this.below(list.length)];
  }
  /** mulberry32 */
  below(n) {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * Math.max(1, n));
  }
}

function send(base, { path, method = "GET", headers = {}, body }, agent) {
  const { hostname, port } = new URL(base);
  const all = body === undefined ? headers : { ...headers, "content-length": Buffer.byteLength(body) };
  return new Promise((done, failed) => {
    const asked = request({ hostname, port, path, method, headers: all, agent }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => done({ status: answer.statusCode, headers: answer.headers, raw: answer.rawHeaders, body: Buffer.concat(chunks) }));
      answer.on("error", failed);
    });
    asked.on("error", failed);
    asked.end(body);
  });
}
