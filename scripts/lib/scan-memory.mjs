// The long form of tests/e2e/memory.test.mjs: both databases, every way to the acquirer, several rounds.

import { parseArgs } from "node:util";
import { scanLife, whyNotReadable } from "../../tests/e2e/memory-scan.mjs";
import { KINDS } from "../../tests/e2e/databases.mjs";
import { startWorld } from "../../tests/e2e/world.mjs";

const USAGE = "usage: scripts/scan-memory [--rounds N] [--payments N] [--database sqlite|postgres|both]";
const text = { type: "string" };
const say = (line) => console.log(line);

function settings() {
  try {
    const { values } = parseArgs({ options: { rounds: text, payments: text, database: text } });
    const [rounds, payments] = [Number(values.rounds ?? 2), Number(values.payments ?? 10)];
    const kinds = (values.database ?? "both") === "both" ? KINDS : KINDS.filter((kind) => kind === values.database);
    if (rounds > 0 && payments > 0 && kinds.length > 0) return { rounds, payments, kinds };
  } catch {
    // said below
  }
  console.error(USAGE);
  process.exit(2);
}

const { rounds, payments, kinds } = settings();
const total = { scans: 0, mebibytes: 0, needles: 0, absent: 0, present: 0 };
for (const kind of kinds) {
  for (const acquirerTls of [undefined, "http/1.1", "h2"]) {
    const world = await startWorld(kind, { opened: false, acquirerTls });
    try {
      const why = whyNotReadable(world.originProcess.pid);
      if (why) {
        console.error(`scan-memory: NOT DONE: ${why}`);
        process.exitCode = 3;
        break;
      }
      say(`--- ${kind}, acquirer over ${acquirerTls ?? "plain HTTP"}`);
      const counts = await scanLife(world, { rounds, payments, say });
      for (const [name, count] of Object.entries(counts)) total[name] += count;
    } catch (error) {
      console.error(`scan-memory: ${error.message}`);
      process.exitCode = 1;
    } finally {
      await world.close();
    }
  }
}
say(`${total.scans} scans, ${total.mebibytes} MiB read; ${total.needles} needles in ${total.absent} places of the story were gone, ${total.present} times what is in use was found`);
if (total.present === 0) process.exitCode ||= 1;
