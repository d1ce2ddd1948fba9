// The origin's memory, read by root: shares, keys and cards are gone when they are no longer needed.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { scanLife, whyNotReadable } from "./memory-scan.mjs";
import { startWorld } from "./world.mjs";

describe("memory", () => {
  let world;
  before(async () => {
    world = await startWorld("sqlite", { opened: false, acquirerTls: "h2" });
  });
  after(() => world?.close());

  test("what has been used is gone, sealed or not, and what is in use is found", async (t) => {
    const why = whyNotReadable(world.originProcess.pid);
    if (why) return t.skip(why);
    const counts = await scanLife(world, { say: (line) => t.diagnostic(line) });
    assert.ok(counts.absent >= 12 && counts.present >= 5, JSON.stringify(counts));
    assert.deepEqual([...world.terminator.used], ["2.0"], "the acquirer was reached as in production");
    const { memory } = await world.status();
    assert.deepEqual(memory, { coreDumpsOff: true, notDumpable: true, keyPagesLocked: true, wipingAllocator: true });
  });

  test("where no memory may be locked, the vault works all the same and the status says so", async () => {
    await world.stopOrigin();
    // Root is above the limit, unless this is taken away.
    const plain = process.getuid() === 0 ? ["setpriv", "--bounding-set", "-ipc_lock"] : [];
    await world.startOrigin([...plain, "prlimit", "--memlock=0:0"]);
    if (!(await world.status()).initialized) await world.init();
    await world.unseal();
    const { memory } = await world.status();
    assert.equal(memory.keyPagesLocked, false);
    assert.deepEqual([memory.coreDumpsOff, memory.notDumpable], [true, true]);
    const merchant = await world.merchant("merchant-32");
    const { code } = await world.code(merchant);
    assert.equal((await world.pay(code)).status, 200);
  });
});
