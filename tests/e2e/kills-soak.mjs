// kill -9 at random moments, while custodians, operators and shoppers go about their business; after each, what is left is
// looked at and the business goes on.
//   node tests/e2e/kills-soak.mjs --kills N --seed S [--lanes L] [--kind sqlite|postgres]
// N kills on each database. The seed repeats what is done and when it is cut off, not what the machine makes of it.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { cancel, destroy, hasKey, open, recordsDue, reencrypt, reshare, rotate } from "./ceremonies.mjs";
import { KINDS } from "./databases.mjs";
import { assertConsistent, readTables } from "./invariants.mjs";
import { makeOpenTemplate } from "./kills.mjs";
import { CARD } from "./shopper.mjs";
import { Ground, MERCHANT, PEOPLE, Refused, Unreachable, nobodysCard } from "./stand.mjs";

const LONGEST_MS = 3_000;
const CARDS = Array.from({ length: 24 }, (_, n) => nobodysCard(`40123456${7000 + n * 37}${100 + n * 21}`));
/** What an operator may be told in the middle of things: somebody else was first, or something is still to be done. */
const TOLD = /changed by another process|records still need this key|re-encryption is under way|one ceremony at a time/;

const { values } = parseArgs({
  options: { kills: { type: "string" }, seed: { type: "string" }, lanes: { type: "string", default: "3" }, kind: { type: "string" } },
});
const [kills, seed, lanes] = [values.kills, values.seed, values.lanes].map(Number);
assert.ok([kills, seed, lanes].every(Number.isSafeInteger) && lanes > 0, "--kills N --seed S [--lanes L]");

const counts = { kills: 0, during: {}, outcome: {}, records: 0, payments: 0, stored: 0, read: 0, refusedShares: 0, audits: 0, ceremonies: {} };
const count = (where, name, more = 1) => (where[name] = (where[name] ?? 0) + more);

async function soak(kind) {
  const ground = await Ground.start();
  try {
    const template = await makeOpenTemplate(ground, kind);
    const own = Math.min(lanes, kills);
    const shares = Array.from({ length: own }, (_, at) => Math.floor(kills / own) + (at < kills % own ? 1 : 0));
    await Promise.all(shares.map((quota, at) => new Lane(ground.stand(kind, template), seed * 64 + at, quota).run()));
    console.error(`${kind}: ${kills} kills`);
  } finally {
    await ground.close();
  }
}

class Lane {
  /** Numbers that were paid with, and those that the other system stored, with their tokens. What nobody was answered
   * for may be there or not. */
  known = new Set();
  tokens = new Map();

  constructor(stand, seed, quota) {
    Object.assign(this, { stand, quota, random: mulberry(seed) });
  }

  below(n) {
    return Math.floor(this.random() * n);
  }
  oneOf(list) {
    return list[this.below(list.length)];
  }

  async run() {
    try {
      await this.stand.start();
      for (let n = 0; n < this.quota; n += 1) {
        await this.untilKilled();
        await this.lookAt();
        await this.stand.start();
        await this.recover(n);
      }
      await this.finish();
    } catch (error) {
      error.message = `${this.stand.kind}, ${this.stand.name}, while ${this.ceremony} (${this.stand.doing}): ${error.message}`;
      throw error;
    } finally {
      await this.stand.close();
    }
  }

  /** Business goes on until the process is gone. */
  async untilKilled() {
    const { stand } = this;
    const { origin } = stand;
    this.before = await stand.status();
    this.ceremony = "nothing";
    const killing = pause(this.below(LONGEST_MS)).then(() => stand.stop("SIGKILL"));
    const business = Promise.all([this.payOn(origin), this.storeOn(origin)]);
    business.catch(() => {}); // it is looked at when the process is gone
    try {
      while (origin.running) await this.ceremonyOrRefused();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
    }
    count(counts.during, `${this.ceremony}: ${stand.doing}`);
    await Promise.all([killing, business]);
    await origin.ended;
    assert.equal(origin.how, "SIGKILL", "it died of nothing else");
    counts.kills += 1;
  }

