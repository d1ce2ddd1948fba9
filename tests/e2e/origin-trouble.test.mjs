// The whole origin in trouble: frozen, stopped, killed, sealed. Images load meanwhile, answers are problem documents, and
// when it is back everything was done once. What broken bytes do is in tests/edge/trouble.test.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertProblem, ask } from "../lib/answers.mjs";
import { payPath } from "./shopper.mjs";
import { UNREACHABLE, startWorld } from "./world.mjs";

const LOADERS = 4;
const RETRY = { "retry-after": "5" };

let world, merchant;
before(async () => {
  world = await startWorld("sqlite", { limits: "off" });
  merchant = await world.merchant("merchant-25");
});
after(() => world?.close());

const isUnreachable = (answer) => assertProblem(answer, 503, "origin-unreachable", UNREACHABLE, RETRY);

/** Loads images for as long as the work takes: each of them must come, and all the time. */
async function withImages(work) {
  let ending = false;
  let loaded = 0;
  const load = Promise.all(Array.from({ length: LOADERS }, async (_, n) => {
    while (!ending) {
      const { status } = await ask(world.edge, `/pluto/public/qr/${String((n += LOADERS)).padStart(10, "0")}.${n % 3 ? "png" : "svg"}`);
      assert.equal(status, 200);
      loaded += 1;
    }
  }));
  try {
    return [await work(), loaded];
  } finally {
    ending = true;
    await load;
  }
}

test("frozen: answered at the deadline, and what had arrived is done once", async (t) => {
  const { code } = await world.code(merchant, "21.00");
  const sealed = await world.seal(await world.page(code));
  const body = JSON.stringify({ merchantReference: "frozen", amount: 5 });
  let paying;
  process.kill(world.originProcess.pid, "SIGSTOP");
  try {
    paying = world.post(code, sealed); // its row waits longer than the others'
    const [answers, loaded] = await withImages(() => Promise.all([
      world.create(merchant, body),
      world.call(merchant, `/pluto/code/${code}`),
      ask(world.edge, payPath(code)),
    ]));
    answers.forEach(isUnreachable);
    assert.ok(loaded > 100, `${loaded}`);
    t.diagnostic(`${loaded} images meanwhile`);
  } finally {
    process.kill(world.originProcess.pid, "SIGCONT");
  }
  assert.equal((await paying).status, 200, "who still waits is answered");
  // Some clients are gone, but what they had asked for is done, and the same again is answered from that.
  const again = await Promise.all([world.create(merchant, body), world.create(merchant, body)]);
  assert.deepEqual(again.map(({ status }) => status), [200, 200]);
  assert.equal(new Set(again.map((answer) => JSON.parse(answer.body).code)).size, 1);
  assert.deepEqual(await world.booked(JSON.parse((await paying).body).transactionId), ["authorization 2100 ZAR", "capture 2100 ZAR"]);
});

for (const [how, end, start] of [
  ["stopped", () => world.stopOrigin(), () => world.startOrigin()],
  ["killed", () => world.stopOrigin("SIGKILL"), () => world.restartAfterCrash()],
]) {
  test(`${how}: answered at once, and when it is back it goes on`, async () => {
    const { code } = await world.code(merchant, "22.00");
    const sealed = await world.seal(await world.page(code));
    await end();
    const [answers, loaded] = await withImages(() => Promise.all([
      world.create(merchant, JSON.stringify({ merchantReference: how, amount: 5 })),
      world.call(merchant, `/pluto/code/${code}`),
      world.post(code, sealed),
      ask(world.edge, payPath(code)),
      ask(world.edge, payPath(code), { method: "HEAD" }).then((head) => {
        assert.deepEqual([head.status, head.body.length], [503, 0]);
        return ask(world.edge, payPath(code));
      }),
    ]));
    answers.forEach(isUnreachable);
    assert.ok(loaded > 0, "images load");
    await start();
    await world.unseal();
    assert.equal((await world.create(merchant, JSON.stringify({ merchantReference: how, amount: 5 }))).status, 200);
    const paid = await world.post(code, sealed);
    assert.equal(paid.status, 200, paid.body.toString());
    assert.deepEqual(await world.booked(JSON.parse(paid.body).transactionId), ["authorization 2200 ZAR", "capture 2200 ZAR"]);
  });
}

test("sealed: what needs no key goes on, the rest says so, images load", async () => {
  await world.cli("vault", "seal");
  const [[created, page], loaded] = await withImages(async () => {
    const created = await world.code(merchant, "23.00");
    return [created, await ask(world.edge, payPath(created.code))];
  });
  assert.ok(loaded > 0);
  assert.equal(page.status, 503);
  assert.ok(page.headers["retry-after"]);
  await world.unseal();
  assert.equal((await world.pay(created.code)).status, 200);
});

test("nothing secret stands in a log or in the database", () => world.assertNothingLeaked());
