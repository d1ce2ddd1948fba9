// Somebody has a copy of the database, and perhaps one share too few. What that gives: nothing.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { combine, fingerprint, openEnvelope, openVault, parseShare, readVault } from "../../scripts/lib/vault-open.mjs";
import { onBothDatabases } from "./both.mjs";
import { CUSTODIANS } from "./world.mjs";

/** A good check digit, as real cards have: the acquirer declines it, and it is stored all the same. */
const CARD = { pan: "4000056655665556", exp: "1230", csc: "964", name: "Ottoline Featherstonehaugh" };
const ACCOUNT = "merchant-33";

onBothDatabases((at) => {
  let stolen;
  let shares;

  before(async () => {
    const { world } = at;
    const merchant = await world.merchant(ACCOUNT);
    const { code } = await world.code(merchant);
    assert.equal(JSON.parse((await world.pay(code, CARD)).body).state, "declined");
    const rows = (sql) => world.database.rows(sql);
    const blob = (text) => Buffer.from(text.replace(/^\\x/, ""), "hex");
    const cards = rows("SELECT token, account, pan, fingerprint, bin, last_four, row_version FROM cards");
    stolen = {
      vault: readVault(rows),
      cards: cards.map((card) => ({ ...card, pan: blob(card.pan), fingerprint: blob(card.fingerprint).toString("hex") })),
    };
    assert.deepEqual(stolen.cards.map(({ account, bin, last_four }) => [account, bin, last_four]), [[ACCOUNT, "400005", "5556"]]);
    shares = CUSTODIANS.map((name) => parseShare(readFileSync(world.shareFile(name), "utf8")));
  });

  /** Whatever 32 bytes a thief could take for a key: what the database holds, what one share holds, and constants. */
  function guessedKeys() {
    const { shareSet, wrappedRoot, keys } = stolen.vault;
    const setId = Buffer.from(shareSet.setId, "hex");
    const texts = ["scanvault", ACCOUNT, shareSet.setId, stolen.cards[0].token];
    return [
      Buffer.alloc(32),
      Buffer.alloc(32, 0xff),
      Buffer.concat([setId, setId]),
      ...texts.map((text) => createHash("sha256").update(text).digest()),
      ...shareSet.hashes.map((hash) => Buffer.from(hash, "hex")),
      ...[wrappedRoot, ...keys.map(({ wrapped }) => wrapped)].map((wrapped) => wrapped.subarray(29, 61)),
      ...shares.map(({ y }) => y),
      ...shares.map(({ y }) => createHash("sha256").update(y).digest()),
      ...shares.map((share) => combine([share])),
      // One share twice, and one share with a point that is nobody's.
      combine([shares[0], { index: 2, y: shares[0].y }]),
      combine([shares[0], { index: 2, y: Buffer.alloc(32) }]),
    ];
  }

  test("no key that can be had from the database and one share opens anything", () => {
    const [card] = stolen.cards;
    const place = { account: card.account, table: "cards", row: card.token, column: "pan", rowVersion: card.row_version };
    for (const key of guessedKeys()) {
      assert.throws(() => openVault(stolen.vault, key));
      assert.throws(() => openEnvelope(key, place, card.pan));
      for (const { kind, id, state, wrapped, created_at_ms: rowVersion } of stolen.vault.keys) {
        assert.throws(() => openEnvelope(key, { account: "", table: "vault_keys", row: `${kind}/${id}`, column: state, rowVersion }, wrapped));
      }
    }
    // With one share more it all opens: the tries above could have succeeded.
    for (const pair of [[0, 1], [0, 2], [1, 2]]) {
      const { ring } = openVault(stolen.vault, combine(pair.map((n) => shares[n])));
      const data = ring.find(({ kind, id }) => kind === "data" && id === 1);
      assert.equal(openEnvelope(data.material, place, card.pan).toString(), CARD.pan);
    }
  });

  test("every number of the card's BIN and last four is guessed, and the fingerprint tells nothing without its key", () => {
    const stored = new Set(stolen.cards.map((card) => card.fingerprint));
    const numbers = candidates("400005", "5556");
    assert.equal(numbers.length, 100_000);
    assert.ok(numbers.includes(CARD.pan));
    const found = (hash) => numbers.filter((pan) => stored.has(hash(pan).toString("hex").slice(0, 64)));

    const sha = (algorithm, before) => (pan) => createHash(algorithm).update(before).update(pan).digest();
    const length = Buffer.from([0, 0, 0, ACCOUNT.length]);
    const message = Buffer.concat([Buffer.from("scanvault/fingerprint/v1\0"), length, Buffer.from(ACCOUNT)]);
    const plain = ["sha256", "sha512"].flatMap((algorithm) => ["", ACCOUNT, message].map((before) => sha(algorithm, before)));
    for (const hash of plain) assert.deepEqual(found(hash), []);
    for (const key of guessedKeys().filter((_, n) => n % 8 === 0)) {
      assert.deepEqual(found((pan) => createHmac("sha256", key).update(message).update(pan).digest()), []);
    }
    assert.deepEqual(found((pan) => createHmac("sha256", Buffer.alloc(32)).update(pan).digest()), []);

    const { ring } = openVault(stolen.vault, combine(shares.slice(1)));
    const { material } = ring.find(({ kind }) => kind === "fingerprint");
    assert.deepEqual(found((pan) => fingerprint(material, ACCOUNT, pan)), [CARD.pan], "with the key it is found");
    assert.deepEqual(found((pan) => fingerprint(material, "merchant-34", pan)), [], "and under its own account only");
  });
});

/** The numbers of 16 digits with a good check digit (ISO/IEC 7812-1 annex B) that begin and end so. */
function candidates(bin, lastFour) {
  const numbers = [];
  for (let middle = 0; middle < 1_000_000; middle += 1) {
    const pan = bin + String(middle).padStart(6, "0") + lastFour;
    let sum = 0;
    for (let place = 0; place < 16; place += 1) {
      const digit = pan.charCodeAt(15 - place) - 48;
      sum += place % 2 === 0 ? digit : digit > 4 ? 2 * digit - 9 : 2 * digit;
    }
    if (sum % 10 === 0) numbers.push(pan);
  }
  return numbers;
}
