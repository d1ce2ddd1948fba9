// The fallback host with two regions behind it: the one that serves is killed under load, the other is told to serve, and
// the host goes on by itself. It is not touched, and keeps nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { READY, CUSTODIANS, SCANVAULT, freePorts, until } from "./world.mjs";
import { FallbackWorld } from "./fallback-host.mjs";
import { pageData, payPath } from "./shopper.mjs";
import { ask } from "../lib/answers.mjs";

const LOADERS = 4;
const ENOUGH = 15;

class TwoRegions extends FallbackWorld {
  get settings() {
    return { ...super.settings, ORIGINS: `a=${this.origin} b=https://localhost:${this.second}` };
  }

  async start() {
    ({ second: this.second } = await freePorts("second"));
    await super.start();
  }

  /** Region b, a process of its own on the same database: its CLI. */
  async startB() {
    const socket = this.at("b.sock");
    const own = { SCANVAULT_REGION: "b", SCANVAULT_LISTEN: `127.0.0.1:${this.second}`, SCANVAULT_ADMIN_SOCKET: socket };
    await this.children.start("origin-b", [SCANVAULT, "serve"], { env: { ...this.originEnvironment(), ...own }, ready: READY });
    return async (...args) => {
      const { code, stdout, stderr } = await this.scanvault([...args, "--json"], { env: { ADMIN_URL: `unix://${socket}` } });
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout);
    };
  }
}

let world, merchant, atB;
before(async () => {
  world = new TwoRegions("postgres");
  world.limits = "off";
  await world.start();
  await world.init();
  await world.unseal();
  merchant = await world.merchant("merchant-25");
  atB = await world.startB();
  for (const name of CUSTODIANS.slice(0, 2)) await atB("vault", "unseal", "--share-file", world.shareFile(name));
  await world.cli("region", "serve");
});
after(() => world?.close());

const region = async () => (await ask(world.edge, payPath("0000000000"))).headers["scanvault-region"];

async function pay(code) {
  const page = await ask(world.edge, payPath(code));
  return world.post(code, await world.seal({ data: pageData(page.body) }));
}

test("the first region is killed under load; when the other serves, the host finds it", async (t) => {
  assert.equal(await region(), "a");
  const { code } = await world.code(merchant, "31.00");
  assert.equal((await pay(code)).status, 200);
  const { pid } = world.host;

  const created = [];
  const statuses = new Map();
  let images = 0;
  let ending = false;
  const load = Promise.all([
    ...Array.from({ length: LOADERS }, async (_, loader) => {
      for (let n = 0; !ending; n += 1) {
        const merchantReference = `${loader}-${n}`;
        const answer = await world.create(merchant, JSON.stringify({ merchantReference, amount: 5 }));
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        if (answer.status === 200) created.push({ merchantReference, code: JSON.parse(answer.body).code, by: answer.headers["scanvault-region"] });
      }
    }),
    (async () => {
      for (; !ending; images += 1) assert.equal((await ask(world.edge, `/pluto/public/qr/${String(images).padStart(10, "0")}.png`)).status, 200);
    })(),
  ]);
  const by = (name) => created.filter((each) => each.by === name).length;
  try {
    await until("a answers", () => by("a") > ENOUGH);
    await world.stopOrigin("SIGKILL");
    await atB("region", "serve");
    const told = performance.now();
    await until("b answers", () => by("b") > 0);
    t.diagnostic(`first answer of b ${Math.round(performance.now() - told)} ms after it was told to serve`);
    await until("b goes on", () => by("b") > ENOUGH);
  } finally {
    ending = true;
    await load;
  }
  t.diagnostic(`${by("a")} by a, ${by("b")} by b, ${images} images; statuses ${JSON.stringify([...statuses])}`);
  assert.deepEqual([...statuses.keys()].filter((status) => ![200, 500, 503].includes(status)), [], "an outcome that is unknown says so");
  assert.ok(images > 0);

  // What was answered is there, whoever answered it, and the same again is the same.
  for (const { merchantReference, code: known } of [...created.slice(0, ENOUGH), ...created.slice(-ENOUGH)]) {
    const again = await world.create(merchant, JSON.stringify({ merchantReference, amount: 5 }));
    assert.deepEqual([again.status, JSON.parse(again.body).code], [200, known]);
  }
  const next = await world.code(merchant, "32.00");
  const paid = await pay(next.code);
  assert.equal(paid.status, 200, paid.body.toString());
  assert.deepEqual(await world.booked(JSON.parse(paid.body).transactionId), ["authorization 3200 ZAR", "capture 3200 ZAR"]);
  assert.equal(await region(), "b");
  assert.equal(world.host.pid, pid, "the host was not touched");
});

test("nothing secret stands in a log or in the database", () => world.assertNothingLeaked());
