// The second implementation of what opens the vault, held against the published and the frozen vectors.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fingerprint, openEnvelope, parseShare, shareHash, xaesOpen } from "../../scripts/lib/vault-open.mjs";

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../origin/vectors/${name}.json`, import.meta.url), "utf8"));
const hex = (text) => Buffer.from(text, "hex");
const formats = vectors("formats");

test("XAES-256-GCM is that of C2SP, for both kinds of key", () => {
  for (const { key, nonce, plaintext, aad, ciphertext } of vectors("published")["xaes-256-gcm"].vectors) {
    assert.equal(xaesOpen(hex(key), hex(nonce), hex(aad), hex(ciphertext)).toString("hex"), plaintext);
  }
});

test("shares and their hashes are read as the vectors have them, and a slip is seen", () => {
  for (const { text, set_id, generation, index, y, hash } of formats.shares) {
    const share = parseShare(text);
    assert.deepEqual([share.setId.toString("hex"), share.generation, share.index, share.y.toString("hex")], [set_id, generation, index, y]);
    assert.equal(shareHash(share).toString("hex"), hash);
    assert.throws(() => parseShare(text.replace(/.$/, (symbol) => (symbol === "a" ? "q" : "a"))));
  }
});

test("envelopes open at their place and nowhere else", () => {
  for (const { key, plaintext, context, envelope } of formats.envelopes) {
    const place = { ...context, rowVersion: context.row_version };
    assert.equal(openEnvelope(hex(key), place, hex(envelope)).toString("hex"), plaintext);
    for (const other of [{ row: "x" }, { column: "x" }, { table: "x" }, { account: "x" }, { rowVersion: 99 }]) {
      assert.throws(() => openEnvelope(hex(key), { ...place, ...other }, hex(envelope)));
    }
  }
});

test("fingerprints are those of the vectors", () => {
  for (const vector of formats.fingerprints) {
    assert.equal(fingerprint(hex(vector.key), vector.account, vector.pan).toString("hex"), vector.fingerprint);
  }
});
