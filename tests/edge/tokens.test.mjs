// Forged session tokens against the edge in real workerd, signed freshly here with Node's crypto: its clock is real. The
// table of protocol/vectors, with a clock of its own, is held against the same code natively.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { after, before, test } from "node:test";
import { ask, assertProblem, basic, startEdge } from "./harness.mjs";
import { startOrigin } from "./origin-stub.mjs";
import { addAccount, claims, startAccounts, token, tokenKey } from "./accounts-stub.mjs";

const LOGOUT = "/authentication/sessions/c056b2d8-d6d1-4ea6-8752-e87f684b2903"; // for any account
const TEXTS = { "invalid-jwt": "Invalid JWT token", "invalid-or-expired-jwt": "Invalid or expired JWT token" };
const now = () => Math.floor(Date.now() / 1000);
const part = (value) => Buffer.from(value).toString("base64url");

const accounts = startAccounts();
const [key] = accounts.keys;
const header = (changes) => ({ alg: "EdDSA", typ: "JWT", kid: key.id, ...changes });
const changed = (changes) => token(key, claims(changes));
const without = (name) => token(key, (({ [name]: _, ...rest }) => rest)(claims()));
const headed = (changes) => token(key, claims(), header(changes));
const [head, body, signature] = token(key).split(".");

function hmac(secret, alg = "HS256") {
  const signed = `${part(JSON.stringify(header({ alg })))}.${part(JSON.stringify(claims()))}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

function byOther(type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  const signed = `${part(JSON.stringify(header({ alg })))}.${part(JSON.stringify(claims()))}`;
  const dsa = type === "ec" ? { key: privateKey, dsaEncoding: "ieee-p1363" } : privateKey;
  return `${signed}.${sign(type === "ec" ? "sha256" : null, Buffer.from(signed), dsa).toString("base64url")}`;
}

/** S + L in place of S: the same equation, another text (RFC 8032 §5.1.7 forbids it). */
function malleable() {
  const bytes = Buffer.from(signature, "base64url");
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  let s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString("hex")}`) + order;
  for (let at = 32; at < 64; at += 1, s >>= 8n) bytes[at] = Number(s & 255n);
  return `${head}.${body}.${bytes.toString("base64url")}`;
}

const FORGED = {
  "algorithm none, nothing signed": [`${part('{"alg":"none","typ":"JWT","kid":"1"}')}.${body}.`, "invalid-jwt"],
  "algorithm none, rightly signed": [headed({ alg: "none" })],
  "HS256 with the public key's bytes": [hmac(Buffer.from(key.raw, "base64url"))],
  "HS256 with the public key's text": [hmac(key.raw)],
  "EdDSA in the header, HMAC in the signature": [hmac(Buffer.from(key.raw, "base64url"), "EdDSA")],
  "another case of the algorithm": [headed({ alg: "eddsa" })],
  Ed448: [byOther("ed448", {}, "EdDSA")],
  "P-256 under ES256": [byOther("ec", { namedCurve: "P-256" }, "ES256")],
  "P-256 under EdDSA": [byOther("ec", { namedCurve: "P-256" }, "EdDSA")],
  "another key under our id": [token(tokenKey("1"))],
  "the signature of another token": [`${head}.${body}.${token(key).split(".")[2]}`],
  "claims of another account": [`${head}.${part(JSON.stringify(claims({ sub: "merchant-26" })))}.${signature}`],
  "the first bit of the signature": [`${head}.${body}.${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`],
  "the order of the group added": [malleable()],
  "a signature of zeros": [`${head}.${body}.${part(Buffer.alloc(64))}`],
  "a signature too short": [`${head}.${body}.${signature.slice(0, -4)}`],
  "a signature too long": [`${head}.${body}.${signature}AAAA`],
  "stray bits at the end": [`${head}.${body}.${signature.slice(0, -1)}${signature.at(-1) === "w" ? "x" : signature.at(-1) === "g" ? "h" : signature.at(-1) === "Q" ? "R" : "B"}`],
  "two parts": [`${head}.${body}`, "invalid-jwt"],
  "four parts": [`${head}.${body}.${signature}.${signature}`, "invalid-jwt"],
  "an empty part": [`${head}..${signature}`, "invalid-jwt"],
  padding: [`${head}.${body}.${signature}==`, "invalid-jwt"],
  "a duplicated claim": [token(key, JSON.stringify(claims()).replace('"cv":1', '"cv":1,"cv":2'))],
  "a duplicated subject": [token(key, JSON.stringify(claims()).replace('"sub"', '"sub":"merchant-1","sub"'))],
  "a duplicated header": [token(key, claims(), '{"alg":"EdDSA","alg":"EdDSA","typ":"JWT","kid":"1"}')],
  "a claim more": [changed({ nbf: 1 })],
  "a header more": [headed({ jku: "https://evil.example/keys" })],
  "a critical header": [headed({ crit: ["exp"], exp: now() })],
  "another type": [headed({ typ: "at+jwt" })],
  "a number for a key id": [headed({ kid: 1 })],
  "text after the claims": [token(key, `${JSON.stringify(claims())} x`)],
  "claims that are no object": [token(key, "[]")],
  expired: [changed({ iat: now() - 1806, exp: now() - 6 })],
  "issued ahead": [changed({ iat: now() + 10, exp: now() + 1000 })],
  "a longer life": [changed({ exp: now() + 1802 })],
  "a life of no length": [changed({ iat: now(), exp: now() })],
  "an end before its beginning": [changed({ iat: now(), exp: now() - 1 })],
  "times as text": [changed({ exp: String(now() + 60) })],
  "times with a fraction": [changed({ iat: now() + 0.5 })],
  "another audience": [changed({ aud: "scanvault-admin" })],
  "a list of audiences": [changed({ aud: ["scanvault"] })],
  "another issuer": [changed({ iss: "https://pay.example/" })],
  "an unknown role": [changed({ roles: ["ADMIN"] })],
  "no roles": [changed({ roles: [] })],
  "another spelling of the account": [changed({ sub: "MERCHANT_25" })],
  "a session id that is none": [changed({ jti: "1" })],
  "a negative version": [changed({ cv: -1 })],
  "longer than any of ours": [changed({ iss: "https://pay.example".padEnd(1800, "e") })],
  ...Object.fromEntries(["iss", "aud", "sub", "jti", "iat", "exp", "cv", "roles"].map((name) => [`without ${name}`, [without(name)]])),
  ...Object.fromEntries(["alg", "typ", "kid"].map((name) => [`a header without ${name}`, [headed({ [name]: undefined })]])),
};

