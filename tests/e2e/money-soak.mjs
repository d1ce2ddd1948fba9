// kill -9 of the origin at random moments under payments, captures, refunds, reversals and voids, by card, with 3-D Secure,
// with MobilePay and in strict mode, while a fifth of the third parties' answers is faulty. At the end their books are held
// against ours.
//   node tests/e2e/money-soak.mjs --kills N --seed S [--lanes L] [--kind sqlite|postgres]
// N kills on each database. The seed repeats what is done and when it is cut off, not what the machine makes of it.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { fetchPatiently } from "../lib/patient.mjs";
import { open } from "./ceremonies.mjs";
import { KINDS } from "./databases.mjs";
import { makeOpenTemplate } from "./kills.mjs";
import { BOOKS, Gone, LEFT, PAYERS_ARE_GONE, Shop, TIME_PASSES, assertAcknowledged, assertBooks, assertWalletBook, numbers } from "./money.mjs";
import { NOT_THEIRS, giveBank, giveWallet } from "./parties.mjs";
import { mulberry } from "./random.mjs";
import { Ground } from "./stand.mjs";
import { until } from "./world.mjs";

const LONGEST_MS = 2_500;
/** Of each shop, at work at the same time. */
const TILLS = 2;
const SOON_MS = 2_500;
const SHOPS = [
  { party: "clearhaus", isPinged: true },
  { party: "nets" },
  { party: "clearhaus", way: "bank" },
  { party: "clearhaus", way: "wallet" },
  { party: "clearhaus", isStrict: true },
  { party: "nets", isStrict: true },
];
/** How many payments a strict receiver refuses. */
const REFUSED = 0.15;

const { values } = parseArgs({
  options: { kills: { type: "string" }, seed: { type: "string" }, lanes: { type: "string", default: "2" }, kind: { type: "string" } },
});
const [kills, seed, lanes] = [values.kills, values.seed, values.lanes].map(Number);
assert.ok([kills, seed, lanes].every(Number.isSafeInteger) && lanes > 0, "--kills N --seed S [--lanes L]");
const counts = { kills: 0, calls: 0, faults: 0, unanswered: 0, transactions: {}, agreed: 0, unknown: {}, deliveries: 0, changes: 0, refused: 0, pings: 0, authentications: 0, wallet: {} };

class Lane {
  constructor(kind, at, quota) {
    Object.assign(this, { kind, quota, random: mulberry(seed * 64 + at) });
  }

  async run() {
    this.ground = await Ground.start();
    try {
      const template = await makeOpenTemplate(this.ground, this.kind);
      // Hundreds of payments with one card from one address: that is what the limits are there to stop.
      this.stand = this.ground.stand(this.kind, template, { SCANVAULT_RATE_LIMITS: "off" });
      await this.stand.start();
      await open(this.stand);
      this.shops = await this.openShops();
      for (let n = 0; n < this.quota; n += 1) await this.lifeAndDeath();
      await this.finish();
    } catch (error) {
      error.message = `${this.kind}: ${error.message}; open: ${JSON.stringify(this.open)}`;
      throw error;
    } finally {
      await this.stand?.close();
      await this.ground.close();
    }
  }

  /** Merchants of each sort. */
  async openShops() {
    const { stand, ground, random } = this;
    const shops = [];
    for (const [at, { party, way, isPinged, isStrict }] of SHOPS.entries()) {
      const { url, card, largest } = ground.parties().find((one) => one.party === party);
      const name = `merchant-${100 + at}`;
      const account = await stand.addMerchantAt(name, { party });
      if (way === "bank") await giveBank(stand, name, "required");
      if (way === "wallet") await giveWallet(stand, name);
      if (isStrict) await stand.cli(["account", "set", name, "--strict", "on"]);
      if (isPinged) {
        writeFileSync(stand.at("api-key"), `${100 + at}:${account.password}`, { mode: 0o600 });
        await stand.cli(["account", "set", name, "--ping-url", ground.receiver.url("ping"), "--api-key", stand.at("api-key")]);
      }
      shops.push({ name, way, isStrict, isPinged, shop: new Shop({ stand, account, currency: "DKK", party: url, card, way, largest, random }) });
    }
    const strict = shops.filter(({ isStrict }) => isStrict).map(({ name }) => `/${name}`);
    ground.receiver.statusOf = (body, url) => (strict.includes(url) && JSON.parse(body).status === "SUCCESS" && random() < REFUSED ? 500 : 200);
    return shops;
  }

