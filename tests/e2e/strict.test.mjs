// Strict mode, and a process that dies between any two of its commits: a payment is taken exactly when the receiver has
// said 200, the same delivery is sent again before anything is undone, and nothing is done twice.
//
// On SQLite: its one process takes over what the one before left at once. On PostgreSQL another origin waits for the end
// of a lease, a minute; that is tested with a clock that is moved (tests/origin/strict.rs).

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startWorld, until } from "./world.mjs";

describe("strict mode on SQLite", () => {
  let world, merchant;
  before(async () => {
    world = await startWorld("sqlite");
    merchant = await world.merchant("merchant-25");
    await world.cli("account", "set", "merchant-25", "--strict", "on");
  });
  after(() => world?.close());

  let amount = 1000;
  /** Pays an amount that no other test has; how it ended, wherever it can be seen. */
  async function payment() {
    amount += 1;
    const minor = amount;
    const { code } = await world.code(merchant, (minor / 100).toFixed(2));
    const before = world.receiver.of("merchant-25").length;
    const payer = world.pay(code);
    return { code, minor, payer, received: () => world.receiver.of("merchant-25").slice(before) };
  }
  const booked = async (minor) => (await world.book()).filter((entry) => entry.booked && entry.amount === minor).map((entry) => entry.kind);
  const ended = (paid, state) =>
    until(`it is ${state}`, async () => world.database.rows(`SELECT t.id FROM transactions t WHERE t.amount_minor = ${paid.minor} AND t.pending_act IS NULL AND t.held_until_ms IS NULL AND ${state}`).length === 1, { seconds: 40 });
  const taken = (paid) => ended(paid, `t.captured_minor = ${paid.minor}`);
  const undone = (paid) => ended(paid, "t.captured_minor = 0 AND t.state = 'voided'");

  /** Starts the origin again with a place to die at, and pays; it dies there. */
  async function dies(point, status = 200) {
    await world.endOrigin();
    world.originSettings = { SCANVAULT_FAULT: point };
    await world.startOrigin();
    const child = world.originProcess;
    child.ending = true; // it is here to die
    await world.unseal();
    world.receiver.status = status;
    const paid = await payment();
    await until(`it dies at ${point}`, () => child.how !== undefined, { seconds: 30 });
    assert.equal(child.how, "SIGKILL");
    await paid.payer;
    world.originSettings = {};
    await world.restartAfterCrash();
    await world.unseal();
    return paid;
  }

  test("200: authorised, told, captured", async () => {
    const paid = await payment();
    const answer = await paid.payer;
    assert.equal(JSON.parse(answer.body).state, "paid", answer.body.toString());
    await taken(paid);
    assert.deepEqual(await booked(paid.minor), ["authorization", "capture"]);
    const told = paid.received();
    assert.deepEqual(told.map(({ body }) => JSON.parse(body).status), ["SUCCESS"], "told once");
  });

  test("204 is no 200: authorised, told, voided, and told so", async () => {
    world.receiver.status = 204;
    const paid = await payment();
    const answer = await paid.payer;
    assert.equal(JSON.parse(answer.body).state, "declined", answer.body.toString());
    await undone(paid);
    assert.deepEqual(await booked(paid.minor), ["authorization", "void"]);
    await until("the reversal is told", () => paid.received().length === 2, { seconds: 10 });
    assert.deepEqual(paid.received().map(({ body }) => JSON.parse(body).status), ["SUCCESS", "END_REVERSED"]);
    world.receiver.status = 200;
  });

  for (const [point, times] of [["outbox.claimed", 1], ["outbox.sent", 2], ["outbox.delivered", 1]]) {
    test(`killed at ${point}: taken, by the same delivery`, async () => {
      const paid = await dies(point);
      await taken(paid);
      assert.deepEqual(await booked(paid.minor), ["authorization", "capture"]);
      const told = paid.received();
      assert.equal(told.length, times);
      assert.equal(new Set(told.map(({ id }) => id)).size, 1, "the same id");
    });
  }

  for (const point of ["outbox.refused", "outbox.withdrawn"]) {
    test(`killed at ${point}: voided, and nothing is taken`, async () => {
      const paid = await dies(point, 500);
      await undone(paid);
      assert.deepEqual(await booked(paid.minor), ["authorization", "void"]);
      world.receiver.status = 200;
      // The receiver's no was lost with the process: it is asked again, and may only then be undone.
      const asked = paid.received().filter(({ body }) => JSON.parse(body).status === "SUCCESS");
      assert.equal(asked.length, point === "outbox.refused" ? 2 : 1);
      assert.equal(new Set(asked.map(({ id }) => id)).size, 1, "the same id");
    });
  }

  test("nothing secret stands in a log or in the database", () => world.assertNothingLeaked());
});
