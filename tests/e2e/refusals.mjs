// False positives of the screen, measured against all that our own tests ask: in every world, what a rule of the screen or
// a limit of requests refused is counted by the edge's own log when the world ends. Nothing may be there that a world's
// tests do not say they provoke.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const RULES = new URL("../../edge/src/screen/rule.rs", import.meta.url);
/** As the code names them, so that none is forgotten here. */
const SCREEN = new Set([
  ...[...readFileSync(RULES, "utf8").matchAll(/=> "([a-z-]+)",/g)].map(([, name]) => name),
  "limit-address", "limit-account", "limit-images", "limit-under-way", "limit-under-way-client",
]);

/** Holds the lines of a world's edges against the rules that its tests provoke. */
export function assertNoneRefused(lines, provokes) {
  const requests = lines.filter(({ message }) => message === "request");
  const refused = {};
  for (const { rule } of requests) if (SCREEN.has(rule)) refused[rule] = (refused[rule] ?? 0) + 1;
  const report = process.env.SCANVAULT_SCREEN_REPORT;
  if (report) appendFileSync(report, `${JSON.stringify({ file: basename(process.argv[1] ?? ""), requests: requests.length, refused })}\n`);
  const surprises = Object.keys(refused).filter((rule) => !provokes.includes(rule));
  assert.deepEqual(surprises, [], `the screen refused what no test provokes: ${JSON.stringify(refused)} of ${requests.length}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const worlds = readFileSync(process.argv[2], "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const total = {};
  for (const { refused } of worlds) for (const [rule, count] of Object.entries(refused)) total[rule] = (total[rule] ?? 0) + count;
  const requests = worlds.reduce((sum, world) => sum + world.requests, 0);
  console.error(`the screen: ${requests} requests in ${worlds.length} worlds, refused where no test provokes it: 0; provoked: ${JSON.stringify(total)}`);
}