  async ceremonyOrRefused() {
    try {
      await this.someCeremony();
      count(counts.ceremonies, this.ceremony);
    } catch (error) {
      if (!(error instanceof Refused && TOLD.test(error.message))) throw error;
    }
  }

  async someCeremony() {
    const { stand } = this;
    const status = await stand.status();
    this.before = status;
    if (status.sealed) {
      this.ceremony = "unseal";
      return open(stand, { from: this.below(8) });
    }
    if (status.reshare) return this.goOnWithReshare(status);
    const choice = this.below(10);
    if (choice < 4) return this.startReshare(status);
    if (choice < 6) return this.rotateOne(status);
    if (choice < 7) return this.sealIt();
    if (choice < 8) return this.destroyOne();
    this.ceremony = "re-encryption";
    if (status.reencryption?.state !== "running") await stand.cli(["vault", "reencrypt", "--rate", String(2 + this.below(40))]);
    await pause(200 + this.below(600));
  }

  startReshare({ generation }) {
    const compromised = this.below(4) === 0;
    this.ceremony = compromised ? "re-share after a compromise" : "re-share";
    const threshold = 2 + this.below(2);
    const people = PEOPLE.map((name) => [this.random(), name]).sort().map(([, name]) => name);
    const custodians = people.slice(0, threshold + this.below(3));
    return reshare(this.stand, { generation: generation + 1, threshold, custodians, compromised });
  }

  goOnWithReshare({ generation, reshare: { compromised } }) {
    if (this.below(3) === 0) {
      this.ceremony = "cancel";
      return cancel(this.stand);
    }
    this.ceremony = compromised ? "re-share after a compromise" : "re-share";
    return reshare(this.stand, { generation: generation + 1 });
  }

  rotateOne(status) {
    const kind = this.oneOf(["data", "data", "page", "fingerprint", "token", "audit"]);
    this.ceremony = `rotate ${kind}`;
    let id = 1;
    while (hasKey(status, kind, id)) id += 1;
    this.rotated = { kind, id };
    return rotate(this.stand, kind, id);
  }

  async sealIt() {
    this.ceremony = "seal";
    await this.stand.cli(["vault", "seal"]);
  }

  async destroyOne() {
    this.ceremony = "destroy";
    const { keys } = await this.stand.cli(["vault", "keys"]);
    const key = keys.find(({ kind, state, records }) => ["data", "fingerprint"].includes(kind) && state === "retired" && records === 0);
    if (!key) return this.sealIt();
    this.destroyed = key;
    await destroy(this.stand, key);
  }

  /** A shopper after the other, whatever the vault is doing. */
  async payOn(origin) {
    while (origin.running) {
      const card = this.oneOf(CARDS);
      try {
        const { status } = await this.stand.pay(card);
        if (status === 200) this.known.add(card.pan);
        else await pause(100);
      } catch (error) {
        if (error instanceof assert.AssertionError && !/ECONN|hang up/.test(error.message) && origin.running) throw error;
      }
    }
  }

  /** The other system stores cards all the while. A number that is known keeps its token. */
  async storeOn(origin) {
    let client;
    while (origin.running) {
      const { pan, exp } = this.oneOf(CARDS);
      try {
        client ??= await this.stand.internal();
        const { token } = await client.store({ pan, exp });
        assert.equal(token, this.tokens.get(pan) ?? token, "the same number, another token");
        this.tokens.set(pan, token);
        counts.stored += 1;
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        client?.close();
        client = undefined;
        await pause(100);
      }
    }
    client?.close();
  }

  /** While nobody runs: the tables alone. */
  async lookAt() {
    const tables = await readTables(this.stand.database);
    assertConsistent(tables);
    this.assertRecords(tables);
    count(counts.outcome, `${this.ceremony}: ${this.outcome(tables)}`);
    if (tables.of("job")[0]?.a === "running" && this.below(4) > 0) {
      this.stand.database.write("UPDATE vault_reencryption SET lease_until_ms = 0");
    }
  }

