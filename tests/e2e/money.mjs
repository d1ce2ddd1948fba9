// A merchant's business by both interfaces, with a memory: what was asked, what was answered, and what has still to be
// answered. It goes on over deaths of the origin: what got no final answer is asked again with the same key.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { pageData, payPath, seal } from "./shopper.mjs";

const FAULTS = ["drop_before", "drop_after", "500", "garbage", "delay"];
const JSON_TYPE = { "content-type": "application/json" };

/** Nobody answered: the origin is dead, or dying. */
export class Gone extends Error {}

export class Shop {
  /** Calls with a key that have no final answer yet. */
  open = new Map();
  /** What was acknowledged: transaction → { captured, refunded, voided, reversed } in minor units. */
  acknowledged = new Map();
  /** Transactions that a shopper was told of, by what they were told. */
  told = new Map();
  counts = { calls: 0, faults: 0, unanswered: 0 };

  /** `account` is {account, password}; `party` is the simulator's address; `card` pays. */
  constructor({ stand, account, currency, party, card, random, largest = 900_000, faulty = 0.2 }) {
    Object.assign(this, { stand, account, currency, party, card, random, largest, faulty });
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
    const id = await this.pay(JSON.parse(made.body).code);
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
    const id = await this.pay(/\/Q\/(\d{10})/.exec(link.url)[1]);
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
  async pay(code) {
    const path = payPath(code);
    const page = await this.ask("GET", path);
    if (page.status !== 200) return undefined; // sealed
    const answer = await this.ask("POST", path, {}, { sealed: await seal({ data: pageData(page.body) }, this.card) });
    if (answer.status !== 200) return undefined;
    const { state, transactionId } = JSON.parse(answer.body);
    this.told.set(transactionId, state);
    return state === "paid" ? transactionId : undefined;
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

  async ask(method, path, extra = {}, body) {
    this.counts.calls += 1;
    const text = body === undefined ? "" : JSON.stringify(body);
    try {
      return await this.stand.ask({ method, path, body: text, extra: { ...extra, ...(text && JSON_TYPE) } });
    } catch (error) {
      throw new Gone(error.message);
    }
  }

  /** The party misbehaves for one of these calls, now and then. Amounts are drawn from a wide range: it hits this call. */
  async perhapsFault(kinds, amount) {
    if (this.random() >= this.faulty) return;
    this.counts.faults += 1;
    const match = { kind: kinds[this.below(kinds.length)], amount };
    const order = { match, fault: FAULTS[this.below(FAULTS.length)], delay_ms: 300, times: 1 };
    const answer = await fetch(`${this.party}/_faults`, { method: "POST", headers: JSON_TYPE, body: JSON.stringify(order) });
    assert.equal(answer.status, 204, await answer.text());
  }

  amount() {
    return 1_000 + this.below(this.largest - 1_000);
  }

  total(minor) {
    return `${Math.floor(minor / 100)}.${String(minor % 100).padStart(2, "0")} ${this.currency}`;
  }
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