  async lifeAndDeath() {
    const { stand } = this;
    const { origin } = stand;
    const life = Math.floor(this.random() * LONGEST_MS);
    const killing = this.atWork().then(() => pause(life)).then(() => stand.stop("SIGKILL"));
    const tills = this.shops.flatMap(({ shop }) => Array.from({ length: TILLS }, () => this.till(shop, origin)));
    await Promise.all([killing, ...tills]);
    await origin.ended;
    assert.equal(origin.how, "SIGKILL", "it died of nothing else");
    counts.kills += 1;
    await stand.start();
    await open(stand);
  }

  /** A life begins with the first answers, however busy the machine is: an idle origin has nothing to lose. */
  async atWork() {
    const answered = () => this.shops.reduce((all, { shop }) => all + shop.counts.answered, 0);
    const before = answered();
    await until("business goes on", () => answered() >= before + 4 * this.shops.length, { seconds: 120 });
  }

  async till(shop, origin) {
    while (origin.running) {
      try {
        await shop.something();
      } catch (error) {
        if (!(error instanceof Gone)) throw error;
        await pause(20);
      }
    }
  }

  async finish() {
    const { stand, ground } = this;
    for (const url of [...ground.parties().map(({ url }) => url), ground.bank, ground.wallet]) await fetchPatiently(`${url}/_faults`, { method: "DELETE" });
    await this.rest();
    for (const { party, url } of ground.parties()) await this.holdAgainstReport({ party, url });
    await this.rest();
    for (const { shop } of this.shops) await this.finalAnswers(shop);
    await this.rest();
    assert.deepEqual(await stand.database.rowsLater("SELECT id, state, last_error FROM outbox WHERE state NOT IN ('delivered', 'withdrawn')"), [], "every delivery is made");
    assert.deepEqual(await stand.database.rowsLater("SELECT transaction_id, kind, last_error FROM wallet_reports WHERE state <> 'done'"), [], "MobilePay is told of everything");
    const rows = (await stand.database.rowsLater(BOOKS)).map(numbers);
    assertBooks(rows);
    for (const row of rows) counts.transactions[row.state] = (counts.transactions[row.state] ?? 0) + 1;
    for (const { shop, name } of this.shops) assertAcknowledged(shop, rows.filter(({ account }) => account === name));
    await this.assertFeeds();
    const all = (await stand.database.rowsLater("SELECT id, account, state, authorised_minor, captured_minor, refunded_minor, autocapture, card_last_four, method FROM transactions")).map(numbers);
    this.assertNotified(all);
    await this.assertOthers(all);
    for (const { shop } of this.shops) for (const name of ["calls", "faults", "unanswered"]) counts[name] += shop.counts[name];
  }

  /** What is left is looked after as time passes. What only a party's report can tell stays as it is. */
  async rest() {
    const end = Date.now() + 240_000;
    for (;;) {
      const now = Date.now();
      this.open = (await this.stand.database.rowsLater(LEFT)).filter(({ due }) => due !== null);
      if (this.open.length === 0) return;
      assert.ok(now < end, "it does not come to rest");
      if (this.open.some(({ due }) => Number(due) > now + SOON_MS)) await this.letTimePass();
      else await pause(200);
    }
  }

  async letTimePass() {
    const { stand } = this;
    await stand.stop();
    await stand.database.writeLater([...TIME_PASSES, PAYERS_ARE_GONE]);
    await stand.start();
    await open(stand);
  }

