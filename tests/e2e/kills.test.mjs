// kill -9 at every step of every ceremony of the vault, on both databases. See kills.mjs.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { ROOT } from "../../scripts/lib/workerd.mjs";
import { KINDS } from "./databases.mjs";
import { POINTS, kill, makeTemplates, nameOf } from "./kills.mjs";
import { Ground } from "./stand.mjs";

/** Points that are worked on at a time: most of the time they wait for a start at a full second. */
const LANES = Number(process.env.SCANVAULT_LANES ?? 6);
const wanted = process.env.SCANVAULT_POINT ?? "";

test("every fault point of the ceremonies is in the table", () => {
  const folder = new URL(`file://${ROOT}/origin/src/ceremonies/`);
  const sources = readdirSync(folder).filter((name) => name.endsWith(".rs")).map((name) => readFileSync(new URL(name, folder), "utf8"));
  const inCode = sources.flatMap((source) => [...source.matchAll(/fault::point\("([a-z.]+)"\)/g)].map(([, name]) => name));
  const inTable = new Set(POINTS.map(({ fault }) => fault.split(":")[0]));
  assert.deepEqual([...new Set(inCode)].sort(), [...inTable].sort());
});

for (const kind of KINDS) {
  describe(kind, { concurrency: LANES }, () => {
    let ground, templates;
    before(async () => {
      ground = await Ground.start();
      templates = await makeTemplates(ground, kind);
    });
    after(() => ground?.close());
    for (const point of POINTS.filter((point) => nameOf(point).includes(wanted))) {
      test(nameOf(point), () => kill(ground, kind, templates, point));
    }
  });
}
