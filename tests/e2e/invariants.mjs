// What must hold of a vault whatever happened to its processes, read from the tables with nothing of the Rust code in it:
// every effect has its audit entry and every entry its effect, the chains are whole, no record is lost.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

const text = (expression) => `CAST(${expression} AS TEXT)`;

/** Everything that the ceremonies write, in one statement. */
export async function readTables(database) {
  const hex = database.kind === "sqlite" ? "lower(hex(hash))" : "encode(hash, 'hex')";
  const rows = await database.rowsLater(`
    SELECT 'vault' AS t, share_set AS a, ${text("ring_version")} AS b, '' AS c, '' AS d, '' AS e FROM vault
    UNION ALL SELECT 'key', kind, ${text("id")}, state, '', '' FROM vault_keys
    UNION ALL SELECT 'share', ${text("generation")}, ${text("share_index")}, ${text("proved_at_ms IS NOT NULL")}, name, '' FROM vault_shares
    UNION ALL SELECT 'reshare', nonce, ${text("compromised")}, coalesce(share_set, ''), '', '' FROM vault_reshare
    UNION ALL SELECT 'staged', kind, ${text("id")}, state, '', '' FROM vault_reshare_keys
    UNION ALL SELECT 'approval', action, requested_by, '', '', '' FROM vault_approvals
    UNION ALL SELECT 'job', state, ${text("done")}, ${text("failed")}, ${text("total")}, '' FROM vault_reencryption
    UNION ALL SELECT 'chain', id, '', '', '', '' FROM audit_chains
    UNION ALL SELECT 'link', chain, ${text("number")}, ${text("at_ms")}, entries, ${hex} FROM audit_links
    UNION ALL SELECT 'account', name, ${text("webhook_secret IS NOT NULL")}, '', '', '' FROM accounts
    UNION ALL SELECT 'credential', account, ${text("key_id")}, '', '', '' FROM acquirer_credentials
    UNION ALL SELECT 'card', token, ${text("key_id")}, ${text("fingerprint_key")}, account, bin || '…' || last_four FROM cards`);
  const of = (table) => rows.filter(({ t }) => t === table);
  return { of, records: ["account", "credential", "card"].map((table) => of(table).length) };
}

/** Every chain is whole: numbers from 1 without a gap, each hash over its link and the one before. Answers all entries
 * in order. Signatures are `audit verify`'s. */
export function readAudit(tables) {
  const chains = new Map(tables.of("chain").map(({ a }) => [a, []]));
  for (const { a: chain, b, c, d: entries, e: hash } of tables.of("link")) {
    assert.ok(chains.has(chain), `a link of no chain: ${chain}`);
    chains.get(chain).push({ number: Number(b), atMs: Number(c), entries, hash });
  }
  const all = [];
  for (const [chain, links] of chains) {
    links.sort((one, other) => one.number - other.number);
    let before = Buffer.alloc(32);
    links.forEach(({ number, atMs, entries, hash }, at) => {
      assert.equal(number, at + 1, `chain ${chain} has a gap`);
      before = linkHash(chain, number, atMs, before, Buffer.from(entries));
      assert.equal(hash, before.toString("hex"), `chain ${chain}, link ${number}`);
      for (const entry of JSON.parse(entries)) all.push({ ...entry, atMs });
    });
    assert.ok(links.length > 0, "a chain begins with its first link");
  }
  return all.sort((one, other) => one.atMs - other.atMs);
}

function linkHash(chain, number, atMs, before, entries) {
  const integers = Buffer.alloc(16);
  integers.writeBigUInt64BE(BigInt(number), 0);
  integers.writeBigUInt64BE(BigInt(atMs), 8);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(entries.length);
  const hash = createHash("sha256").update("scanvault/audit-link/v1\0").update(Buffer.from(chain, "hex"));
  return hash.update(integers).update(before).update(length).update(entries).digest();
}

/** Effects and entries, both ways. */
export function assertConsistent(tables) {
  const entries = readAudit(tables);
  const said = (action, fits = () => true) => entries.filter((entry) => entry.action === action && fits(entry));
  const [vault] = tables.of("vault");
  assert.equal(said("vault.init").length, vault ? 1 : 0, "vault.init");
  assert.equal(said("account.created").length, tables.of("account").length, "account.created");
  if (!vault) return;
  const set = JSON.parse(vault.a);
  const switched = said("vault.reshare.switched");
  const generation = Number(set.generation);
  assert.equal(switched.length, generation, "vault.reshare.switched");
  assertReshare(tables, said, generation);
  assertProofs(tables, said, generation, switched.at(-1)?.nonce);
  assertKeys(tables, said, switched.filter(({ compromised }) => compromised).length);
  assertJob(tables, entries);
}

