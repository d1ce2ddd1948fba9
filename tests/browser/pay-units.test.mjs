// The page's pure parts without a browser: sealing against an independent opener, the reading of what was typed and of
// what the server answers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PAN, assetModule, vaultKey } from "./harness.mjs";

const { sealCard } = await assetModule("seal.js");
const typed = await assetModule("typed.js");
const wire = await assetModule("wire.js");
const { browserOf, windowSize } = await assetModule("browser.js");
const { MAX_ASKS, delayAfter } = await assetModule("poll.js");

test("sealCard makes the JWE of the contract, new keys and iv each time", async () => {
  const key = vaultKey();
  const card = { attempt: "a", code: "0123456789", amount: 1000, currency: "ZAR", expires: 1, pan: PAN, exp: "1230", csc: "123", name: "Zoë ✓" };
  const first = await sealCard(key.jwk, card);
  const second = await sealCard(key.jwk, card);
  const opened = key.open(first);
  assert.deepEqual(opened.card, card);
  assert.equal(opened.encryptedKey, "");
  assert.equal(opened.iv.length, 12);
  const { epk, ...header } = opened.header;
  assert.deepEqual(header, { alg: "ECDH-ES", enc: "A256GCM", kid: "page-1", typ: "scanvault-card+json" });
  assert.deepEqual(Object.keys(epk), ["kty", "crv", "x", "y"]);
  assert.match(first, /^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/);
  const again = key.open(second);
  assert.notEqual(again.header.epk.x, epk.x);
  assert.notDeepEqual(again.iv, opened.iv);
});

test("a JWE that was changed, or made for another key, does not open", async () => {
  const key = vaultKey();
  const jwe = await sealCard(key.jwk, { pan: PAN });
  assert.throws(() => vaultKey().open(jwe));
  const parts = jwe.split(".");
  const header = Buffer.from(JSON.stringify({ ...key.open(jwe).header, kid: "other" })).toString("base64url");
  assert.throws(() => key.open([header, ...parts.slice(1)].join(".")));
});

test("sealCard refuses a key that is not on the curve", async () => {
  const { jwk } = vaultKey();
  await assert.rejects(sealCard({ ...jwk, y: jwk.x }, {}));
});

test("amounts: decimals with point or comma, never more than the exponent, never zero", () => {
  const cases = [["12.50", 2, 1250], ["12,5", 2, 1250], [" 1 000 ", 2, 100000], ["7", 0, 7], ["1.234", 3, 1234], ["0.01", 2, 1],
    ["0", 2, null], ["0.00", 2, null], ["1.005", 2, null], ["7.0", 0, null], ["-1", 2, null], ["1e3", 2, null], ["", 2, null], ["1.2.3", 2, null], [".5", 2, null], ["NaN", 2, null]];
  for (const [text, exponent, minor] of cases) assert.equal(typed.parseAmount(text, exponent), minor, text);
  for (const [minor, exponent, text] of [[1000, 2, "10.00"], [5, 2, "0.05"], [500, 0, "500"], [1234, 3, "1.234"]]) {
    assert.equal(typed.decimalOf(minor, exponent), text);
    assert.equal(typed.parseAmount(text, exponent), minor);
  }
});

test("amounts are written as the language does, with the code and all decimals of the currency", () => {
  const cases = [
    [123456, 2, "DKK", "da", "1.234,56 DKK"], [123456, 2, "DKK", "en", "DKK 1,234.56"], [123456, 2, "SEK", "sv", "1 234,56 SEK"],
    [123456, 2, "NOK", "no", "1 234,56 NOK"], [123456, 2, "EUR", "de", "1.234,56 EUR"], [123456, 2, "EUR", "fr", "1 234,56 EUR"],
    [500, 0, "JPY", "en", "JPY 500"], [500, 0, "ISK", "da", "500 ISK"], [1234, 3, "KWD", "en", "KWD 1.234"], [999999999, 2, "ZAR", "en", "ZAR 9,999,999.99"],
  ];
  for (const [minor, exponent, currency, language, text] of cases) {
    assert.equal(typed.formatAmount(minor, exponent, currency, language).replace(/\s/g, " "), text);
  }
  assert.equal(typed.formatAmount(1000, 2, "", "en"), "10.00 ", "what no browser can format is still an amount");
});

test("amounts that may not be paid", () => {
  assert.equal(typed.amountProblem(null, 2, null), "amountError");
  assert.equal(typed.amountProblem(999999999, 2, null), "");
  assert.equal(typed.amountProblem(1000000000, 2, null), "amountTooBig");
  assert.equal(typed.amountProblem(9999999, 0, null), "");
  assert.equal(typed.amountProblem(10000000, 0, null), "amountTooBig");
  assert.equal(typed.amountProblem(1000, 2, 1000), "");
  assert.equal(typed.amountProblem(1001, 2, 1000), "amountAboveAsked");
});

test("phone numbers as people write them, with the country of the currency", () => {
  const cases = [
    ["", "DKK", ""], ["  ", "DKK", ""], ["12 34 56 78", "DKK", "+4512345678"], ["+45 12345678", "NOK", "+4512345678"], ["0045-12345678", "EUR", "+4512345678"],
    ["412 34 567", "NOK", "+4741234567"], ["070-123 45 67", "SEK", "+46701234567"], ["040 1234567", "EUR", "+358401234567"],
    ["1234567", "DKK", null], ["123456789", "DKK", null], ["12345678", "ZAR", null], ["+0512345678", "DKK", null], ["call me", "DKK", null], ["+45", "DKK", null],
  ];
  for (const [text, currency, phone] of cases) assert.equal(typed.parsePhone(text, currency), phone, `${text} ${currency}`);
});

