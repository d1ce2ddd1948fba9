// A password that rotates while edges are asked with it: from the moment a rotation has answered, no edge lets the old one
// in and none refuses the new one. Limits are on: what is asked with old passwords must not cost the new one anything.
//   node tests/e2e/rotations.mjs --rotations N [--edges E] [--kind sqlite|postgres]

import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { KINDS } from "./databases.mjs";
import { startWorld } from "./world.mjs";

const USER = "merchant-25";
const LANES = 2; // requests in flight at each edge
const BETWEEN_MS = 150; // rotations, at least; on an idle machine every edge is asked in between
const ENOUGH_WITHIN_MS = 10_000;

/** The counts of a run; throws at the first request that was answered wrongly. */
export async function rotations(world, { count, edges }) {
  await world.merchant(USER, { webhook: false, acquirer: false });
  const addresses = [world.edge, ...(await world.startMoreEdges(edges - 1))];
  const run = new Run(world.merchants[USER].password);
  const lanes = addresses.flatMap((edge) => Array.from({ length: LANES }, (_, at) => run.lane(edge, at)));
  try {
    for (let n = 0; n < count; n += 1) {
      await Promise.race([run.taken(edges + 1), ...lanes]);
      await run.rotate(world);
    }
    await Promise.race([run.taken(edges + 1), ...lanes]);
  } finally {
    run.stop = true;
  }
  await Promise.all(lanes);
  return { edges, rotations: count, ...run.counts };
}

class Run {
  stop = false;
  counts = { newTaken: 0, oldRefused: 0, throttled: 0, between: 0 };
  /** Increases when a rotation begins and when it has answered: odd while one is under way. */
  #moment = 0;

  constructor(password) {
    this.passwords = [password];
  }

  /** So many more requests with the new password have been let in, or a long time has passed. */
  async taken(count) {
    const [before, began] = [this.counts.newTaken, Date.now()];
    do await pause(BETWEEN_MS);
    while (this.counts.newTaken < before + count && Date.now() < began + ENOUGH_WITHIN_MS);
  }

  async rotate(world) {
    this.#moment += 1;
    const { password } = await world.cli("account", "rotate", USER);
    this.passwords.push(password);
    this.#moment += 1;
  }

  /** Asks one edge again and again; every third request is with a password that is dead. */
  async lane(edge, at) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let n = at; !this.stop; n += 1) {
      const moment = this.#moment;
      const isOld = n % 3 === 0 && this.passwords.length > 1;
      const password = this.passwords.at(isOld ? -2 : -1);
      const status = await ask(edge, password, agent);
      if (isOld) this.#old(status, edge);
      else this.#new(status, moment, edge);
    }
    agent.destroy();
  }

  /** It was dead when it was sent: the rotation that ended it had answered. */
  #old(status, edge) {
    assert.ok(status === 401 || status === 429, `an old password was answered ${status} at ${edge}`);
    this.counts[status === 429 ? "throttled" : "oldRefused"] += 1;
  }

  /** It was live all the while only when no rotation began before its answer. */
  #new(status, moment, edge) {
    if (moment % 2 === 1 || moment !== this.#moment) {
      assert.ok([401, 404, 429].includes(status), `${status} at ${edge}`);
      this.counts.between += 1;
      return;
    }
    assert.equal(status, 404, `the live password was answered ${status} at ${edge}`);
    this.counts.newTaken += 1;
  }
}

function ask(edge, password, agent) {
  const authorization = `Basic ${Buffer.from(`${USER}:${password}`).toString("base64")}`;
  return new Promise((done, failed) => {
    const asked = request(`${edge}/pluto/code/0000000000`, { agent, headers: { authorization } }, (answer) => {
      answer.resume();
      answer.on("end", () => done(answer.statusCode));
      answer.on("error", failed);
    });
    asked.on("error", failed);
    asked.end();
  });
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const text = { type: "string" };
  const { values } = parseArgs({ options: { rotations: text, edges: text, kind: text } });
  for (const kind of values.kind ? [values.kind] : KINDS) {
    const world = await startWorld(kind);
    try {
      const counts = await rotations(world, { count: Number(values.rotations ?? 100), edges: Number(values.edges ?? 8) });
      console.log(`${kind}: ${JSON.stringify(counts)}`);
    } finally {
      await world.close();
    }
  }
}
