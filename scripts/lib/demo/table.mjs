// What happened, for a person to read.

import { relative } from "node:path";
import { ROOT } from "../workerd.mjs";
import { ENV_FILE } from "./paths.mjs";

export function table(rows, totalMs) {
  const width = Math.max(...rows.map(({ title }) => title.length));
  const lines = rows.map(({ n, title, said, ms }) => `${pad(n, 3)}  ${title.padEnd(width)}  ${seconds(ms)}  ${said}`);
  return ["", ...lines, `${" ".repeat(5)}${"in all".padEnd(width)}  ${seconds(totalMs)}`, ""].join("\n");
}

export function nextCommands(env) {
  return `Running until Ctrl-C. In another terminal:
  . ${relative(ROOT, ENV_FILE)}
  curl -u "$MERCHANT_USER:$MERCHANT_PASSWORD" -H 'Content-Type: application/json' \\
    -d '{"merchantReference":"mine-1","amount":25.50}' "$EDGE_URL/pluto/code/create"
  scripts/scanvault vault status        scripts/demo --seal        scripts/demo --unseal
  curl "$SANDBOX_URL/_book"             (what the acquirer booked)
  scripts/demo --stop
Logs: ${relative(ROOT, env.ORIGIN_LOG)}, ${relative(ROOT, env.EDGE_LOG)}
`;
}

const pad = (value, width) => String(value).padStart(width);
const seconds = (ms) => `${(ms / 1000).toFixed(2).padStart(6)} s`;
