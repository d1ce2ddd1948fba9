// What the acquirer may do to us, and what becomes of the money: held against the acquirer's own book.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { CARD } from "./shopper.mjs";
import { until } from "./world.mjs";

const BANK = "The card was declined. Please use another card or ask your bank.";
const NUMBER = "Please check the card number or use another card.";
const LATER = "The payment could not be made at the moment. Nothing was charged; please try again later.";
const MAY_RETRY = "The bank did not answer. The payment was not made; you may try again.";
const MAY_NOT = "The payment is not confirmed yet. Please do not pay again; ask the merchant.";
/** With this number the amount in cents is the outcome (a documented feature of the test gateway). */
const MAGIC = { ...CARD, pan: "4200000000000000" };

onBothDatabases((at) => {
  let merchant;
  before(async () => {
    merchant = await at.world.merchant("merchant-25");
  });

  const parsed = (answer) => {
    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal(answer.headers["content-type"], "application/json");
    return JSON.parse(answer.body);
  };
  /** What operators see: what is theirs to settle, and what needs no settling. */
  const watched = async () => {
    const { scanvault_unknown_transactions: unknown, scanvault_lost_authorisations: lost } = await at.world.metrics();
    return { unknown, lost };
  };

  /** Nothing was charged, and the code can be paid with another card. */
  async function stillPayable(code, transactionId, status) {
    const { world } = at;
    const state = await world.transaction(merchant, transactionId);
    assert.equal(state.status, status);
    assert.ok(!(await world.booked(transactionId)).some((act) => act.startsWith("capture")), "never captured");
    const view = await world.query(merchant, code);
    assert.deepEqual([view.codeState, view.transactionId], ["Available", transactionId]);
    const paid = parsed(await world.pay(code));
    assert.equal(paid.state, "paid");
    assert.deepEqual((await world.booked(paid.transactionId)).map((act) => act.split(" ")[0]), ["authorization", "capture"]);
    assert.equal((await world.query(merchant, code)).codeState, "Used");
    return state;
  }

  for (const [status, reason, message] of [
    [40110, "invalid_card", NUMBER],
    [40111, "unsupported_scheme", "This kind of card is not accepted. Please use another card."],
    [40120, "invalid_csc", "Please check the security code (CVC)."],
    [40135, "expired", "Please check the expiry date or use another card."],
    [40200, "rule", BANK],
    [40310, "three_d_secure", "Your bank did not confirm that it is you. Please try again or use another card."],
    [40400, "technical", LATER],
    [40410, "do_not_honour", BANK],
    [40412, "restricted", BANK],
    [40413, "insufficient_funds", BANK],
    [40414, "restricted", BANK],
    [40415, "amount_limit", BANK],
  ]) {
    test(`declined with ${status}: ${reason}, the code can be paid again`, async () => {
      const { world } = at;
      const { code } = await world.code(merchant, (status / 100).toFixed(2));
      const { transactionId, ...rest } = parsed(await world.pay(code, MAGIC));
      const shown = { invalid_card: "card", unsupported_scheme: "scheme", invalid_csc: "csc", expired: "expiry" };
      const others = { three_d_secure: "three_d_secure", technical: "later" };
      assert.deepEqual(rest, { state: "declined", reason: { ...shown, ...others }[reason] ?? "bank", message });
      const asked = (await world.book()).filter(({ reference }) => reference === `sv-${transactionId}`);
      assert.deepEqual(asked.map(({ kind, status: found, booked }) => [kind, found, booked]), [["authorization", status, false]]);
      const state = reason === "three_d_secure" ? "END_BRE_REJECTED" : "END_BANK_NON_00";
      assert.equal((await stillPayable(code, transactionId, state)).declineReason, reason);
    });
  }

  test("a number that the gateway does not take is a decline", async () => {
    const { world } = at;
    const { code } = await world.code(merchant);
    // Luhn-valid and no test number: the sandbox refuses what could be somebody's.
    const { transactionId, ...rest } = parsed(await world.pay(code, { ...CARD, pan: "4012888888881881" }));
    assert.deepEqual(rest, { state: "declined", reason: "card", message: NUMBER });
    await stillPayable(code, transactionId, "END_BANK_NON_00");
  });

  test("the approved magic amount is charged like any other", async () => {
    const { world } = at;
    const { code } = await world.code(merchant, "200.00");
    const { transactionId, state } = parsed(await world.pay(code, MAGIC));
    assert.equal(state, "paid");
    assert.deepEqual(await world.booked(transactionId), ["authorization 20000 ZAR", "capture 20000 ZAR"]);
  });

  for (const [fault, held] of [["drop_before", []], ["drop_after", ["authorization 1000 ZAR"]], ["500", []], ["garbage", ["authorization 1000 ZAR"]]]) {
    test(`authorisation without an answer (${fault}): lost, never captured, may be paid again`, async () => {
      const { world } = at;
      const before = await watched();
      const { code } = await world.code(merchant);
      await world.fault({ match: { kind: "authorization" }, fault });
      const { transactionId, ...rest } = parsed(await world.pay(code));
      assert.deepEqual(rest, { state: "unknown", message: MAY_RETRY, mayRetry: true });
      assert.deepEqual(await world.booked(transactionId), held, "asked once, never again");
      assert.deepEqual(await watched(), { ...before, lost: before.lost + 1 });
      await stillPayable(code, transactionId, "END_BANK_ERROR");
      assert.deepEqual(await world.booked(transactionId), held);
    });
  }

  test("the gateway's own error (50000) is no answer either", async () => {
    const { world } = at;
    const before = await watched();
    const { code } = await world.code(merchant, "500.00");
    const { transactionId, ...rest } = parsed(await world.pay(code, MAGIC));
    assert.deepEqual(rest, { state: "unknown", message: MAY_RETRY, mayRetry: true });
    // This answer names what it may hold, so the resolver gives that back: then nothing is lost any more.
    await until("what it named is given back", async () => (await world.transaction(merchant, transactionId)).status === "END_REVERSED", { seconds: 60 });
    assert.deepEqual(await watched(), before);
    await stillPayable(code, transactionId, "END_REVERSED");
  });

  for (const [fault, captured] of [["drop_before", false], ["drop_after", true], ["500", false], ["garbage", true]]) {
    test(`capture without an answer (${fault}): unknown, not repeated, the code stays locked`, async () => {
      const { world } = at;
      const before = await watched();
      const { code } = await world.code(merchant);
      await world.fault({ match: { kind: "capture" }, fault });
      const { transactionId, ...rest } = parsed(await world.pay(code));
      assert.deepEqual(rest, { state: "unknown", message: MAY_NOT, mayRetry: false });
      const booked = ["authorization 1000 ZAR", ...(captured ? ["capture 1000 ZAR"] : [])];
      assert.deepEqual(await world.booked(transactionId), booked);
      assert.deepEqual(await watched(), { ...before, unknown: before.unknown + 1 });
      assert.equal((await world.transaction(merchant, transactionId)).status, "PENDING");
      assert.equal((await world.query(merchant, code)).codeState, "Locked");
      const page = await world.page(code);
      assert.deepEqual([page.status, page.data.state, page.data.reason], [409, "busy", "elsewhere"]);
      assertProblem(await world.post(code, "a.b.c.d.e"), 409, "code-busy", "This code is being paid by someone else", { "retry-after": "2" });
      assert.deepEqual(await world.booked(transactionId), booked, "never asked again");
    });
  }

  test("a gateway that is not there: nothing was sent, so it is a decline", async () => {
    const { world } = at;
    await world.children.end("sandbox");
    const { code } = await world.code(merchant);
    const { transactionId, ...rest } = parsed(await world.pay(code));
    assert.deepEqual(rest, { state: "declined", reason: "later", message: LATER });
    await world.startSandbox();
    assert.deepEqual(await world.booked(transactionId), []);
    assert.equal((await stillPayable(code, transactionId, "END_BANK_NON_00")).declineReason, "unreachable");
  });

  test("the merchant is told of every end, and of nothing that is still open", async () => {
    const { world } = at;
    const ended = world.database.rows("SELECT id FROM transactions WHERE state IN ('declined', 'lost', 'voided') OR captured_minor > 0");
    // At least once each: a slow machine may have one sent again.
    const told = await until("all deliveries", () => {
      const ids = new Set(world.receiver.of("merchant-25").map(({ body }) => JSON.parse(body).transactionId));
      return ids.size >= ended.length && [...ids];
    }, { seconds: 20 });
    assert.deepEqual(told.toSorted((a, b) => a - b), ended.map(({ id }) => Number(id)).toSorted((a, b) => a - b));
    const { scanvault_unknown_transactions: open, scanvault_unknown_transactions_oldest_seconds: age } = await world.metrics();
    const [{ n }] = world.database.rows("SELECT count(*) AS n FROM acts WHERE kind = 'capture' AND state = 'unknown'");
    assert.deepEqual([open, Number(n)], [4, 4]);
    assert.ok(age >= 0 && age < 120, `${age} s`);
  });
});
