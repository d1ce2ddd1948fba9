// A merchant's business by both interfaces, with a memory: what was asked, what was answered, and what has still to be
// answered. It goes on over deaths of the origin: what got no final answer is asked again with the same key.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { fetchPatiently } from "../lib/patient.mjs";
import { CHALLENGED, CHALLENGED_AT_ONCE, FRICTIONLESS, NOT_THEIRS, Visit } from "./parties.mjs";

const FAULTS = ["drop_before", "drop_after", "500", "garbage", "delay"];
const JSON_TYPE = { "content-type": "application/json" };

/** Nobody answered: the origin is dead, or dying. */
export class Gone extends Error {}

/** Asks as long as the origin runs: on a busy machine a handshake may take longer than it waits for one, and a client
 * tries again. */
export async function persistently(stand, request) {
  const { origin } = stand;
  for (let tries = 1; ; tries += 1) {
    try {
      return await stand.ask(request);
    } catch (error) {
      await Promise.race([origin.ended, pause(100)]);
      if (!origin.running || tries === 20) throw new Gone(error.message);
    }
  }
}

export class Shop {
  /** Calls with a key that have no final answer yet. */
  open = new Map();
  /** What was acknowledged: transaction → { captured, refunded, voided, reversed } in minor units. */
  acknowledged = new Map();
  /** Transactions that a shopper was told of, by what they were told. */
  told = new Map();
  counts = { calls: 0, answered: 0, faults: 0, unanswered: 0 };

  /** `account` is {account, password}; `party` is the simulator's address; `card` pays, `way` says with what besides. */
  constructor({ stand, account, currency, party, card, way = "card", random, largest = 900_000, faulty = 0.2 }) {
    Object.assign(this, { stand, account, currency, party, card, way, random, largest, faulty });
    const basic = (user) => `Basic ${Buffer.from(`${user}:${account.password}`).toString("base64")}`;
    this.pluto = { authorization: basic(account.account) };
    this.v1 = { authorization: basic(account.account.replace("merchant-", "")) };
  }

  below(n) {
    return Math.floor(this.random() * n);
  }

  /** One piece of business. */
  async something() {
    if (this.open.size > 0 && this.random() < 0.3) return this.askAgain([...this.open.keys()][this.below(this.open.size)]);
    return this.random() < 0.5 ? this.sell() : this.sellOnAccount();
  }

  /** A code, paid and captured at once; now and then reversed or refunded. */
  async sell() {
    const amount = this.amount();
    await this.perhapsFault(["authorization", "capture"], amount);
    const reference = `ref-${randomBytes(8).toString("hex")}`;
    const made = await this.ask("POST", "/pluto/code/create", this.pluto, { merchantReference: reference, amount: amount / 100 });
    assert.equal(made.status, 200, made.body.toString());
    const id = await this.pay(JSON.parse(made.body).code, amount);
    if (!id || this.random() < 0.5) return;
    if (this.random() < 0.5) {
      await this.perhapsFault(["refund", "reversal"], amount);
      const answer = await this.ask("DELETE", `/pluto/purchase/${id}`, this.pluto);
      if (answer.status === 200) this.acknowledge(id, "reversed", amount);
    } else {
      const part = 1 + this.below(amount);
      await this.perhapsFault(["refund", "credit"], part);
      await this.keyed(`/pluto/purchase/${id}/refund`, this.pluto, { amount: part / 100 }, () => this.acknowledge(id, "refunded", part));
    }
  }

  /** A payment link, authorised only; then captures, refunds or a void. */
  async sellOnAccount() {
    const amount = this.amount();
    await this.perhapsFault(["authorization"], amount);
    const link = await this.keyed("/v1/new", this.v1, { orderid: `order-${this.below(1e9)}`, items: [{ name: "Thing", total: this.total(amount) }] });
    if (!link) return;
    const id = await this.pay(/\/Q\/(\d{10})/.exec(link.url)[1], amount);
    if (!id) return;
    if (this.random() < 0.2) {
      await this.perhapsFault(["void", "reversal"], amount);
      await this.keyed(`/v1/transactions/${id}/void`, this.v1, { index: 0 }, () => this.acknowledge(id, "voided", amount));
      return;
    }
    let index = 0;
    for (let left = amount; left > 0 && index < 3; index += 1) {
      const part = this.random() < 0.4 ? left : 1 + this.below(left);
      await this.perhapsFault(["capture"], part);
      const done = await this.keyed(`/v1/transactions/${id}/capture`, this.v1, { total: this.total(part), index }, () => this.acknowledge(id, "captured", part));
      if (!done) return;
      left -= part;
      if (this.random() < 0.4) {
        const back = 1 + this.below(part);
        index += 1;
        await this.perhapsFault(["refund", "credit"], back);
        if (!(await this.keyed(`/v1/transactions/${id}/refund`, this.v1, { total: this.total(back), index }, () => this.acknowledge(id, "refunded", back)))) return;
      }
    }
  }

