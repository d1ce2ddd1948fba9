// Ciphertext that stands in another place than the one it was sealed for opens nothing: an error, never a use.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { BASIC_CHALLENGE, assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { whyNotGenuine } from "./receiver.mjs";
import { CARD } from "./shopper.mjs";
import { until } from "./world.mjs";

const INTERNAL = "Internal error; the outcome is unknown, ask or retry with the same reference";

onBothDatabases((at) => {
  let donor, poor, deaf;
  before(async () => {
    const { world } = at;
    donor = await world.merchant("merchant-31");
    poor = await world.merchant("merchant-32");
    deaf = await world.merchant("merchant-33");
  });

  /** By SQL, with the origin stopped; then it starts and is opened again. */
  async function rewrite(...statements) {
    const { world } = at;
    assert.equal(await world.stopOrigin(), "exit code 0");
    for (const sql of statements) assert.equal(world.database.write(sql), 1, sql);
    await world.startOrigin();
    await world.unseal();
  }

  test("before anything is moved, each merchant takes money", async () => {
    const { world } = at;
    for (const merchant of [donor, poor, deaf]) {
      const answer = await world.pay((await world.code(merchant)).code);
      assert.equal(JSON.parse(answer.body).state, "paid", answer.body.toString());
    }
    await until("three deliveries", () => world.receiver.deliveries.length === 3, { seconds: 5 });
  });

  test("another merchant's acquirer credentials: an internal error, and nothing is sent", async () => {
    const { world } = at;
    const from = "(SELECT sealed FROM acquirer_credentials WHERE account = 'merchant-31')";
    await rewrite(`UPDATE acquirer_credentials SET sealed = ${from} WHERE account = 'merchant-32'`);
    const bookBefore = await world.book();
    const { code } = await world.code(poor);
    assertProblem(await world.pay(code), 500, "internal", INTERNAL);
    assert.deepEqual(await world.book(), bookBefore, "nothing was asked of the acquirer");
    assert.equal((await world.query(poor, code)).codeState, "Available", "nothing is half-done");
    const [{ n }] = world.database.rows("SELECT count(*) AS n FROM transactions WHERE account = 'merchant-32'");
    assert.equal(Number(n), 1, "only the payment from before");
    const failed = world.logLines("origin").filter((line) => line.message === "request failed");
    assert.deepEqual(failed.map(({ problem, cause }) => [problem, cause]), [["internal", "the envelope was changed, moved or sealed for another place"]]);
    // Where it was sealed for, it still opens.
    const answer = await world.pay((await world.code(donor)).code);
    assert.equal(JSON.parse(answer.body).state, "paid");
  });

  test("another merchant's webhook secret: the delivery is parked, and nothing is sent", async () => {
    const { world } = at;
    await until("nothing is under way", async () => (await world.metrics()).scanvault_outbox_pending === 0, { seconds: 5 });
    await rewrite("UPDATE accounts SET webhook_secret = (SELECT webhook_secret FROM accounts WHERE name = 'merchant-31') WHERE name = 'merchant-33'");
    world.receiver.deliveries.length = 0;
    const { transactionId, state } = JSON.parse((await world.pay((await world.code(deaf)).code)).body);
    assert.equal(state, "paid", "the money does not wait for the message");
    assert.deepEqual(await world.booked(transactionId), ["authorization 1000 ZAR", "capture 1000 ZAR"]);
    await until("it is parked", async () => (await world.metrics()).scanvault_outbox_parked === 1, { seconds: 5 });
    const [row] = world.database.rows("SELECT account, last_error FROM outbox WHERE state = 'parked'");
    assert.deepEqual(row, { account: "merchant-33", last_error: "the account's secret cannot be read" });
    assert.deepEqual(world.receiver.deliveries, []);
    // The donor's own still go out, so the worker was not held up.
    assert.equal((await world.pay((await world.code(donor)).code)).status, 200);
    await until("the donor's delivery", () => world.receiver.of("merchant-31").length === 1, { seconds: 5 });
    assert.equal(whyNotGenuine(world.receiver.deliveries[0], donor.webhookSecret), undefined);
  });

  test("a record of an older row version: an internal error too", async () => {
    const { world } = at;
    await rewrite("UPDATE acquirer_credentials SET row_version = row_version + 1 WHERE account = 'merchant-33'");
    const bookBefore = await world.book();
    assertProblem(await world.pay((await world.code(deaf)).code), 500, "internal", INTERNAL);
    assert.deepEqual(await world.book(), bookBefore);
  });

  test("a suspended merchant takes no payments and is let in nowhere, whatever was shown before", async () => {
    const { world } = at;
    const { code } = await world.code(donor);
    const sealed = await world.seal(await world.page(code));
    await rewrite("UPDATE accounts SET status = 'suspended' WHERE name = 'merchant-31'");
    const bookBefore = await world.book();
    const page = await world.page(code);
    assert.deepEqual([page.status, page.data.state, page.data.key], [410, "expired", ""]);
    assertProblem(await world.post(code, sealed), 409, "code-not-payable", "This code can no longer be paid");
    const asked = await world.call(donor, `/pluto/code/${code}`);
    assertProblem(asked, 401, "bad-credentials", "Bad Credentials", { "www-authenticate": BASIC_CHALLENGE });
    assert.deepEqual(await world.book(), bookBefore);
  });

  test("a card is one card for its merchant, and nothing that joins it to another's", async () => {
    const { world } = at;
    const own = world.database.rows("SELECT account, bin, last_four, fingerprint, pan, row_version FROM cards ORDER BY account");
    assert.deepEqual(own.map(({ account }) => account), ["merchant-31", "merchant-32", "merchant-33"], "the same number again is the same row");
    for (const { bin, last_four: lastFour } of own) assert.deepEqual([bin, lastFour], [CARD.pan.slice(0, 6), CARD.pan.slice(-4)]);
    for (const column of ["fingerprint", "pan"]) assert.equal(new Set(own.map((row) => row[column])).size, 3, column);
  });
});
