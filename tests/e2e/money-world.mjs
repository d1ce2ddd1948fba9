// A gateway whose origin is killed at a named place: merchants of all sorts, the books of the parties, and the passing of
// time, so that what was left is looked after.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { fetchPatiently } from "../lib/patient.mjs";
import { open } from "./ceremonies.mjs";
import { makeOpenTemplate } from "./kills.mjs";
import { BOOKS, Gone, LEFT, TIME_PASSES, assertBooks, assertWalletBook, numbers, persistently } from "./money.mjs";
import { giveBank, giveWallet } from "./parties.mjs";
import { CARD } from "./shopper.mjs";
import { Ground, Unreachable } from "./stand.mjs";
import { until } from "./world.mjs";

const SECONDS = 180;
const LOOK_EVERY_MS = 100;
/** What is due later than this is not waited for: time passes. */
const SOON_MS = 2_500;

/** Who sells: at which acquirer, and what is peculiar. */
const MERCHANTS = {
  clearhaus: { name: "merchant-101" },
  nets: { name: "merchant-102", party: "nets" },
  strict: { name: "merchant-103", set: ["--strict", "on"] },
  strictNets: { name: "merchant-104", party: "nets", set: ["--strict", "on"] },
  bank: { name: "merchant-105", bank: "required" },
  issuer: { name: "merchant-106", bank: "off" },
  wallet: { name: "merchant-107", wallet: true },
};

export class MoneyWorld {
  merchants = {};
  /** Whether receivers say no to payments. */
  isRefused = false;