let origin, edge;

before(async () => {
  origin = await startOrigin();
  origin.respond = accounts.respond;
  addAccount(accounts, "merchant-25", "right");
  edge = await startEdge(origin, { dev: {} });
  // The edge is told of the key and of the account.
  for (const authorization of [`Bearer ${token(key)}`, basic("25", "right")]) await asked(authorization);
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

const asked = (authorization) => ask(edge.urls.dev, LOGOUT, { method: "DELETE", headers: { authorization } });
const mark = () => origin.requests.at(-1).headers["scanvault-credential"];

test("what is rightly made is verified", async () => {
  const good = [
    token(key),
    changed({ exp: now() + 60 }),
    changed({ iat: now() + 3, exp: now() + 100 }),
    changed({ sub: "vodacom-ussd", roles: ["STK"] }),
    token(key, claims(), '{ "kid": "1", "typ": "JWT", "alg": "EdDSA" }'),
  ];
  for (const text of good) {
    assert.deepEqual([(await asked(`Bearer ${text}`)).status, mark()], [200, "verified"]);
    assert.deepEqual([(await asked(`bearer ${text}`)).status, mark()], [200, "verified"]);
  }
});

test("at least thirty forgeries", () => assert.ok(Object.keys(FORGED).length >= 30));

for (const [what, [text, code = "invalid-or-expired-jwt"]] of Object.entries(FORGED)) {
  test(`${what} is refused here, alone and again, and ignored beside a right password`, async () => {
    const before = origin.requests.length;
    for (let n = 0; n < 2; n += 1) {
      const answer = await asked(`Bearer ${text}`);
      const challenge = `Bearer realm="scanvault", error="invalid_token", error_description="${TEXTS[code]}"`;
      assertProblem(answer, 401, code, TEXTS[code], { "www-authenticate": challenge });
    }
    assert.equal(origin.requests.length, before, "it was forwarded");
    assert.deepEqual([(await asked(`Bearer ${text}, ${basic("25", "right")}`)).status, mark()], [200, "verified"]);
  });
}

test("a key id that is not known goes to the origin, whatever is signed with it", async () => {
  for (const kid of ["2", "", "01", "../../dev/null", "x".repeat(900)]) {
    assert.deepEqual([(await asked(`Bearer ${headed({ kid })}`)).status, mark()], [401, "unverified"]);
  }
});
