// The origin ends: by a crash in the middle of a payment, and in good order. Nothing is doubled, nothing is lost.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { before, test } from "node:test";
import { assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { UNREACHABLE, until } from "./world.mjs";

onBothDatabases((at) => {
  let merchant;
  before(async () => {
    merchant = await at.world.merchant("merchant-25");
  });

  const asked = async (kind, amount) => (await at.world.book()).filter((entry) => entry.kind === kind && entry.amount === amount);

  /** Pays, and answers as soon as the acquirer holds the call of that kind; the payer still waits. */
  async function heldPayment(kind, amount, delayMs) {
    const { world } = at;
    const { code } = await world.code(merchant, (amount / 100).toFixed(2));
    await world.fault({ match: { kind, amount }, fault: "delay", delay_ms: delayMs });
    const payer = world.pay(code);
    await until(`the ${kind} is booked`, async () => (await asked(kind, amount)).length === 1, { seconds: 5 });
    return { code, payer };
  }

  for (const [kind, amount, status, state, acts] of [
    ["authorization", 1111, "OFF_TO_BANK", "authorising", ["authorization 1111 ZAR"]],
    ["capture", 2222, "PENDING", "authorised", ["authorization 2222 ZAR", "capture 2222 ZAR"]],
  ]) {
    test(`killed between intent and answer of the ${kind}: the intent is there, and nothing is asked again`, async () => {
      const { world } = at;
      const { code, payer } = await heldPayment(kind, amount, 60_000);
      assert.equal(await world.stopOrigin("SIGKILL"), "SIGKILL");
      assertProblem(await payer, 503, "origin-unreachable", UNREACHABLE, { "retry-after": "5" });

      await world.restartAfterCrash();
      const { sealed, initialized } = await world.status();
      assert.deepEqual([sealed, initialized], [true, true], "it comes up sealed");
      const locked = await world.query(merchant, code);
      assert.equal(locked.codeState, "Locked");
      const page = await world.page(code);
      assert.deepEqual([page.status, page.data.state, page.data.reason], [409, "busy", "elsewhere"]);

      await world.unseal();
      assert.equal((await world.transaction(merchant, locked.transactionId)).status, status);
      assertProblem(await world.post(code, "a.b.c.d.e"), 409, "code-busy", "This code is being paid by someone else", { "retry-after": "2" });
      const rows = world.database.rows(`SELECT state FROM transactions WHERE amount_minor = ${amount}`);
      assert.deepEqual(rows.map((row) => row.state), [state]);
      const open = world.database.rows(`SELECT kind, state FROM acts WHERE amount_minor = ${amount} ORDER BY number`);
      assert.equal(open.at(-1).state, "asked", "what was asked is on record without an outcome");
      assert.deepEqual(await world.booked(locked.transactionId), acts, "asked once");
    });
  }

  test("killed while codes are created: what was answered is there, what was not can be asked again", async () => {
    const { world } = at;
    const bodies = Array.from({ length: 60 }, (_, n) => ({ merchantReference: `crash-${n}`, amount: n + 1 }));
    let answered = 0;
    const running = bodies.map(async (body, n) => {
      const answer = await world.create(merchant, body);
      answered += 1;
      return { n, answer };
    });
    await until("some are answered", () => answered >= 5, { seconds: 5 });
    await world.stopOrigin("SIGKILL");
    const results = await Promise.all(running);
    await world.restartAfterCrash();
    const made = results.filter(({ answer }) => answer.status === 200);
    assert.ok(made.length >= 5);
    for (const { n, answer } of results) {
      const again = await world.create(merchant, bodies[n]);
      assert.equal(again.status, 200, again.body.toString());
      if (answer.status === 200) assert.deepEqual(JSON.parse(again.body), JSON.parse(answer.body), "the first answer again");
      else assertProblem(answer, 503, "origin-unreachable", UNREACHABLE, { "retry-after": "5" });
    }
    const [{ n }] = world.database.rows("SELECT count(*) AS n FROM payment_requests WHERE merchant_reference LIKE 'crash-%'");
    assert.equal(Number(n), bodies.length);
    await world.unseal();
  });

  test("SIGTERM: a payment under way is finished and answered, then the process ends with 0", async () => {
    const { world } = at;
    const { code, payer } = await heldPayment("authorization", 3333, 2_000);
    const ending = world.endOrigin();
    const answer = await payer;
    assert.equal(answer.status, 200, answer.body.toString());
    const { state, transactionId } = JSON.parse(answer.body);
    assert.equal(state, "paid");
    assert.equal(await ending, "exit code 0");
    assert.equal(existsSync(world.socket), false, "the socket is taken away");
    assert.equal(world.logLines("origin").at(-1).message, "stopped");
    assert.deepEqual(await world.booked(transactionId), ["authorization 3333 ZAR", "capture 3333 ZAR"]);
    await world.startOrigin();
    assert.equal((await world.query(merchant, code)).codeState, "Used");
    await world.unseal();
  });

  test("SIGTERM: a shopper who has gone takes the payment with them no more than a crash does", async () => {
    const { world } = at;
    const { code, payer } = await heldPayment("capture", 4444, 4_000);
    // The edge dies, and with it the connection that the answer would take.
    const gone = assert.rejects(payer);
    await world.children.end("edge", "SIGKILL");
    await gone;
    assert.equal(await world.endOrigin(), "exit code 0");
    const [row] = world.database.rows("SELECT id, state, captured_minor FROM transactions WHERE amount_minor = 4444");
    assert.deepEqual([row.state, Number(row.captured_minor)], ["authorised", 4444]);
    assert.deepEqual(await world.booked(row.id), ["authorization 4444 ZAR", "capture 4444 ZAR"]);
    await Promise.all([world.startOrigin(), world.startEdge()]);
    assert.equal((await world.query(merchant, code)).codeState, "Used");
  });

  test("what the merchant was to be told is delivered after all", async () => {
    const { world } = at;
    await world.unseal();
    const told = () => world.receiver.of("merchant-25").map(({ body }) => JSON.parse(body).amount);
    await until("both payments' deliveries", () => [33.33, 44.44].every((amount) => told().includes(amount)), { seconds: 5 });
  });
});
