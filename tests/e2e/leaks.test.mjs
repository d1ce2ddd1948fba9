// The scanner itself: a scan that finds nothing must have been able to find something.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Secrets, formsOf } from "./leaks.mjs";

const CARD = { pan: "4012345678909876", csc: "987", exp: "1230", name: "Zephyrine Okonkwo" };

test("a number is found in clear, grouped, in hex and in base64, wherever it stands", () => {
  const secrets = new Secrets();
  secrets.addCard(CARD);
  const bytes = Buffer.from(CARD.pan);
  const traces = [CARD.pan, "4012 3456 7890 9876", "4012-3456-7890-9876", bytes.toString("hex"), "401234567890", "5678909876"];
  for (const before of ["", "a", "ab", "abc"]) traces.push(Buffer.from(`${before}${CARD.pan}tail`).toString("base64"));
  for (const trace of traces) assert.notDeepEqual(secrets.foundIn(Buffer.from(`{"x":"${trace}"}`)), [], trace);
  assert.deepEqual(secrets.foundIn(Buffer.from("401234••••••9876 401234 9876 4012349876")), [], "what may be shown");
});

test("a security code, an expiry and a name are found by what stands beside them", () => {
  const secrets = new Secrets();
  secrets.addCard(CARD);
  const codes = ['"csc":"987"', "card[csc]=987", "card%5Bcsc%5D=987", 'csc: Some("987")', "CVC 987", "security code=987"];
  for (const trace of [...codes, '"exp":"1230"', "card[expire_year]=2030", "expiry=12/30", "Zephyrine Okonkwo"]) {
    assert.equal(secrets.foundIn(Buffer.from(`… ${trace} …`)).length, 1, trace);
  }
  assert.deepEqual(secrets.foundIn(Buffer.from("took_us=987 1230 transaction 987")), []);
});

test("passwords, shares, identities and keys are found", () => {
  const secrets = new Secrets();
  const raw = Buffer.from("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "hex");
  secrets.add("link", raw.toString("base64"), raw);
  secrets.addShare("share", "svshare1-abcdef-ghijkl-mnopqr");
  secrets.addIdentity("identity", "# created\nAGE-SECRET-KEY-1QQQQQQ\n");
  secrets.addPem("key", `-----BEGIN PRIVATE KEY-----\n${"A".repeat(64)}\n${"Bc".repeat(32)}\n-----END PRIVATE KEY-----\n`);
  for (const [trace, name] of [
    [raw.toString("base64"), "link"],
    [raw.toString("hex"), "link"],
    [raw.toString("latin1"), "link"],
    ["SVSHARE1-ABCDEF-GHIJKL-MNOPQR", "share"],
    ["abcdefghijklmnopqr", "share"],
    ["AGE-SECRET-KEY-1QQQQQQ", "identity"],
    ["Bc".repeat(32), "key"],
  ]) {
    assert.deepEqual(secrets.foundIn(Buffer.from(`… ${trace} …`, "latin1")), [name], trace);
  }
  assert.ok(formsOf(raw).every((form) => form.length >= 32), "no form is so short that it stands anywhere by chance");
});
