// Scanpay's published clients against the real thing: over https through the built worker, with their headers, bodies,
// keys and checks, to the simulated acquirer's book.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { EDGE_MODULES, writeConfig } from "../../scripts/lib/workerd.mjs";
import { apiPassword } from "../lib/answers.mjs";
import { Books, CLIENTS, Final, ScanpayClient, TryAgain, idempotencyKey } from "./scanpay-clients.mjs";
import { World, freePorts } from "./world.mjs";

for (const kind of ["sqlite", "postgres"]) {
  describe(kind, () => {
    let world, base, shop;
    const books = new Books();
    const client = (how, apikey = `25:${shop.password}`) => new ScanpayClient({ kind: how, base, ca: world.ca, apikey });
    const code = (url) => /^https:\/\/localhost:\d+\/Q\/(\d{10})$/.exec(url)[1];
    const pay = async (url) => {
      const answer = await world.pay(code(url));
      const paid = JSON.parse(answer.body);
      assert.equal(paid.state, "paid", answer.body.toString());
      return paid.transactionId;
    };

    before(async () => {
      world = new World(kind);
      world.limits = "off";
      const { tls } = await freePorts("tls");
      base = `https://localhost:${tls}`;
      world.originSettings = { SCANVAULT_PUBLIC_URL: base };
      await world.start();
      await world.init();
      await world.unseal();
      await startTlsEdge(world, tls, base);
      shop = await world.merchant("merchant-25", { args: ["--currency", "DKK"] });
    });
    after(() => world?.close());

    for (const [at, how] of Object.keys(CLIENTS).entries()) {
      test(`${how}: a link, its payment, captures and a refund`, async () => {
        const own = client(how);
        const url = await own.newUrl({
          orderid: String(100 + at),
          language: "da",
          successurl: "https://shop.example/thanks",
          items: [{ name: "Æblekage", quantity: 3, sku: "123", total: "199.99 DKK" }],
          billing: { name: "J. Doe", address: ["Langgade 23, 2. th"], zip: "1234", country: "DK" },
          shipping: {},
        });
        const id = await pay(url);
        const held = (await books.follow(own)).transaction(id);
        assert.deepEqual([held.orderid, held.rev, held.acts, held.totals.left], [String(100 + at), 1, [], "199.99 DKK"]);
        // `index` is how many acts the client knows of.
        assert.deepEqual(await own.act("capture", id, { total: "100 DKK", index: held.acts.length }), {});
        await assert.rejects(own.act("capture", id, { total: "99.99 DKK", index: held.acts.length }), { message: "invalid index" });
        const taken = (await books.follow(own)).transaction(id);
        assert.deepEqual(await own.act("refund", id, { total: "0.01DKK", index: taken.acts.length }), {});
        const { acts, totals } = (await books.follow(own)).transaction(id);
        assert.deepEqual(acts.map(({ act, total }) => `${act} ${total}`), ["capture 100.00 DKK", "refund 0.01 DKK"]);
        assert.deepEqual([totals.captured, totals.refunded], ["100.00 DKK", "0.01 DKK"]);
        assert.deepEqual(await world.booked(id), ["authorization 19999 DKK", "capture 10000 DKK", "refund 1 DKK"]);
      });
    }

    test("what the libraries write for nothing is nothing", async () => {
      const nothing = { successurl: null, billing: null, shipping: null, language: null, lifetime: null, autocapture: false };
      const own = client("dotnet");
      const id = await pay(await own.newUrl({ ...nothing, orderid: null, items: [{ name: null, quantity: 0, total: "3 DKK", sku: null }] }));
      // An order without a number has none of ours: modules look theirs up by it.
      assert.deepEqual((({ orderid, acts }) => ({ orderid, acts }))((await books.follow(own)).transaction(id)), { orderid: "", acts: [] });
      const php = client("php");
      await pay(await php.newUrl({ orderid: "150", subscriber: [], billing: [], shipping: [], items: [] }));
      const { id: subscriber } = (await books.follow(php)).subscribers().at(-1);
      await pay(await php.renew(subscriber, []));
      const charge = { orderid: "151", autocapture: 0, items: [{ total: "2 DKK" }, { name: "rounding", total: "0.001 DKK" }] };
      const held = await php.charge(subscriber, charge, { key: idempotencyKey() });
      assert.deepEqual(await world.booked(held.id), ["authorization 200 DKK"]);
    });

    test("a void", async () => {
      const own = client("go");
      const id = await pay(await own.newUrl({ orderid: "200", items: [{ total: "10 DKK" }], billing: {}, shipping: {} }));
      assert.deepEqual(await own.act("void", id, { total: "", index: 0 }), {}); // Go's library sends an empty total
      assert.equal((await books.follow(own)).transaction(id).totals.voided, "10.00 DKK");
    });

    test("a subscriber: made, charged once for each key, renewed", async () => {
      const own = client("woocommerce");
      const url = await own.newUrl({ orderid: "300", subscriber: { ref: "300" }, autocapture: true, items: [{ total: "20 DKK" }] });
      const first = await pay(url);
      await books.follow(own);
      const subscriber = books.subscribers().find(({ ref }) => ref === "300");
      assert.deepEqual([subscriber.ref, subscriber.rev, Number.isInteger(subscriber.method.card.exp)], ["300", 1, true]);
      assert.deepEqual(books.transaction(first).subscriber, { id: subscriber.id, ref: "300" });
      const key = `301:${idempotencyKey().slice(0, 24)}`;
      const charge = { orderid: "301", items: [{ name: "June", total: "49.95 DKK" }] };
      const answers = await Promise.all(Array.from({ length: 16 }, () => own.charge(subscriber.id, charge, { key })));
      assert.equal(new Set(answers.map(JSON.stringify)).size, 1);
      assert.deepEqual(await world.booked(answers[0].id), ["authorization 4995 DKK", "capture 4995 DKK"]);
      // After a crash the same call has the same answer still.
      await world.stopOrigin("SIGKILL");
      await world.startOrigin();
      await world.unseal();
      assert.deepEqual(await again(() => own.charge(subscriber.id, charge, { key })), answers[0]);
      assert.deepEqual(await world.booked(answers[0].id), ["authorization 4995 DKK", "capture 4995 DKK"]);
      const renewal = await own.renew(subscriber.id, { successurl: "https://shop.example/", language: "da", lifetime: "24h0m0s" });
      await pay(renewal);
      await books.follow(own);
      const renewed = books.subscribers().find(({ id }) => id === subscriber.id);
      assert.deepEqual([renewed.rev, renewed.acts.map(({ act }) => act)], [2, ["renew"]]);
    });

    test("errors: the line, its length, and the reason phrase that Node's client shows", async () => {
      const own = client("node");
      const wrong = await client("node", "25:nonsense").raw("/v1/seq/0");
      assert.deepEqual([wrong.status, wrong.text, wrong.reason, wrong.headers["content-length"]], [403, "invalid apikey\n", "invalid apikey", "15"]);
      // The same from the edge itself and from the origin behind it.
      const unknown = await client("node", `25:${apiPassword("another")}`).raw("/v1/seq/0");
      assert.deepEqual([unknown.status, unknown.reason], [403, "invalid apikey"]);
      for (const [data, line] of [[{}, "missing items"], [{ items: [{ total: "x" }] }, "invalid items.total"]]) {
        const { status, text, reason } = await own.raw("/v1/new", data);
        assert.deepEqual([status, text, reason], [400, `${line}\n`, line]);
      }
      const key = idempotencyKey();
      await assert.rejects(own.newUrl({}, { key }), (error) => error instanceof Final && error.message === "missing items");
      await assert.rejects(own.newUrl({ items: [{ total: "1 DKK" }] }, { key }), TryAgain);
    });

    test("nothing leaks", () => world.assertNothingLeaked());
  });
}

/** The connections that the crash has cut are found dead by using them; a client asks again under its key. */
async function again(ask) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof TryAgain) || tries === 20) throw error;
    }
  }
}

async function startTlsEdge(world, port, base) {
  const [key] = world.linkKeys;
  const bindings = {
    ORIGINS: `${key.region}=${world.origin}`,
    LINK_KEY_ID: key.id,
    LINK_SECRET: key.secret.toString("base64"),
    PUBLIC_URL: base,
    CLIENT_ADDRESS: "none",
    RATE_LIMITS: world.limits,
  };
  const tls = { cert: world.at("ca/server.pem"), key: world.at("ca/server.key") };
  const worker = { name: "edge-tls", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${port}`, tls };
  const command = writeConfig({ dir: world.at("edge-tls"), workers: [worker], trust: world.at("ca/ca.pem") });
  const probe = new ScanpayClient({ kind: "node", base, ca: world.ca, apikey: "0:0" });
  world.watch(base);
  const ready = async () => (await probe.raw("/pluto/public/monitor")).status === 200;
  await world.children.start("edge-tls", command, { ready });
}