  static async start(kind) {
    const world = new this();
    world.ground = await Ground.start();
    // Whoever refuses what is paid takes note of everything else.
    world.ground.receiver.statusOf = (body) => (world.isRefused && JSON.parse(body).status === "SUCCESS" ? 500 : 200);
    try {
      const template = await makeOpenTemplate(world.ground, kind);
      world.stand = world.ground.stand(kind, template, { SCANVAULT_RATE_LIMITS: "off" });
      await world.begin();
      for (const [sort, { name, party = "clearhaus", set, bank, wallet }] of Object.entries(MERCHANTS)) {
        const account = await world.stand.addMerchantAt(name, { party });
        if (set) await world.stand.cli(["account", "set", name, ...set]);
        if (bank) await giveBank(world.stand, name, bank);
        if (wallet) await giveWallet(world.stand, name);
        world.merchants[sort] = world.merchant(sort, name, party, account);
      }
      await world.rest();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  merchant(sort, name, party, { account, password }) {
    const basic = (user) => ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` });
    const { url, card } = this.ground.parties().find((one) => one.party === party);
    return { sort, name, party, account: { account, password }, url, card: party === "nets" ? card : CARD, pluto: basic(account), v1: basic(account.replace("merchant-", "")) };
  }

  get database() {
    return this.stand.database;
  }

  async begin(fault) {
    await this.stand.start({ fault });
    await open(this.stand);
  }

  // --- Calls -------------------------------------------------------------------------------------------------------

  ask = async (method, path, headers = {}, body = "", query = "") => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const type = text && typeof body !== "string" ? { "content-type": "application/json" } : {};
    return persistently(this.stand, { method, path, query, body: text, extra: { ...type, ...headers } });
  };

  /** A call that works; its JSON. */
  async call(method, path, headers, body) {
    const answer = await this.ask(method, path, headers, body);
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body);
  }

  async fault(url, order) {
    const answer = await fetchPatiently(`${url}/_faults`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(order) });
    assert.equal(answer.status, 204, await answer.text());
  }

  // --- Death -------------------------------------------------------------------------------------------------------

  /** Starts anew with a place to die at, and does what leads there. */
  async dieAt(fault, act) {
    await this.stand.stop();
    await this.stand.start({ fault });
    const { origin } = this.stand;
    try {
      await open(this.stand); // what has waited goes on at once
      await act();
    } catch (error) {
      if (!(error instanceof Gone || error instanceof Unreachable)) throw error;
    }
    await until(`it dies at ${fault}`, () => origin.how !== undefined, { seconds: SECONDS });
    assert.equal(origin.how, "SIGKILL");
    const deaths = origin.lines().filter((line) => line.includes('"fault"')).map((line) => JSON.parse(line).point);
    assert.deepEqual(deaths, [fault.split(":")[0]], "it died once, and there");
  }

  // --- Rest --------------------------------------------------------------------------------------------------------

  /** Everything comes to its end: what is left is looked after as time passes, and an operator settles what only a
   * party's book can tell. */
  async rest() {
    const end = Date.now() + SECONDS * 1000;
    for (let left; left?.length !== 0; ) {
      const now = Date.now();
      left = await this.left();
      assert.ok(now < end, `not at rest: ${JSON.stringify(left)}`);
      if (left.some(({ due }) => due !== null && Number(due) > now + SOON_MS)) {
        await this.letTimePass();
        continue;
      }
      if (!this.stand.origin.running) await this.begin();
      for (const { id, act } of left.filter(({ due }) => due === null)) await this.settle(id, act);
      if (left.length > 0) await pause(LOOK_EVERY_MS);
    }
  }

  left() {
    return this.database.rowsLater(LEFT);
  }

  /** The operator has read the party's report. */
  async settle(id, act) {
    const [{ party, kind, done }] = await this.database.rowsLater(`SELECT acquirer AS party, '${act}' AS kind,
      (SELECT COUNT(*) FROM acts a WHERE a.transaction_id = ${id} AND a.kind = '${act}' AND a.state = 'done') AS done FROM transactions WHERE id = ${id}`);
    const booked = (await this.booked(party)).filter((entry) => entry.id === Number(id) && entry.kind === kind).length;
    await this.stand.cli(["transaction", "settle", String(id), booked > Number(done) ? "--booked" : "--not-booked"]);
  }

  async letTimePass({ begins = true } = {}) {
    await this.stand.stop();
    await this.database.writeLater(TIME_PASSES);
    if (begins) await this.begin();
  }

  // --- Books -------------------------------------------------------------------------------------------------------

  /** What an acquirer has booked for transactions of ours, in order, in our words. */
  async booked(party) {
    const { url } = this.ground.parties().find((one) => one.party === party);
    const words = { credit: "refund", reversal: "void" };
    const book = await (await fetchPatiently(`${url}/_book`)).json();
    return book.filter(({ booked }) => booked).map(({ reference, kind, amount }) => ({ id: Number(/^sv-(\d+)$/.exec(reference)?.[1]), kind: words[kind] ?? kind, amount }));
  }

  /** The transactions after number `after`, each with what its acquirer has booked and what its merchant was told. */
  async transactions(after) {
    const rows = (await this.database.rowsLater(BOOKS)).map(numbers);
    assertBooks(rows);
    const more = new Map((await this.database.rowsLater(`SELECT t.id, t.acquirer, t.code, t.rev, c.state AS code_state,
      (SELECT COUNT(*) FROM changes h WHERE h.kind IN ('transaction', 'charge') AND h.object_id = t.id) AS changes
      FROM transactions t LEFT JOIN codes c ON c.code = t.code`)).map((row) => [Number(row.id), row]));
    const books = { clearhaus: await this.booked("clearhaus"), nets: await this.booked("nets") };
    const told = this.told();
    return rows.filter(({ id }) => id > after).sort((one, other) => one.id - other.id).map((row) => {
      const { acquirer, rev, changes, code, code_state: codeState } = more.get(row.id);
      assert.equal(Number(changes), Number(rev), `sv-${row.id}: a change is not in the feed`);
      const entries = (books[acquirer] ?? []).filter(({ id }) => id === row.id);
      assertSums(row, entries);
      return { ...row, code, codeState, booked: entries.map(({ kind }) => kind), told: told.get(row.id) ?? [] };
    });
  }

  /** What receivers were told of each transaction: once for each delivery id, whatever was sent twice. */
  told() {
    const [seen, told] = [new Set(), new Map()];
    for (const { id: delivery, body } of this.ground.receiver.deliveries) {
      if (seen.has(delivery)) continue;
      seen.add(delivery);
      const { transactionId, status } = JSON.parse(body);
      told.set(transactionId, [...(told.get(transactionId) ?? []), status]);
    }
    return told;
  }

  /** How often a delivery was sent that says this of a transaction. */
  sent(id, status) {
    return this.ground.receiver.deliveries.map(({ body }) => JSON.parse(body)).filter((said) => said.transactionId === id && said.status === status).length;
  }

  /** Every merchant's feed is numbered through. */
  async assertFeeds() {
    const rows = await this.database.rowsLater(`SELECT a.name, a.change_seq AS seq, COUNT(c.seq) AS n, COALESCE(MAX(c.seq), 0) AS last
      FROM accounts a LEFT JOIN changes c ON c.account = a.name GROUP BY a.name, a.change_seq`);
    for (const { name, seq, n, last } of rows) assert.deepEqual([Number(n), Number(last)], [Number(seq), Number(seq)], `${name}: the feed has a gap`);
    return rows;
  }

  /** As a client reads it, too; and MobilePay's book says the same of each payment as ours. */
  async assertAll() {
    const rows = await this.assertFeeds();
    await this.assertWallet();
    for (const { name, v1 } of Object.values(this.merchants)) {
      let [at, seen] = [0, 0];
      for (let page; page?.changes.length !== 0; ) {
        page = await this.call("GET", `/v1/seq/${at}`, v1);
        [at, seen] = [page.seq, seen + page.changes.length];
      }
      const row = rows.find((one) => one.name === name);
      assert.deepEqual([at, seen], [Number(row.seq), Number(row.seq)], `${name}: what a client reads`);
    }
  }

  /** MobilePay's book says the same of each payment as ours. */
  async assertWallet() {
    const book = await (await fetchPatiently(`${this.ground.wallet}/_book`)).json();
    const rows = (await this.database.rowsLater("SELECT id, state, authorised_minor, captured_minor, refunded_minor FROM transactions WHERE method = 'mobilepay'")).map(numbers);
    assertWalletBook(book, rows);
  }

  async close() {
    await this.stand?.close();
    await this.ground.close();
  }
}

/** What the acquirer has moved is what we say: never more, never less. */
function assertSums(row, entries) {
  const sum = (kind) => entries.filter((entry) => entry.kind === kind).reduce((all, { amount }) => all + amount, 0);
  const what = JSON.stringify({ ...row, entries });
  assert.equal(sum("capture"), row.captured_minor, what);
  assert.equal(sum("refund"), row.refunded_minor, what);
  assert.ok(entries.filter(({ kind }) => kind === "authorization").length <= 1, `authorised twice: ${what}`);
}
