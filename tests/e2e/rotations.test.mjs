// See rotations.mjs. `scripts/soak rotations` does a hundred on each database.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onBothDatabases } from "./both.mjs";
import { rotations } from "./rotations.mjs";

const EDGES = 8;
const ROTATIONS = 20;

onBothDatabases((at) => {
  test(`${ROTATIONS} rotations under load at ${EDGES} edges: no old password is let in, no new one refused`, async (t) => {
    const counts = await rotations(at.world, { count: ROTATIONS, edges: EDGES });
    t.diagnostic(JSON.stringify(counts));
    assert.ok(counts.newTaken > ROTATIONS * EDGES, "there was load");
    // The first are refused by the origin; then it and the edges answer 429 to failures for this name, never to the new one.
    assert.ok(counts.oldRefused > 0 && counts.oldRefused + counts.throttled > ROTATIONS, "old passwords were tried");
  });
});
