// How long a fresh isolate takes for its first request: workerd is started with the worker, and asked until it answers;
// the same with the plainest JavaScript worker. What is left between the two is the module's compiling and starting.

import { join } from "node:path";
import { end, freePorts, start } from "./processes.mjs";
import { median } from "./table.mjs";
import { writeConfig } from "../workerd.mjs";

const TIMES = 11;

/** A line that says the medians. */
export async function coldStarts({ edge, js, dir, trust, core }) {
  const took = { edge: [], js: [] };
  for (let time = 0; time < TIMES; time++) {
    took.edge.push(await once(edge, "/pluto/public/monitor", { dir, trust, core }));
    took.js.push(await once(js, "/hello", { dir, trust, core }));
  }
  const [ours, theirs] = [median(took.edge), median(took.js)];
  return `\nFirst answer of a fresh workerd: ${ours.toFixed(1)} ms, with the JavaScript worker ${theirs.toFixed(1)} ms; so a cold isolate of ours takes ${(ours - theirs).toFixed(1)} ms more (medians of ${TIMES})`;
}

async function once(worker, path, { dir, trust, core }) {
  const [port] = await freePorts(1);
  const command = writeConfig({ dir: join(dir, "cold"), trust, workers: [{ ...worker, listen: `127.0.0.1:${port}` }] });
  const began = performance.now();
  let first;
  const ready = async () => {
    const { status } = await fetch(`http://127.0.0.1:${port}${path}`);
    first ??= performance.now();
    return status === 200;
  };
  const child = await start("cold", ["taskset", "-c", core, ...command], { dir, ready, every: 1 });
  await end(child);
  return first - began;
}
