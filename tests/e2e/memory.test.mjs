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
    assert.ok(counts.absent >= 8 && counts.present >= 4, JSON.stringify(counts));
  });
});