  /** A shopper's way; the transaction when it is paid. */
  async pay(code, amount) {
    const visit = new Visit((method, path, headers, body, query) => this.ask(method, path, headers, body, query), code);
    if (!(await visit.open())) return undefined; // sealed
    const { state, transactionId } = (await this.#by(visit, amount)) ?? {};
    if (!transactionId) return undefined;
    this.told.set(transactionId, state);
    return state === "paid" ? transactionId : undefined;
  }

  async #by(visit, amount) {
    if (this.way === "card") return visit.pay(this.card);
    const { bank, wallet } = this.stand.ground;
    if (this.way === "wallet") {
      await this.perhapsFault(["callback", "callback", "create", "read", "capture", "refund", "void"], amount, wallet);
      return this.#byWallet(visit);
    }
    await this.perhapsFault(["auth", "postauth", "challenge"], amount, bank);
    const card = [FRICTIONLESS, FRICTIONLESS, CHALLENGED, CHALLENGED_AT_ONCE, NOT_THEIRS][this.below(5)];
    // Some never come back from their bank.
    return this.random() < 0.1 ? void (await visit.post(card)) : visit.pay(card);
  }

  /** To the wallet, a button there, and back; some never press one. */
  async #byWallet(visit) {
    const begun = await visit.toWallet();
    if (begun?.state !== "redirect") return begun;
    if (this.random() < 0.05) return undefined;
    await visit.press(this.random() < 0.1 ? "reject" : "approve");
    for (let looks = 0; looks < 60; looks += 1) {
      const said = await visit.state();
      if (said && !["waiting", "redirect"].includes(said.state)) return said;
      await pause(100);
    }
    return undefined;
  }

  /** A call with an idempotency key; its JSON when it was done, undefined when it was refused or nobody knows yet. */
  async keyed(path, auth, body, done = () => {}) {
    const key = randomBytes(16).toString("base64url");
    this.open.set(key, { path, auth, body, done });
    return this.askAgain(key);
  }

  async askAgain(key) {
    const { path, auth, body, done } = this.open.get(key) ?? {};
    if (!path) return undefined; // another till has had its answer meanwhile
    const answer = await this.ask("POST", path, { ...auth, "idempotency-key": key }, body);
    // Scan to Pay's interface has no such header: there an answer is final when it says done or refused.
    const isFinal = path.startsWith("/v1/") ? answer.headers["idempotency-status"] === "OK" : [200, 400, 409].includes(answer.status);
    if (!isFinal) {
      this.counts.unanswered += 1;
      return undefined;
    }
    const isFirst = this.open.delete(key);
    if (answer.status !== 200) return undefined;
    if (isFirst) done();
    return JSON.parse(answer.body);
  }

  acknowledge(id, what, amount) {
    const row = this.acknowledged.get(id) ?? { captured: 0, refunded: 0, voided: 0, reversed: 0 };
    row[what] += amount;
    this.acknowledged.set(id, row);
  }

  async ask(method, path, extra = {}, body = "", query = "") {
    this.counts.calls += 1;
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const type = text && typeof body !== "string" ? JSON_TYPE : {};
    const answer = await persistently(this.stand, { method, path, query, body: text, extra: { ...type, ...extra } });
    this.counts.answered += 1;
    return answer;
  }

  /** The party misbehaves for one of these calls, now and then. Amounts are drawn from a wide range: it hits this call. */
  async perhapsFault(kinds, amount, party = this.party) {
    if (this.random() >= this.faulty) return;
    this.counts.faults += 1;
    const match = { kind: kinds[this.below(kinds.length)], amount };
    const faults = match.kind === "callback" ? [...FAULTS, "duplicate"] : FAULTS;
    const order = { match, fault: faults[this.below(faults.length)], delay_ms: 300, times: 1 };
    const answer = await fetchPatiently(`${party}/_faults`, { method: "POST", headers: JSON_TYPE, body: JSON.stringify(order) });
    assert.equal(answer.status, 204, await answer.text());
  }

  amount() {
    return 1_000 + this.below(this.largest - 1_000);
  }

  total(minor) {
    return `${Math.floor(minor / 100)}.${String(minor % 100).padStart(2, "0")} ${this.currency}`;
  }
}

