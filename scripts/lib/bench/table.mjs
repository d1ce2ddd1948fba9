// Rounds, medians and ratios. Rows are measured in turns (A, B, A, B, …), so that a machine that gets busier or slower
// during the run does so for both sides.

import { readFileSync } from "node:fs";

const MICROSECONDS_PER_TICK = 10_000; // USER_HZ is 100 on every Linux that Node runs on

export async function measure(rows, { rounds, seconds, connections, load }) {
  for (const row of rows) Object.assign(row, { rates: [], costs: [] });
  for (let round = 0; round <= rounds; round++) {
    for (const row of rows) {
      const before = cpuTicks(row.pid);
      // Round 0 warms up: compiled code, connections, caches.
      const { rate, done } = await load({ ...row, seconds: round === 0 ? Math.min(1, seconds) : seconds, connections });
      if (round === 0) continue;
      row.rates.push(rate);
      row.costs.push(((cpuTicks(row.pid) - before) * MICROSECONDS_PER_TICK) / done);
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  for (const row of rows) Object.assign(row, { rate: median(row.rates), cost: median(row.costs) });
  return rows;
}

/** User and system time of a process so far; the program's name, in brackets, may hold anything. */
function cpuTicks(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Each row beside the row it names in `beside`: how often as fast, and how much of the server's CPU time it takes. */
export function print(title, rows) {
  const byName = new Map(rows.map((row) => [row.name, row]));
  const width = Math.max(...rows.map((row) => row.name.length));
  const line = (name, cells, beside) =>
    console.log(`${name.padEnd(width)}  ${cells.map((cell) => cell.padStart(10)).join("  ")}  ${beside}`.trimEnd());
  console.log(`\n${title}\n`);
  line("", ["per second", "spread", "ratio", "CPU us", "CPU ratio"], "beside");
  for (const row of rows) {
    const other = byName.get(row.beside);
    const spread = `${Math.round(((Math.max(...row.rates) - Math.min(...row.rates)) / row.rate) * 100)} %`;
    const ratios = other ? [(row.rate / other.rate).toFixed(2), (row.cost / other.cost).toFixed(2)] : ["", ""];
    line(row.name, [row.rate.toFixed(0), spread, ratios[0], row.cost.toFixed(0), ratios[1]], row.beside ?? "");
  }
}
