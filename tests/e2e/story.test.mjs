// A payment from the page to the acquirer's book and back to the merchant.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { ask, assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { whyNotGenuine } from "./receiver.mjs";
import { CARD } from "./shopper.mjs";
import { UNREACHABLE, until } from "./world.mjs";

onBothDatabases((at) => {
  let merchant, plain, paid;
  before(async () => {
    merchant = await at.world.merchant("merchant-25", { args: ["--display-name", "Bean & <Co>"] });
    plain = await at.world.merchant("merchant-26", { webhook: false, acquirer: false });
    paid = await at.world.code(merchant, "10.00");
  });

  test("the page says what is to be paid, and escapes it", async () => {
    const { world } = at;
    const page = await world.page(paid.code, `/Q/${paid.code}`);
    assert.equal(page.status, 200);
    const { state, code, currency, exponent, merchant: name, "amount-minor": minor } = page.data;
    assert.deepEqual({ state, code, currency, exponent, name, minor }, { state: "ready", code: paid.code, currency: "ZAR", exponent: "2", name: "Bean & <Co>", minor: "1000" });
    assert.ok(!page.body.includes("<Co>"));
    const left = Number(page.data["attempt-expires"]) - Date.now() / 1000;
    assert.ok(left > 1490 && left <= 1501, `${left} s`);
    const { kty, crv, x, y, kid, ...rest } = JSON.parse(page.data.key);
    assert.deepEqual([kty, crv, x.length, y.length, typeof kid], ["EC", "P-256", 43, 43, "string"]);
    assert.equal(rest.d, undefined, "the public half only");
  });

  test("a sealed card that says anything else than the page is refused, and nothing is asked of the acquirer", async () => {
    const { world } = at;
    const page = await world.page(paid.code);
    const other = await world.page((await world.code(merchant, "10.00")).code);
    const unreadable = "The card data could not be read. Please reload the page";
    const changed = "What is to be paid has changed. Please reload the page";
    const over = `12${String((new Date().getFullYear() - 1) % 100).padStart(2, "0")}`;
    for (const [changes, detail] of [
      [{ amount: 999 }, changed],
      [{ amount: 0 }, changed],
      [{ currency: "EUR" }, changed],
      [{ code: other.data.code }, changed],
      [{ expires: Number(page.data["attempt-expires"]) + 1 }, changed],
      [{ attempt: other.data.attempt }, unreadable],
      [{ attempt: page.data.attempt.replace(/^./, (symbol) => (symbol === "A" ? "B" : "A")) }, unreadable],
      [{ pan: "41111111111" }, unreadable],
      [{ csc: "12" }, unreadable],
      [{ more: "field" }, unreadable],
      [{ exp: over }, "The card has expired"],
      [{ csc: "1234" }, "This card cannot be used here"],
    ]) {
      const sealed = await world.seal(page, CARD, changes);
      assertProblem(await world.post(paid.code, sealed), 400, "bad-request", detail);
    }
    const sealed = await world.seal(page);
    const parts = sealed.split(".");
    const flipped = [...parts.slice(0, 3), (parts[3][0] === "A" ? "B" : "A") + parts[3].slice(1), parts[4]].join(".");
    for (const text of [flipped, parts.slice(0, 4).join("."), "", "a.b.c.d.e"]) {
      assertProblem(await world.post(paid.code, text), 400, "bad-request", unreadable);
    }
    assert.deepEqual(await world.book(), []);
    assert.equal((await world.query(merchant, paid.code)).codeState, "Available");
    assert.deepEqual(world.database.rows("SELECT * FROM transactions"), []);
  });

  test("paid: one authorisation and one capture, the code used, the state a success", async () => {
    const { world } = at;
    const answer = await world.pay(paid.code);
    assert.equal(answer.status, 200, answer.body.toString());
    const { transactionId, ...rest } = JSON.parse(answer.body);
    assert.deepEqual(rest, { state: "paid" });
    assert.ok(Number.isSafeInteger(transactionId) && transactionId > 0);
    assert.deepEqual(await world.booked(transactionId), ["authorization 1000 ZAR", "capture 1000 ZAR"]);
    assert.equal((await world.book()).length, 2, "nothing else was asked for");

    const code = await world.query(merchant, paid.code);
    assert.deepEqual([code.codeState, code.transactionId], ["Used", transactionId]);
    const { date, ...state } = await world.transaction(merchant, transactionId);
    assert.match(date, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}$/);
    assert.deepEqual(state, {
      transactionId,
      reference: paid.reference,
      code: paid.code,
      amount: 10,
      currencyCode: "ZAR",
      status: "SUCCESS",
      cardInfo: { bin: CARD.pan.slice(0, 6), lastFour: CARD.pan.slice(-4) },
      index: 1,
      capturedAmount: 10,
      refundedAmount: 0,
    });
    assertProblem(await world.call(plain, `/pluto/code/transaction/state/${transactionId}`), 404, "not-found", "Not found");
    paid = { ...paid, transactionId, date };
  });

  test("the merchant is told, with a signature that holds", async () => {
    const { world } = at;
    const { receiver } = world;
    await until("a delivery", () => receiver.of("merchant-25").length > 0, { seconds: 5 });
    const [delivery, ...more] = receiver.of("merchant-25");
    assert.deepEqual(more, []);
    assert.equal(whyNotGenuine(delivery, merchant.webhookSecret), undefined);
    assert.notEqual(whyNotGenuine(delivery, `${merchant.webhookSecret}x`), undefined);
    assert.notEqual(whyNotGenuine({ ...delivery, body: Buffer.concat([delivery.body, Buffer.from(" ")]) }, merchant.webhookSecret), undefined);
    assert.match(delivery.id, /^dlv_[A-Za-z0-9_-]{22}$/);
    assert.deepEqual([delivery.method, delivery.headers["content-type"]], ["POST", "application/json"]);
    const { bin, lastFour } = { bin: CARD.pan.slice(0, 6), lastFour: CARD.pan.slice(-4) };
    assert.equal(
      delivery.body.toString(),
      `{"transactionId":${paid.transactionId},"reference":"${paid.reference}","code":"${paid.code}","amount":10.00,"currencyCode":"ZAR",` +
        `"status":"SUCCESS","cardInfo":{"bin":"${bin}","lastFour":"${lastFour}"},"date":"${paid.date}","seq":2}`,
    );
  });

  test("a code that was paid is not paid again", async () => {
    const { world } = at;
    const page = await world.page(paid.code);
    assert.deepEqual([page.status, page.data.state, page.data.key], [200, "paid", ""]);
    assertProblem(await world.post(paid.code, "a.b.c.d.e"), 409, "code-not-payable", "This code can no longer be paid");
  });

  test("an open amount is what the payer types, as often as it is paid", async () => {
    const { world } = at;
    const { code } = await world.code(merchant, "0");
    for (const amount of [150, 9_999_999_99, 1]) {
      const page = await world.page(code);
      assert.equal(page.data["amount-minor"], "");
      const answer = await world.post(code, await world.seal(page, CARD, { amount }));
      assert.equal(answer.status, 200, answer.body.toString());
      const { transactionId } = JSON.parse(answer.body);
      assert.deepEqual(await world.booked(transactionId), [`authorization ${amount} ZAR`, `capture ${amount} ZAR`]);
    }
    assert.equal((await world.query(merchant, code)).codeState, "Available");
    const page = await world.page(code);
    for (const amount of [0, 1_000_000_000]) {
      assert.equal((await world.post(code, await world.seal(page, CARD, { amount }))).status, 400, String(amount));
    }
  });

  test("a merchant without acquirer cannot take cards, and is not charged for trying", async () => {
    const { world } = at;
    const { code } = await world.code(plain);
    assertProblem(await world.pay(code), 409, "conflict", "This merchant cannot take cards yet");
    assert.equal((await world.query(plain, code)).codeState, "Available");
  });

  test("a delivery waits while the vault is sealed, and goes out when it opens", async () => {
    const { world } = at;
    const { receiver } = world;
    receiver.deliveries.length = 0;
    receiver.status = 503;
    const { code } = await world.code(merchant);
    assert.equal((await world.pay(code)).status, 200);
    await until("a first attempt", () => receiver.of("merchant-25").length === 1, { seconds: 5 });
    const row = () => world.database.rows("SELECT * FROM outbox WHERE state = 'pending'")[0];
    const failed = await until("its outcome is written", () => row()?.last_error && row(), { seconds: 5 });
    assert.deepEqual([Number(failed.attempts), failed.last_error], [1, "answered 503"]);
    assert.equal((await world.cli("vault", "seal")).sealed, true);
    // On a busy machine there may have been another attempt before it was sealed.
    const sealed = await until("no attempt is under way", () => Number(row().lease_until_ms) === 0 && row(), { seconds: 20 });
    const sent = receiver.of("merchant-25").length;
    receiver.status = 200;
    // Well past the time at which it would have gone out: the worker looks once a second.
    await until("it is overdue", () => Date.now() > Number(sealed.next_at_ms) + 1500, { seconds: 20 });
    assert.equal(row().attempts, sealed.attempts);
    assert.equal(receiver.of("merchant-25").length, sent, "nothing was sent");
    const metrics = await world.metrics();
    assert.deepEqual([metrics.scanvault_outbox_pending, metrics.scanvault_sealed], [1, 1]);
    await world.unseal(["bob", "carol"]);
    await until("the next attempt", () => receiver.of("merchant-25").length === sent + 1, { seconds: 5 });
    const [first, last] = [receiver.of("merchant-25")[0], receiver.of("merchant-25").at(-1)];
    assert.equal(last.id, first.id, "the same delivery");
    assert.equal(whyNotGenuine(last, merchant.webhookSecret), undefined);
    await until("nothing waits", async () => (await world.metrics()).scanvault_outbox_pending === 0, { seconds: 5 });
  });

  test("edge and origin log each request under the id that its answer carries", async () => {
    const { world } = at;
    const answer = await world.call(merchant, `/pluto/code/${paid.code}`);
    const id = answer.headers["scanvault-request-id"];
    const [edge] = await until("the edge's line", () => found(world.logLines("edge"), id), { seconds: 5 });
    const [origin] = await until("the origin's line", () => found(world.logLines("origin"), id), { seconds: 5 });
    assert.deepEqual([edge.route, edge.status, origin.route, origin.status], ["/pluto/code/{code}", 200, "/pluto/code/{code}", 200]);
  });

  test("the QR loads when the origin is down; what needs it says 503", async () => {
    const { world } = at;
    assert.equal(await world.stopOrigin(), "exit code 0");
    for (const [path, type] of [[`/pluto/public/qr/${paid.code}`, "image/png"], [`/pluto/public/qr/${paid.code}.svg`, "image/svg+xml; charset=utf-8"]]) {
      const image = await ask(world.edge, path);
      assert.deepEqual([image.status, image.headers["content-type"]], [200, type]);
    }
    assertProblem(await world.call(merchant, `/pluto/code/${paid.code}`), 503, "origin-unreachable", UNREACHABLE, { "retry-after": "5" });
    await world.startOrigin();
    assert.equal((await world.status()).sealed, true, "it comes up sealed");
    assert.equal((await world.query(merchant, paid.code)).codeState, "Used");
  });
});

const found = (lines, id) => {
  const own = lines.filter(({ requestId }) => requestId === id);
  return own.length > 0 && own;
};
