// kill -9 at every step of every ceremony of the vault. See kills.mjs. Each point on one of the two databases in turn, those
// with a second process on PostgreSQL; with SCANVAULT_ALL_POINTS each on both (`scripts/soak vault_points`).

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
const everything = Boolean(process.env.SCANVAULT_ALL_POINTS ?? wanted);

function pointsOf(kind) {
  const isOurs = ({ second }, at) => everything || kind === (second || at % 2 === 1 ? "postgres" : "sqlite");
  return POINTS.filter(isOurs).filter((point) => nameOf(point).includes(wanted));
}

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
    for (const point of pointsOf(kind)) {
      test(nameOf(point), () => kill(ground, kind, templates, point));
    }
  });
}