  /** The party's own report: nothing may disagree but what nobody could know, and that is settled by it. */
  async holdAgainstReport({ party, url }) {
    const report = this.stand.at(`${party}.csv`);
    writeFileSync(report, await (await fetchPatiently(`${url}/_settlement`)).text());
    const days = ["--from", day(-1), "--until", day(2), "--party", party];
    const first = await this.compare(["reconcile", "compare", ...days, report, "--settle"]);
    for (const { finding, ours } of first.findings) {
      assert.match(finding, /^unknown_/, JSON.stringify(first.findings));
      assert.ok(this.ground.documentsNoLookUp(party), `${party}: ${finding}`);
      counts.unknown[finding] = (counts.unknown[finding] ?? 0) + 1;
      if (finding === "unknown_not_in_report") await this.stand.cli(["transaction", "settle", String(ours.transactionId), "--not-booked"]);
    }
    // Voids move no money: they are in no report. A void without an answer leaves at worst a hold that lapses.
    const { unsettled } = await this.stand.cli(["transaction", "unsettled"]);
    for (const { act, transaction } of unsettled.filter(({ acquirer }) => acquirer === party)) {
      assert.equal(act, "void", JSON.stringify(transaction));
      counts.unknown.void = (counts.unknown.void ?? 0) + 1;
      await this.stand.cli(["transaction", "settle", String(transaction.transactionId), "--booked"]);
    }
    const second = await this.compare(["reconcile", "compare", ...days, report]);
    assert.deepEqual(second.findings, [], party);
    counts.agreed += second.agreed;
    await this.assertHolds(party, url);
  }

  async compare(args) {
    const { code, stdout, stderr } = await this.stand.scanvault([...args, "--json"]);
    assert.ok(code === 0 || code === 1, stderr);
    return JSON.parse(stdout);
  }

  /** No reference was authorised twice where one answer was known, and nothing was taken on a lost one. */
  async assertHolds(party, url) {
    const book = await (await fetchPatiently(`${url}/_book`)).json();
    const rows = await this.stand.database.rowsLater(`SELECT id, state FROM transactions WHERE acquirer = '${party}'`);
    const holds = new Map();
    for (const entry of book) {
      if (entry.kind === "authorization" && entry.booked) holds.set(entry.reference, (holds.get(entry.reference) ?? 0) + 1);
    }
    for (const { id, state } of rows) {
      const booked = holds.get(`sv-${id}`) ?? 0;
      if (state === "authorised" || state === "voided") assert.ok(booked >= 1, `${party} sv-${id} is ${state} and was never authorised`);
      assert.ok(booked <= 1, `${party} sv-${id} was authorised ${booked} times`);
      holds.delete(`sv-${id}`);
    }
    assert.deepEqual([...holds.keys()], [], "authorisations that we know nothing of");
  }

  /** Whatever was asked with a key is answered for good by now. */
  async finalAnswers(shop) {
    for (const key of [...shop.open.keys()]) {
      await until(`${shop.open.get(key)?.path} has its final answer`, async () => {
        if (shop.open.has(key)) await shop.askAgain(key);
        return !shop.open.has(key);
      }, { seconds: 40 });
    }
  }

  async assertFeeds() {
    for (const { shop, name } of this.shops) {
      let [seq, seen] = [0, 0];
      for (;;) {
        const answer = await shop.ask("GET", `/v1/seq/${seq}`, shop.v1);
        assert.equal(answer.status, 200, answer.body.toString());
        const page = JSON.parse(answer.body);
        if (page.changes.length === 0) break;
        assert.ok(page.seq > seq);
        seen += page.changes.length;
        seq = page.seq;
      }
      const [{ n, last }] = await this.stand.database.rowsLater(`SELECT COUNT(*) AS n, COALESCE(MAX(seq), 0) AS last FROM changes WHERE account = '${name}'`);
      assert.deepEqual([seen, seq], [Number(n), Number(last)], `${name}: the feed`);
      assert.equal(Number(n), Number(last), `${name}: a gap`);
      assert.equal(await this.count(`SELECT change_seq AS n FROM accounts WHERE name = '${name}'`), Number(last));
      counts.changes += seen;
    }
  }

