// The same tests on both databases, each with everything running for itself, and the scan for secrets at the end.

import { after, before, describe, test } from "node:test";
import { KINDS } from "./databases.mjs";
import { startWorld } from "./world.mjs";

/** `define(at)` writes the tests; `at.world` is there once they run. */
export function onBothDatabases(define, options) {
  on(KINDS, define, options);
}

/** On PostgreSQL alone, for what SQLite cannot do. */
export function onPostgres(define, options) {
  on(["postgres"], define, options);
}

function on(kinds, define, options) {
  for (const kind of kinds) {
    describe(kind, () => {
      const at = {};
      before(async () => {
        at.world = await startWorld(kind, options);
      });
      after(() => at.world?.close());
      define(at);
      test("nothing secret stands in a log or in the database", () => at.world.assertNothingLeaked());
    });
  }
}
