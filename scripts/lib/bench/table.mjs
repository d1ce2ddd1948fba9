// Rounds, medians and ratios. Rows are measured in turns (A, B, A, B, …), so that a machine that gets busier or slower
// during the run does so for both sides.

export async function measure(rows, { rounds, seconds, connections, load }) {
  for (const row of rows) row.rates = [];
  for (let round = 0; round <= rounds; round++) {
    for (const row of rows) {
      // Round 0 warms up: compiled code, connections, caches.
      const rate = await load({ ...row, seconds: round === 0 ? Math.min(1, seconds) : seconds, connections });
      if (round > 0) row.rates.push(rate);
    }
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  for (const row of rows) row.rate = median(row.rates);
  return rows;
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Each row beside the row it names in `beside`: ratio of the medians, and how far the rounds lay apart. */
export function print(title, rows) {
  const byName = new Map(rows.map((row) => [row.name, row]));
  const width = Math.max(...rows.map((row) => row.name.length));
  const beside = Math.max(...rows.map((row) => (row.beside ?? "").length));
  console.log(`\n${title}\n`);
  console.log(`${"".padEnd(width)}  ${"per second".padStart(10)}  ${"spread".padStart(6)}  ${"ratio".padStart(6)}  beside`);
  for (const row of rows) {
    const spread = `${Math.round(((Math.max(...row.rates) - Math.min(...row.rates)) / row.rate) * 100)} %`;
    const ratio = row.beside ? (row.rate / byName.get(row.beside).rate).toFixed(2) : "";
    const cells = [row.name.padEnd(width), row.rate.toFixed(0).padStart(10), spread.padStart(6), ratio.padStart(6)];
    console.log(`${cells.join("  ")}  ${(row.beside ?? "").padEnd(beside)}`.trimEnd());
  }
}
