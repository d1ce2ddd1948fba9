// Many at once: one wins, the others are told, and the acquirer's book says so too.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { CARD } from "./shopper.mjs";

const MANY = 16;
const times = (count, make) => Promise.all(Array.from({ length: count }, (_, n) => make(n)));
const BUSY = [409, "code-busy", "This code is being paid by someone else", { "retry-after": "2" }];
const NOT_PAYABLE = [409, "code-not-payable", "This code can no longer be paid"];

onBothDatabases((at) => {
  let merchant;
  before(async () => {
    merchant = await at.world.merchant("merchant-25", { webhook: false });
  });

  /** The one that paid; the others got one of `refusals`. */
  function onlyOne(answers, refusals) {
    const paid = answers.filter(({ status }) => status === 200);
    assert.equal(paid.length, 1, answers.map(({ status }) => status).join(" "));
    for (const answer of answers) {
      if (answer === paid[0]) continue;
      const { code } = JSON.parse(answer.body);
      assertProblem(answer, ...(refusals.find((refusal) => refusal[1] === code) ?? refusals[0]));
    }
    const { state, transactionId } = JSON.parse(paid[0].body);
    assert.equal(state, "paid");
    return transactionId;
  }

  /** One authorisation and one capture more than before, both of this transaction. */
  async function chargedOnce(bookBefore, transactionId, amount) {
    const { world } = at;
    assert.deepEqual(await world.booked(transactionId), [`authorization ${amount} ZAR`, `capture ${amount} ZAR`]);
    assert.equal((await world.book()).length, bookBefore.length + 2, "nothing else was asked of the acquirer");
  }

  test(`${MANY} payers of one single-use code: one pays, the others are told`, async () => {
    const { world } = at;
    const before = await world.book();
    // The payment under way is held for a moment, so that the others meet it and not only what it leaves.
    await world.fault({ match: { kind: "authorization" }, fault: "delay", delay_ms: 300 });
    const { code } = await world.code(merchant, "77.00");
    const sealed = await times(MANY, async (n) => {
      const card = { ...CARD, pan: `40123456789${String(10_001 + 11 * n)}`, name: `Payer Number ${n}` };
      return world.seal(await world.page(code), card);
    });
    const answers = await times(MANY, (n) => world.post(code, sealed[n]));
    const id = onlyOne(answers, [BUSY, NOT_PAYABLE]);
    assert.ok(answers.some(({ body }) => body.includes("code-busy")), "some met it while it was paid");
    await chargedOnce(before, id, 7700);
    assert.equal((await world.query(merchant, code)).codeState, "Used");
    assert.equal(Number(world.database.rows("SELECT count(*) AS n FROM transactions")[0].n), 1);
    assert.equal(Number(world.database.rows("SELECT count(*) AS n FROM cards")[0].n), 1, "the losers' cards are not kept");
    // Each may ask again: who paid hears so, who did not is told that it is too late.
    const winner = answers.findIndex(({ status }) => status === 200);
    const again = await world.post(code, sealed[winner]);
    assert.deepEqual([again.status, JSON.parse(again.body)], [200, { state: "paid", transactionId: id }]);
    assertProblem(await world.post(code, sealed[(winner + 1) % MANY]), ...NOT_PAYABLE);
  });

  for (const [what, amount, changes] of [["single-use", "10.00", {}], ["reusable", "0", { amount: 555 }]]) {
    test(`the same sealed card posted ${MANY} times at once to a ${what} code: one charge, and the same answer later`, async () => {
      const { world } = at;
      const before = await world.book();
      const { code } = await world.code(merchant, amount);
      const sealed = await world.seal(await world.page(code), CARD, changes);
      const answers = await times(MANY, () => world.post(code, sealed));
      const paid = answers.filter(({ status }) => status === 200);
      assert.ok(paid.length >= 1);
      // While it is paid the others meet a busy code; once it is, they hear what became of it.
      for (const answer of answers) if (!paid.includes(answer)) assertProblem(answer, ...BUSY);
      const { transactionId } = JSON.parse(paid[0].body);
      for (const { body } of [...paid, await world.post(code, sealed)]) {
        assert.deepEqual(JSON.parse(body), { state: "paid", transactionId });
      }
      await chargedOnce(before, transactionId, changes.amount ?? 1000);
      const [{ n }] = world.database.rows(`SELECT count(*) AS n FROM transactions t JOIN codes c ON c.request_id = t.request_id WHERE c.code = '${code}'`);
      assert.equal(Number(n), 1);
    });
  }

  test("another card sealed with an attempt that was used is not charged", async () => {
    const { world } = at;
    const { code } = await world.code(merchant, "0");
    const page = await world.page(code);
    const first = await world.post(code, await world.seal(page, CARD, { amount: 600 }));
    const { transactionId } = JSON.parse(first.body);
    const before = await world.book();
    const second = await world.post(code, await world.seal(page, { ...CARD, pan: "4012345678901234" }, { amount: 700 }));
    assert.deepEqual([second.status, JSON.parse(second.body).transactionId], [200, transactionId], "what became of that attempt");
    assert.deepEqual(await world.book(), before);
  });

  test(`a new card pays ${MANY} codes at once`, async () => {
    const { world } = at;
    const card = { ...CARD, pan: "4012345699998888" };
    const codes = await times(MANY, () => world.code(merchant, "6.00"));
    const sealed = await times(MANY, async (n) => world.seal(await world.page(codes[n].code), card));
    const answers = await times(MANY, (n) => world.post(codes[n].code, sealed[n]));
    for (const answer of answers) assert.equal(answer.status, 200, answer.body.toString());
    const ids = answers.map(({ body }) => JSON.parse(body).transactionId);
    for (const id of ids) assert.deepEqual(await world.booked(id), ["authorization 600 ZAR", "capture 600 ZAR"]);
    const cards = world.database.rows(`SELECT DISTINCT card FROM transactions WHERE id IN (${ids.join(", ")})`);
    assert.equal(cards.length, 1, "one card, however often it came at once");
  });

  test(`${MANY} payers of ${MANY} codes all pay`, async () => {
    const { world } = at;
    const before = await world.book();
    const codes = await times(MANY, () => world.code(merchant, "5.00"));
    const answers = await times(MANY, (n) => world.pay(codes[n].code));
    const ids = answers.map((answer) => {
      assert.equal(answer.status, 200, answer.body.toString());
      assert.equal(JSON.parse(answer.body).state, "paid");
      return JSON.parse(answer.body).transactionId;
    });
    assert.equal(new Set(ids).size, MANY);
    for (const id of ids) assert.deepEqual(await world.booked(id), ["authorization 500 ZAR", "capture 500 ZAR"]);
    assert.equal((await world.book()).length, before.length + 2 * MANY);
    // The feed is gap-free whatever ran beside it: two changes each (held, taken), numbered through.
    const seqs = world.database.rows("SELECT seq FROM changes WHERE account = 'merchant-25' ORDER BY seq").map(({ seq }) => Number(seq));
    assert.deepEqual(seqs, seqs.map((_, n) => n + 1));
    const transactions = Number(world.database.rows("SELECT count(*) AS n FROM transactions")[0].n);
    assert.equal(seqs.length, 2 * transactions);
  });

  test(`${MANY} creates with one reference at once: one code`, async () => {
    const { world } = at;
    const answers = await times(MANY, () => world.create(merchant, { merchantReference: "race", amount: 8 }));
    for (const answer of answers) assert.equal(answer.status, 200, answer.body.toString());
    assert.equal(new Set(answers.map(({ body }) => JSON.parse(body).code)).size, 1);
    const rows = world.database.rows("SELECT count(*) AS n FROM payment_requests WHERE merchant_reference = 'race'");
    assert.equal(Number(rows[0].n), 1);
  });

  test(`${MANY} creates with one reference and different bodies at once: one wins, the others conflict`, async () => {
    const { world } = at;
    const answers = await times(MANY, (n) => world.create(merchant, { merchantReference: "race-2", amount: n + 1 }));
    const made = answers.filter(({ status }) => status === 200);
    assert.equal(made.length, 1);
    for (const answer of answers.filter((other) => other !== made[0])) {
      assertProblem(answer, 409, "reference-conflict", "This merchantReference was used before with other contents");
    }
  });
});
