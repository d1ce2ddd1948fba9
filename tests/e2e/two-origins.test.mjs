// Two origins on one PostgreSQL: nothing in memory is the truth, but for the keys, which each is given by itself.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { onPostgres } from "./both.mjs";
import { send, sign } from "./link.mjs";
import { payPath } from "./shopper.mjs";
import { CUSTODIANS, until } from "./world.mjs";

const PAYERS = 16;

onPostgres((at) => {
  let merchant, second;
  before(async () => {
    merchant = await at.world.merchant("merchant-25");
    second = await at.world.startSecondOrigin();
  });

  const signed = (origin, more) => sign(origin, { key: at.world.linkKeys[0], ...more });
  const status = async () => JSON.parse((await second.scanvault(["vault", "status", "--json"])).stdout);

  test("each is unsealed by itself", async () => {
    const { world } = at;
    const { initialized, sealed } = await status();
    assert.deepEqual([initialized, sealed], [true, true]);
    const { code } = await world.code(merchant);
    const page = await send(second.url, world.ca, signed(second.url, { path: payPath(code) }));
    assert.equal(page.status, 503);
    for (const name of CUSTODIANS.slice(1)) {
      const { code: exit, stderr } = await second.scanvault(["vault", "unseal", "--share-file", world.shareFile(name)]);
      assert.equal(exit, 0, stderr);
    }
    assert.equal((await status()).sealed, false);
    const open = await send(second.url, world.ca, signed(second.url, { path: payPath(code) }));
    assert.equal(open.status, 200);
  });

  test("what one has taken, the other takes for a replay", async () => {
    const { world } = at;
    const request = signed(world.origin, { path: payPath("0000000000") });
    assert.equal((await send(world.origin, world.ca, request)).status, 404);
    // The same bytes, the signed authority included, to the other process.
    const replayed = await send(second.url, world.ca, request);
    assert.deepEqual([replayed.status, replayed.body.length], [401, 0]);
    const { stdout } = await second.scanvault(["metrics"]);
    assert.match(stdout, /^scanvault_link_refusals_total\{reason="nonce_replayed"\} 1$/m);
    // A control: what is new is taken under that authority too.
    assert.equal((await send(second.url, world.ca, signed(world.origin, { path: payPath("0000000000") }))).status, 404);
  });

  test(`${PAYERS} payers of one code, half of them at each: one charge, one message`, async () => {
    const { world } = at;
    const { code } = await world.code(merchant, "88.00");
    const before = await world.book();
    // Pages of one process are paid at the other: the attempt is nobody's memory.
    const sealed = await Promise.all(Array.from({ length: PAYERS }, async () => world.seal(await world.page(code))));
    const extra = { "content-type": "application/json" };
    const answers = await Promise.all(sealed.map((jwe, n) => {
      const origin = n % 2 === 0 ? world.origin : second.url;
      return send(origin, world.ca, signed(origin, { method: "POST", path: payPath(code), body: JSON.stringify({ sealed: jwe }), extra }));
    }));
    const paid = answers.filter((answer) => answer.status === 200);
    assert.equal(paid.length, 1, answers.map((answer) => answer.status).join(" "));
    assert.ok(answers.every((answer) => [200, 409].includes(answer.status)));
    const { transactionId } = JSON.parse(paid[0].body);
    assert.deepEqual(await world.booked(transactionId), ["authorization 8800 ZAR", "capture 8800 ZAR"]);
    assert.equal((await world.book()).length, before.length + 2);
  });

  test("many payments, two workers: each message once", async () => {
    const { world } = at;
    const codes = await Promise.all(Array.from({ length: PAYERS }, () => world.code(merchant, "3.00")));
    await Promise.all(codes.map(async ({ code }) => assert.equal((await world.pay(code)).status, 200)));
    await until("nothing waits", async () => (await world.metrics()).scanvault_outbox_pending === 0, { seconds: 10 });
    const ids = world.receiver.of("merchant-25").map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, "no delivery twice");
    const [{ n }] = world.database.rows("SELECT count(*) AS n FROM outbox WHERE state = 'delivered'");
    assert.deepEqual([ids.length, Number(n)], [PAYERS + 1, PAYERS + 1]);
    const seqs = world.database.rows("SELECT seq FROM changes ORDER BY seq").map(({ seq }) => Number(seq));
    assert.deepEqual(seqs, seqs.map((_, at) => at + 1), "the feed has no gap");
  });
});