  /** Every final state was told at least once. */
  assertNotified(rows) {
    const told = new Set();
    for (const { name } of this.shops) {
      for (const { body } of this.ground.receiver.of(name)) {
        const { transactionId, status } = JSON.parse(body);
        told.add(`${transactionId} ${status}`);
        counts.deliveries += 1;
      }
    }
    for (const { id, state, captured_minor: captured, autocapture } of rows.filter(({ account }) => this.shops.some(({ name }) => name === account))) {
      const expected = { declined: told.has(`${id} END_BRE_REJECTED`) ? "END_BRE_REJECTED" : "END_BANK_NON_00", lost: "END_BANK_ERROR", voided: "END_REVERSED", cancelled: "END_CLIENT_CANCEL", expired: "END_CLIENT_TIMEOUT" }[state];
      if (expected) assert.ok(told.has(`${id} ${expected}`), `sv-${id} is ${state}, and nobody was told`);
      if (state === "authorised" && (Number(captured) > 0 || !Number(autocapture))) assert.ok(told.has(`${id} SUCCESS`), `sv-${id} was paid, and nobody was told`);
    }
  }

  /** What the other parties' books say, and what the strict receivers have answered. */
  async assertOthers(rows) {
    const book = async (url) => (await fetchPatiently(`${url}/_book`)).json();
    const of = (wanted) => {
      const names = this.shops.filter(wanted).map(({ name }) => name);
      return rows.filter(({ account }) => names.includes(account));
    };
    const wallet = await book(this.ground.wallet);
    assertWalletBook(wallet, of(({ way }) => way === "wallet"));
    for (const { name, success } of wallet) if (success) counts.wallet[name] = (counts.wallet[name] ?? 0) + 1;
    await this.assertAuthenticated(await book(this.ground.bank), of(({ way }) => way === "bank"));
    for (const { id, account, captured_minor: captured } of of(({ isStrict }) => isStrict)) {
      const told = this.ground.receiver.of(account).filter(({ body }) => JSON.parse(body).transactionId === id && JSON.parse(body).status === "SUCCESS");
      if (captured > 0) assert.ok(told.some(({ answered }) => answered === 200), `sv-${id} is captured, and the receiver has not said yes`);
      if (!told.some(({ answered }) => answered === 200)) counts.refused += told.length > 0 ? 1 : 0;
    }
    for (const { name } of this.shops.filter(({ isPinged }) => isPinged)) await this.assertPinged(name);
  }

  /** Nothing was asked of the acquirer that the payer's bank has not said yes to, once for each. */
  async assertAuthenticated(bank, rows) {
    const passed = new Map();
    for (const { amount } of bank.filter(({ kind, status }) => ["auth", "challenge"].includes(kind) && status === "Y")) passed.set(amount, (passed.get(amount) ?? 0) + 1);
    const asked = new Map(rows.map(({ id, card_last_four: last }) => [`sv-${id}`, last]));
    const { url } = this.ground.parties()[0];
    for (const { kind, reference, amount } of await (await fetchPatiently(`${url}/_book`)).json()) {
      if (kind !== "authorization" || !asked.has(reference)) continue;
      assert.notEqual(asked.get(reference), NOT_THEIRS.pan.slice(-4), `${reference}: the bank has said no`);
      assert.ok(passed.get(amount) > 0, `${reference}: the bank was not asked, or has not said yes`);
      passed.set(amount, passed.get(amount) - 1);
      counts.authentications += 1;
    }
  }

  /** The newest change was told of. A ping may be cut off by a death: the next one comes after minutes, which pass. */
  async assertPinged(name) {
    const last = await this.count(`SELECT change_seq AS n FROM accounts WHERE name = '${name}'`);
    await this.letTimePass();
    await until("the newest change is pinged", () => this.ground.receiver.of("ping").some(({ body }) => JSON.parse(body).seq === last), { seconds: 60 });
    counts.pings += this.ground.receiver.of("ping").length;
  }

  async count(sql) {
    return Number((await this.stand.database.rowsLater(sql))[0].n);
  }
}

const day = (from) => new Date(Date.now() + from * 86_400_000).toISOString().slice(0, 10);

for (const kind of KINDS.filter((kind) => !values.kind || kind === values.kind)) {
  const own = Math.min(lanes, kills);
  const shares = Array.from({ length: own }, (_, at) => Math.floor(kills / own) + (at < kills % own ? 1 : 0));
  await Promise.all(shares.map((quota, at) => new Lane(kind, at, quota).run()));
  console.error(`${kind}: ${kills} kills`);
}
console.log(JSON.stringify({ seed, ...counts }, null, 2));
process.exit(0);