/** Counts and sums as numbers, whatever a database's driver makes of them. */
export function numbers(row) {
  const isNumber = (name) => /^id$|_minor$|_by_acts$|^(done|refunds|reversals|captures|acts_done)$/.test(name);
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, isNumber(name) ? Number(value) : value]));
}

/** What must hold of a database at rest, from its tables alone. */
export function assertBooks(rows) {
  for (const row of rows) {
    const what = JSON.stringify(row);
    assert.ok(row.refunded_minor <= row.captured_minor && row.captured_minor <= row.authorised_minor, what);
    assert.ok(row.authorised_minor <= row.amount_minor, what);
    assert.ok(!(row.state === "lost" && (row.captured_minor || row.captures)), `a lost authorisation was captured: ${what}`);
    assert.equal(row.captured_minor, row.captured_by_acts, what);
    assert.equal(row.refunded_minor, row.refunded_by_acts, what);
    assert.equal(row.acts_done, row.done, what);
    assert.ok(!(row.reversals && row.refunds > row.reversals), `reversed and refunded: ${what}`);
  }
}

/** What was acknowledged is there: at least as much, as an answer may have been lost. */
export function assertAcknowledged(shop, rows) {
  const byId = new Map(rows.map((row) => [Number(row.id), row]));
  for (const [id, { captured, refunded, voided, reversed }] of shop.acknowledged) {
    const row = byId.get(id);
    assert.ok(row, `sv-${id} is gone`);
    const is = JSON.stringify(row);
    assert.ok(Number(row.captured_minor) >= captured, `sv-${id}: captured ${captured}, ${is}`);
    assert.ok(Number(row.refunded_minor) >= refunded, `sv-${id}: refunded ${refunded}, ${is}`);
    if (voided) assert.equal(row.state, "voided", is);
    if (reversed) assert.ok(row.state === "voided" || Number(row.refunded_minor) === reversed, is);
  }
  for (const [id, state] of shop.told) {
    const row = byId.get(id);
    assert.ok(row, `sv-${id} is gone`);
    if (state === "paid") assert.equal(row.authorised_minor > 0, true, `sv-${id} was paid and is ${row.state}`);
    if (state === "declined") assert.equal(Number(row.captured_minor), 0, `sv-${id} was declined and is captured`);
  }
}

/** Every transaction with what its acts add up to. */
export const BOOKS = `
  SELECT t.id, t.account, t.state, t.amount_minor, t.authorised_minor, t.captured_minor, t.refunded_minor, t.acts_done, t.pending_act,
    ${sum("a.kind = 'capture' AND a.state = 'done'")} AS captured_by_acts, ${sum("a.kind = 'refund' AND a.state = 'done'")} AS refunded_by_acts,
    ${number("a.kind <> 'authorise' AND a.state = 'done'")} AS done, ${number("a.kind = 'capture'")} AS captures,
    ${number("a.kind = 'refund' AND a.state = 'done'")} AS refunds, ${number("a.is_reversal = 1 AND a.kind = 'refund' AND a.state = 'done'")} AS reversals
  FROM transactions t LEFT JOIN acts a ON a.transaction_id = t.id
  GROUP BY t.id, t.account, t.state, t.amount_minor, t.authorised_minor, t.captured_minor, t.refunded_minor, t.acts_done, t.pending_act`;

function sum(condition) {
  return `CAST(COALESCE(SUM(CASE WHEN ${condition} THEN a.amount_minor END), 0) AS BIGINT)`;
}
function number(condition) {
  return `COUNT(CASE WHEN ${condition} THEN 1 END)`;
}