test("expiry dates as people and browsers write them", () => {
  for (const text of ["0829", "08/29", "8/29", "08 / 29", "08/2029", "082029", "08-29", " 08 29 "]) assert.equal(typed.parseExpiry(text), "0829", text);
  for (const text of ["", "08", "13/29", "00/29", "8", "08/2", "aa/bb", "08/1929"]) assert.equal(typed.parseExpiry(text), null, text);
  const now = new Date(2029, 7, 31);
  assert.deepEqual(["0729", "0829", "0930", "1228"].map((text) => typed.isPast(text, now)), [true, false, false, true]);
});

test("check digit and groups", () => {
  assert.equal(typed.luhn(PAN), true);
  assert.equal(typed.luhn("4111111111111112"), false);
  assert.equal(typed.groupNumber(PAN), "4111 1111 1111 1111");
  assert.equal(typed.groupNumber("378282246310005"), "3782 822463 10005");
  assert.equal(typed.groupNumber("4111111111111111110"), "4111 1111 1111 1111 110");
  assert.equal(typed.groupNumber("41111"), "4111 1");
});

test("answers of the wire, and whatever else a server may say", () => {
  const read = (body, status = 200, retry = false) => wire.readAnswer(status, body, retry);
  assert.deepEqual(read({ state: "paid", transactionId: 7, returnUrl: "https://a" }), { kind: "paid", transactionId: 7, returnUrl: "https://a", paidAtMs: undefined });
  assert.equal(read({ state: "declined", reason: "csc" }).text, "declinedCsc");
  assert.equal(read({ state: "declined", reason: "toString" }).text, "declined");
  assert.equal(read({ state: "unknown", mayRetry: true }).kind, "lost");
  for (const mayRetry of [false, "true", 1, undefined]) assert.equal(read({ state: "unknown", mayRetry }).kind, "unknown");
  assert.deepEqual(read({ state: "method", url: "https://b", data: "d" }), { kind: "method", url: "https://b", data: "d" });
  assert.deepEqual(read({ state: "challenge", url: "https://b", creq: "c" }), { kind: "challenge", url: "https://b", creq: "c" });
  assert.deepEqual(read({ state: "redirect", url: "https://b" }), { kind: "redirect", url: "https://b" });
  for (const state of ["waiting", "none"]) assert.equal(read({ state }).kind, state);
  const silent = [{ state: "method", url: "https://b" }, { state: "challenge", creq: "c" }, { state: "redirect", url: 1 }, {}, null, [], "paid", { state: "PAID" }, undefined];
  for (const body of silent) assert.equal(read(body).kind, "silent", JSON.stringify(body));
  for (const status of [0, 201, 302, 500, 502, 503]) assert.equal(read({ state: "paid" }, status).kind, "silent", String(status));
  for (const status of [400, 404, 409, 410, 429]) assert.deepEqual(read({ state: "paid" }, status), { kind: "refused", status });
  assert.equal(read({}, 503, true).kind, "unavailable");
});

test("a browser goes only where it is safe to go", () => {
  assert.equal(wire.safeUrl("https://bank.example/a?b", "https://pay.example/"), "https://bank.example/a?b");
  assert.equal(wire.safeUrl("http://127.0.0.1:1/a", "http://127.0.0.1/"), "http://127.0.0.1:1/a");
  for (const bad of ["http://bank.example/", "javascript:alert(1)", "data:text/html,x", "//bank.example", "", "blob:https://a/b", undefined]) {
    assert.equal(wire.safeUrl(bad, "https://pay.example/"), null, bad);
  }
});

test("the challenge's frame fits the window, and the bank is told no more than it asks for", () => {
  const sizes = [[320, 640, "05"], [390, 844, "05"], [479, 900, "05"], [480, 600, "02"], [1280, 800, "02"], [1280, 500, "05"], [256, 400, "01"]];
  for (const [width, height, size] of sizes) assert.equal(windowSize(width, height), size, `${width} × ${height}`);
  const told = browserOf({
    navigator: { language: "da-DK", userAgent: "Test" }, screen: { colorDepth: 24, height: 900, width: 400 }, innerWidth: 400, innerHeight: 800,
  }, { getTimezoneOffset: () => -60 });
  assert.deepEqual(told, {
    language: "da-DK", colorDepth: 24, screenHeight: 900, screenWidth: 400, timeZoneMinutes: -60, javaEnabled: false, userAgent: "Test", accept: "*/*", windowSize: "05",
  });
});

test("asking again becomes rarer and ends", () => {
  const delays = Array.from({ length: MAX_ASKS }, (_, asked) => delayAfter(asked));
  assert.ok(delays.every((delay, at) => delay >= (delays[at - 1] ?? 1000)));
  assert.equal(delayAfter(MAX_ASKS), null);
  const minutes = delays.reduce((sum, delay) => sum + delay, 0) / 60000;
  assert.ok(minutes > 8 && minutes < 12, `${minutes} minutes`);
});
