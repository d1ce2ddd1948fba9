// kill -9 at every place where money can be cut off. See money-points.mjs. Each point on one of the two databases in turn;
// with SCANVAULT_ALL_POINTS each on both (`scripts/soak money_points`).

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, describe, test } from "node:test";
import { ROOT } from "../../scripts/lib/workerd.mjs";
import { KINDS } from "./databases.mjs";
import { POINTS, kill, nameOf } from "./money-points.mjs";
import { MoneyWorld } from "./money-world.mjs";

/** Worlds at a time: most of the time they wait for a start at a full second. */
const LANES = Number(process.env.SCANVAULT_LANES ?? 8);
const wanted = process.env.SCANVAULT_POINT ?? "";
process.setMaxListeners(0); // each world has one of its own
const everything = Boolean(process.env.SCANVAULT_ALL_POINTS ?? wanted);

test("every fault point of the money engine and of the outbox is in the table, in each file that has it", () => {
  const inCode = ["payments", "outbox"].flatMap((folder) => {
    const files = readdirSync(`${ROOT}/origin/src/${folder}`, { recursive: true }).filter((name) => name.endsWith(".rs"));
    return files.flatMap((name) => {
      const source = readFileSync(`${ROOT}/origin/src/${folder}/${name}`, "utf8");
      const file = folder === "outbox" ? `outbox/${name}` : name;
      return [...source.matchAll(/fault::point\("([a-z.]+)"\)/g)].map(([, point]) => `${file} ${point}`);
    });
  });
  const inTable = POINTS.map(({ file, fault }) => `${file} ${fault.split(":")[0]}`);
  assert.deepEqual([...new Set(inCode)].sort(), [...new Set(inTable)].sort());
});

describe("killed, and at rest again", { concurrency: LANES }, () => {
  const worlds = Object.fromEntries(KINDS.map((kind) => [kind, []]));
  after(() => Promise.all(KINDS.flatMap((kind) => worlds[kind]).map((world) => world.assertAll().finally(() => world.close()))));

  for (const [at, point] of POINTS.filter(({ rare }) => everything || !rare).entries()) {
    for (const kind of KINDS.filter((_, n) => everything || at % 2 === n)) {
      if (!nameOf(point).includes(wanted)) continue;
      test(`${kind}: ${nameOf(point)}`, async () => {
        // One that failed is not used again: what it left behind is nobody's guess.
        const world = worlds[kind].pop() ?? (await MoneyWorld.start(kind));
        try {
          await kill(world, point);
        } catch (error) {
          await world.close();
          throw error;
        }
        worlds[kind].push(world);
      });
    }
  }
});