/** What has not come to its end, and when it is looked at by itself; null: never. */
export const LEFT = `
  SELECT t.id, a.kind AS act, CASE a.state WHEN 'asked' THEN t.updated_at_ms + 90000 ELSE a.next_try_at_ms END AS due
    FROM transactions t JOIN acts a ON a.transaction_id = t.id AND a.number = t.pending_act WHERE t.pending_act IS NOT NULL
  UNION ALL SELECT id, state, lease_until_ms FROM transactions WHERE state = 'waiting' AND method = 'card'
  UNION ALL SELECT id, 'held', 0 FROM transactions WHERE held_until_ms IS NOT NULL
  UNION ALL SELECT id, 'hold', CASE WHEN EXISTS (SELECT 1 FROM acts v WHERE v.transaction_id = t.id AND v.kind = 'void')
    THEN t.updated_at_ms + 30000 ELSE 0 END FROM transactions t WHERE t.pending_act IS NULL AND ((t.state = 'lost' AND t.acquirer_state IS NOT NULL)
    OR (t.state = 'authorised' AND t.autocapture = 1 AND t.amount_minor > 0 AND t.captured_minor = 0 AND t.held_until_ms IS NULL AND t.lease_until_ms IS NULL))
  UNION ALL SELECT transaction_id, 'delivery', ${later("lease_until_ms", "next_at_ms")} FROM outbox WHERE state = 'pending'
  UNION ALL SELECT transaction_id, 'look', next_look_at_ms FROM wallet_payments WHERE next_look_at_ms IS NOT NULL
  UNION ALL SELECT transaction_id, 'report', ${later("lease_until_ms", "next_at_ms")} FROM wallet_reports WHERE state = 'pending'`;

function later(one, other) {
  return `CASE WHEN ${one} > ${other} THEN ${one} ELSE ${other} END`;
}

/** What waits for a time gets it at once; only while nobody runs. A lease that a dead process has left is over, but was
 * not given back; a wallet's word on a hold is waited for still. */
export const TIME_PASSES = [
  "UPDATE transactions SET updated_at_ms = updated_at_ms - 600000 WHERE pending_act IS NOT NULL OR state IN ('waiting', 'authorising', 'authorised', 'lost')",
  "UPDATE transactions SET authorised_at_ms = authorised_at_ms - 600000 WHERE lease_until_ms IS NOT NULL AND authorised_at_ms IS NOT NULL",
  "UPDATE transactions SET lease_until_ms = 1 WHERE lease_until_ms IS NOT NULL AND method = 'card'",
  "UPDATE acts SET next_try_at_ms = 1 WHERE next_try_at_ms IS NOT NULL",
  "UPDATE outbox SET next_at_ms = 1 WHERE state = 'pending'",
  "UPDATE outbox SET lease_until_ms = 1 WHERE state = 'pending' AND lease_until_ms <> 0",
  "UPDATE wallet_payments SET next_look_at_ms = 1 WHERE next_look_at_ms IS NOT NULL",
  "UPDATE wallet_reports SET next_at_ms = 1, lease_until_ms = 0 WHERE state = 'pending'",
  "UPDATE accounts SET pinged_at_ms = 0 WHERE ping_url IS NOT NULL",
];
/** The same, for payers of wallets who never came back. */
export const PAYERS_ARE_GONE = "UPDATE wallet_payments SET created_at_ms = created_at_ms - 1200000 WHERE state IN ('asked', 'created')";

/** Payments are named `sv-<transaction>-…` there. What is taken here is taken there, and reserved is what can
 * still be taken here. */
export function assertWalletBook(book, rows) {
  for (const { id, state, authorised_minor: authorised, captured_minor: captured, refunded_minor: refunded } of rows) {
    const own = book.filter(({ reference, success }) => success && reference.startsWith(`sv-${id}-`));
    const sum = (name) => own.filter((entry) => entry.name === name).reduce((all, { amount }) => all + amount, 0);
    const what = JSON.stringify({ id, state, authorised, captured, refunded, own: own.map(({ name, amount }) => `${name} ${amount}`) });
    assert.equal(sum("CAPTURED"), captured, what);
    assert.equal(sum("REFUNDED"), refunded, what);
    assert.equal(sum("AUTHORIZED") - sum("CAPTURED") - sum("CANCELLED"), state === "authorised" ? authorised - captured : 0, `what is reserved: ${what}`);
  }
}