  /** Each number that was paid with has one row, and no number has two. */
  assertRecords(tables) {
    const rows = tables.of("card").map(({ d, e }) => `${d} ${e}`);
    assert.equal(new Set(rows).size, rows.length, "no card is there twice");
    const isThere = (account, pan) => [6, 8].some((digits) => rows.includes(`${account} ${pan.slice(0, digits)}…${pan.slice(-4)}`));
    for (const pan of this.known) assert.ok(isThere(MERCHANT, pan), `the card …${pan.slice(-4)} is lost`);
    const tokens = new Set(tables.of("card").map(({ a }) => a));
    for (const token of this.tokens.values()) assert.ok(tokens.has(token), "a stored card is lost");
    assert.deepEqual([tables.of("account").length, tables.of("credential").length], [2, 1]);
    counts.records += rows.length + 3;
  }

  /** Of what was going on when it died: as before, done, or a stage that is stored. */
  outcome(tables) {
    const [vault] = tables.of("vault");
    const has = ({ kind, id }, state) => tables.of("key").some(({ a, b, c }) => a === kind && Number(b) === id && (!state || c === state));
    const { ceremony, before } = this;
    if (ceremony.startsWith("re-share") || ceremony === "cancel") {
      if (Number(JSON.parse(vault.a).generation) > before.generation) return "new";
      const [stored] = tables.of("reshare");
      if (ceremony === "cancel") return stored ? "old" : "new";
      return stored ? "old, a stage is stored" : "old";
    }
    if (ceremony.startsWith("rotate")) return has(this.rotated) ? "new" : "old";
    if (ceremony === "destroy" && this.destroyed) return has(this.destroyed, "destroyed") ? "new" : "old";
    if (ceremony === "re-encryption") return tables.of("job")[0]?.a ?? "old";
    return "sealed";
  }

  /** The set in effect opens it, the others do not, and a card that was there is there. */
  async recover(n) {
    const { stand } = this;
    const { generation, reshare: ceremony, sealed, progress } = await stand.status();
    assert.deepEqual([sealed, progress], [true, 0]);
    if (ceremony?.stage === "proving") {
      delete stand.sets[ceremony.generation]; // it is kept by the vault, not by us
      await stand.learn({ generation: ceremony.generation, threshold: ceremony.threshold, reshare: true });
    }
    for (const other of [generation - 1, generation + 1].map((at) => stand.sets[at]).filter((set) => set)) {
      const said = await stand.refused(["vault", "unseal", "--share-file", this.oneOf(Object.values(other.shares))]);
      assert.match(said, /^scanvault: this share is of re-share \d+/);
      counts.refusedShares += 1;
    }
    await open(stand, { from: this.below(8) });
    const card = this.oneOf([...this.known].concat(CARD.pan));
    await stand.assertPays({ ...CARD, pan: card });
    counts.payments += 1;
    await this.readStored(1);
    if (n % 5 === 0) await this.audit();
  }

  /** Some of what the other system has stored: the token still stands for its number. */
  async readStored(most) {
    const stored = [...this.tokens].map((pair) => [this.random(), pair]).sort(([one], [other]) => one - other).slice(0, most);
    if (stored.length === 0) return;
    const client = await this.stand.internal();
    for (const [, [pan, token]] of stored) assert.equal((await client.read(token, "kills")).pan, pan);
    counts.read += stored.length;
    client.close();
  }

  async audit() {
    await this.stand.cli(["audit", "verify"]);
    counts.audits += 1;
  }

  /** Everything comes to an end. */
  async finish() {
    const { stand } = this;
    const status = await stand.status();
    if (status.reshare) await reshare(stand, { generation: status.generation + 1 });
    if ((await stand.status()).sealed) await open(stand);
    const { reencryption } = await stand.status();
    if (reencryption?.state === "running" || (await recordsDue(stand)) > 0) await reencrypt(stand);
    for (const pan of this.known) await stand.assertPays({ ...CARD, pan });
    await this.readStored(Infinity);
    await this.audit();
    await stand.stop();
    const tables = await readTables(stand.database);
    assertConsistent(tables);
    this.assertRecords(tables);
  }
}

/** A small generator with a seed; its quality is of no matter here. */
function mulberry(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

for (const kind of KINDS.filter((kind) => !values.kind || kind === values.kind)) await soak(kind);
console.log(JSON.stringify({ seed, ...counts }, null, 2));
process.exit(0);
