// Fail-overs between two regions under load, in an order and at moments that a seed draws.
//   node tests/e2e/regions-soak.mjs --failovers N --seed S

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { mulberry } from "./random.mjs";
import { RegionsWorld, assertSoon } from "./regions-world.mjs";

const LONGEST_MS = 2_000;
const WAYS = ["frozen"];

const { values } = parseArgs({ options: { failovers: { type: "string" }, seed: { type: "string" } } });
const [failovers, seed] = [values.failovers, values.seed].map(Number);
assert.ok([failovers, seed].every(Number.isSafeInteger), "--failovers N --seed S");

const random = mulberry(seed);
const world = await RegionsWorld.open(random);
const took = { killed: [], alive: [], frozen: [] };
try {
  world.work();
  for (let n = 0; n < failovers; n += 1) {
    await pause(random() * LONGEST_MS);
    const done = await world.failOver(WAYS[Math.floor(random() * WAYS.length)]);
    took[done.how].push(done.firstMs);
    console.error(JSON.stringify(done));
    assertSoon(done);
  }
  const counts = await world.assertNothingWrong();
  for (const all of Object.values(took)) all.sort((one, other) => one - other);
  const firstMs = Object.entries(took).map(([how, all]) => [how, { median: all[all.length >> 1], longest: all.at(-1) }]);
  console.log(JSON.stringify({ seed, failovers, firstMs: Object.fromEntries(firstMs), ...counts }));
} finally {
  await world.close();
}
process.exit(0);
