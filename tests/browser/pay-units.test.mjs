// pay.js without a browser: sealing against an independent opener, and the reading of what was typed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PAN, payModule, template, vaultKey } from "./harness.mjs";

const pay = await payModule();

test("sealCard makes the JWE of the contract, new keys and iv each time", async () => {
  const key = vaultKey();
  const card = { attempt: "a", code: "0123456789", amount: 1000, currency: "ZAR", expires: 1, pan: PAN, exp: "1230", csc: "123", name: "Zoë ✓" };
  const first = await pay.sealCard(key.jwk, card);
  const second = await pay.sealCard(key.jwk, card);
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
  const jwe = await pay.sealCard(key.jwk, { pan: PAN });
  assert.throws(() => vaultKey().open(jwe));
  const parts = jwe.split(".");
  const header = Buffer.from(JSON.stringify({ ...key.open(jwe).header, kid: "other" })).toString("base64url");
  assert.throws(() => key.open([header, ...parts.slice(1)].join(".")));
});

test("sealCard refuses a key that is not on the curve", async () => {
  const { jwk } = vaultKey();
  await assert.rejects(pay.sealCard({ ...jwk, y: jwk.x }, {}));
});

test("amounts: decimals with point or comma, never more than the exponent, never zero", () => {
  const cases = [["12.50", 2, 1250], ["12,5", 2, 1250], [" 1 000 ", 2, 100000], ["7", 0, 7], ["1.234", 3, 1234], ["0.01", 2, 1],
    ["0", 2, null], ["0.00", 2, null], ["1.005", 2, null], ["7.0", 0, null], ["-1", 2, null], ["1e3", 2, null], ["", 2, null], ["1.2.3", 2, null], [".5", 2, null], ["NaN", 2, null]];
  for (const [text, exponent, minor] of cases) assert.equal(pay.parseAmount(text, exponent), minor, text);
  assert.equal(pay.formatAmount(1000, 2, "ZAR"), "10.00 ZAR");
  assert.equal(pay.formatAmount(5, 2, "ZAR"), "0.05 ZAR");
  assert.equal(pay.formatAmount(500, 0, "JPY"), "500 JPY");
});

test("expiry dates as people and browsers write them", () => {
  for (const text of ["0829", "08/29", "8/29", "08 / 29", "08/2029", "082029", "08-29", " 08 29 "]) assert.equal(pay.parseExpiry(text), "0829", text);
  for (const text of ["", "08", "13/29", "00/29", "8", "08/2", "aa/bb", "08/1929"]) assert.equal(pay.parseExpiry(text), null, text);
  const now = new Date(2029, 7, 31);
  assert.deepEqual(["0729", "0829", "0930", "1228"].map((text) => pay.isPast(text, now)), [true, false, false, true]);
});

test("check digit and groups", () => {
  assert.equal(pay.luhn(PAN), true);
  assert.equal(pay.luhn("4111111111111112"), false);
  assert.equal(pay.groupNumber(PAN), "4111 1111 1111 1111");
  assert.equal(pay.groupNumber("378282246310005"), "3782 822463 10005");
  assert.equal(pay.groupNumber("4111111111111111110"), "4111 1111 1111 1111 110");
  assert.equal(pay.groupNumber("41111"), "4111 1");
});

test("the texts of the page and of the table are the same, and every language is complete", () => {
  const marked = [...template.matchAll(/data-text="(\w+)"[^>]*>([^<]*)</g)];
  assert.ok(marked.length >= 25);
  assert.equal(marked.length, template.split("data-text=").length - 1);
  for (const [, name, text] of marked) assert.equal(text, pay.TEXTS.en[name], name);
  const names = Object.keys(pay.TEXTS.en).sort();
  for (const [language, table] of Object.entries(pay.TEXTS)) assert.deepEqual(Object.keys(table).sort(), names, language);
});
