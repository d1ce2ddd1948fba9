// The entry of the worker. It carries and decides nothing: the request's head goes into the wasm module as one text, and
// what comes back is the answer, or a task that waits for the runtime and is then gone on with.
//
// Whatever throws out of the module (a panic is a trap) leaves its memory in an unknown state: the module is started
// anew, and the request gets the hardened 500 of the new one. So does every other request that was under way in it.

import module from "./index_bg.wasm";
import * as glue from "./index.js";
import { driveWith, pack } from "./host.js";

glue.initSync({ module });

// How often it was started anew. What an earlier one had begun fails too, which is no fault of the one that runs.
let generation = 0;
let isSound = true;

const restart = () => {
  isSound = false;
  generation += 1;
  glue.__wbg_reset_state();
  isSound = true;
};

const restartAfter = (error, begunIn) => {
  if (begunIn !== generation) return;
  console.error("the module is started anew:", error?.message);
  restart();
};

const failed = (error, begunIn, isHead) => {
  try {
    restartAfter(error, begunIn);
    return glue.failed(isHead);
  } catch (second) {
    console.error("it did not start:", second?.message);
    const id = crypto.randomUUID().replaceAll("-", "");
    console.error("the answer that said so:", id);
    return new Response(null, { status: 500, headers: { ...LAST_RESORT, "scanvault-request-id": id } });
  }
};

// Said here once more, since this is for when nothing else of ours runs.
const LAST_RESORT = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "strict-transport-security": "max-age=63072000; includeSubDomains; preload",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
};

/** Goes on with a task each time that something is there that it waits for; answers what came of it. */
async function drive(task, isHead) {
  const begunIn = generation;
  try {
    return await steps(task);
  } catch (error) {
    return failed(error, begunIn, isHead);
  }
}

async function steps(task) {
  // What has not settled yet, by its place; and the place of the next.
  const open = new Map();
  let next = 0;
  for (;;) {
    const waits = [];
    for (let wait = task.take(); wait !== undefined; wait = task.take()) waits.push(wait);
    if (open.size === 0 && waits.length === 1) {
      // Nearly always: one thing to wait for. No promise of our own stands between.
      let [holds, value] = [true, undefined];
      try {
        value = await waits[0];
      } catch (error) {
        [holds, value] = [false, error];
      }
      task.settle(next++, holds, value);
    } else if (open.size + waits.length > 0) {
      for (const wait of waits) {
        const place = next++;
        open.set(place, settled(wait).then((outcome) => [place, ...outcome]));
      }
      const [place, holds, value] = await Promise.race(open.values());
      open.delete(place);
      task.settle(place, holds, value);
    }
    const outcome = task.resume(Date.now());
    if (outcome !== undefined) {
      task.free();
      return outcome;
    }
  }
}

async function settled(wait) {
  try {
    return [true, await wait];
  } catch (error) {
    return [false, error];
  }
}

/**
 * What a request leaves to be done after its answer, in the module that left it. Nobody waits for an answer of it, so
 * that it makes none, and no line of the log as for a request.
 */
async function finish(task, begunIn) {
  try {
    await undefined; // The call that leaves it is still in the module.
    await steps(task);
  } catch (error) {
    try {
      restartAfter(error, begunIn);
    } catch (second) {
      console.error("it did not start:", second?.message);
    }
  }
}

driveWith((task) => finish(task, generation));

export default {
  fetch(request, env, context) {
    const isHead = request.method === "HEAD";
    try {
      if (!isSound) restart();
      const step = glue.handle(pack(request), request, env, context, Date.now());
      if (!(step instanceof glue.Task)) return step;
      const answer = drive(step, isHead);
      // Who hangs up ends nothing: the origin may have it already, and what the request holds is given back at its end.
      context.waitUntil(answer);
      return answer;
    } catch (error) {
      return failed(error, generation, isHead);
    }
  },
};