function assertReshare(tables, said, generation) {
  const [ceremony] = tables.of("reshare");
  const ended = new Set([...said("vault.reshare.switched"), ...said("vault.reshare.cancelled")].map(({ nonce }) => nonce));
  const started = said("vault.reshare.started").map(({ nonce }) => nonce);
  assert.equal(new Set(started).size, started.length, "each re-share starts once");
  assert.deepEqual(started.filter((nonce) => !ended.has(nonce)), ceremony ? [ceremony.a] : [], "the re-share under way");
  assert.ok([...ended].every((nonce) => started.includes(nonce)));
  const isDealt = ceremony !== undefined && ceremony.c !== "";
  if (ceremony) assert.equal(said("vault.reshare.authorised", ({ nonce }) => nonce === ceremony.a).length, isDealt ? 1 : 0, "authorised");
  assert.equal(tables.of("staged").length > 0, isDealt && ceremony.b !== "0", "the staged ring");
  const generations = new Set(tables.of("share").map(({ a }) => Number(a)));
  assert.deepEqual([...generations].sort((a, b) => a - b), isDealt ? [generation, generation + 1] : [generation], "shares that are kept");
}

/** Who is said to have proved their share has, and the reverse. */
function assertProofs(tables, said, generation, lastNonce) {
  const proved = (of) => {
    const rows = tables.of("share").filter(({ a, c }) => Number(a) === of && ["1", "true"].includes(c));
    return rows.map(({ b }) => Number(b)).sort((a, b) => a - b);
  };
  const shares = (found) => [...new Set(found.map(({ share }) => share))].sort((a, b) => a - b);
  const inReshare = (nonce) => shares(said("vault.reshare.proved", (entry) => entry.nonce === nonce));
  if (generation === 0) {
    const accepted = said("vault.share.accepted", ({ nonce }) => nonce === undefined);
    const given = shares([...accepted, ...said("vault.unsealed"), ...said("vault.share.proved")]);
    assert.deepEqual(given, proved(0), "proofs of the first set");
  } else {
    const total = tables.of("share").filter(({ a }) => Number(a) === generation).length;
    assert.deepEqual(proved(generation), Array.from({ length: total }, (_, at) => at + 1), "nothing is in effect unproved");
    assert.deepEqual(inReshare(lastNonce), proved(generation), "proofs of the set in effect");
  }
  const [ceremony] = tables.of("reshare");
  if (ceremony) assert.deepEqual(inReshare(ceremony.a), proved(generation + 1), "proofs of the re-share");
}

/** One key of each kind from the init but the login key; one more for each rotation and each compromise. */
function assertKeys(tables, said, compromises) {
  const rows = tables.of("key");
  for (const kind of new Set(rows.map(({ a }) => a))) {
    const own = rows.filter(({ a }) => a === kind);
    const rotated = said("vault.key.rotated", ({ key }) => key.startsWith(`${kind}/`)).map(({ key }) => key);
    assert.equal(new Set(rotated).size, rotated.length, "each number is given once");
    assert.equal(own.length, kind === "login" ? rotated.length : 1 + rotated.length + compromises, `keys of kind ${kind}`);
    assert.ok(rotated.every((key) => own.some(({ b }) => key === `${kind}/${b}`)), `rotated keys of kind ${kind}`);
    assert.equal(own.filter(({ c }) => c === "active").length, 1, `one ${kind} key is in use`);
  }
  const destroyed = rows.filter(({ c }) => c === "destroyed").map(({ a, b }) => `${a}/${b}`).sort();
  const ended = said("vault.key.destroyed").map(({ key }) => key).sort();
  assert.deepEqual(ended, destroyed, "destroyed keys");
  const waiting = new Set(said("vault.key.destroy.requested").map(({ key }) => key).filter((key) => !ended.includes(key)));
  assert.deepEqual([...waiting].map((key) => `destroy ${key}`).sort(), tables.of("approval").map(({ a }) => a).sort(), "first words");
  const used = new Set([...tables.of("card"), ...tables.of("credential")].map(({ b }) => `data/${b}`));
  assert.deepEqual(destroyed.filter((key) => used.has(key)), [], "no record needs a key that is gone");
}

/** Of the re-encryption's beginnings and ends the last one says where it stands. */
function assertJob(tables, entries) {
  const begins = ({ action, compromised }) => action === "vault.reencrypt.started" || (action === "vault.reshare.switched" && compromised);
  const last = entries.filter((entry) => begins(entry) || entry.action === "vault.reencrypt.finished").at(-1);
  const [job] = tables.of("job");
  const expected = last && (last.action === "vault.reencrypt.finished" ? "done" : "running");
  assert.equal(job?.a, expected, "the re-encryption");
  if (job) assert.equal(job.c, "0", "every record opens");
}
