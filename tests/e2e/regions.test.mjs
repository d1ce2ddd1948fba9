// Two regions on one PostgreSQL behind one edge: the one that serves is killed, frozen, or left alive, the other is told to
// serve. It does so, the old one writes nothing after that, and nothing is lost or done twice.

import { after, before, test } from "node:test";
import { mulberry } from "./random.mjs";
import { RegionsWorld, assertSoon } from "./regions-world.mjs";

let world;
before(async () => {
  world = await RegionsWorld.open(mulberry(6));
  world.work();
});
after(() => world?.close());

for (const how of ["killed", "alive", "frozen"]) {
  test(`the one that serves is ${how}`, { timeout: 240_000 }, async (t) => {
    const done = await world.failOver(how);
    t.diagnostic(JSON.stringify(done));
    assertSoon(done);
  });
}

test("every acknowledged call is there, once, in all books", { timeout: 300_000 }, async (t) => {
  t.diagnostic(JSON.stringify(await world.assertNothingWrong()));
});
