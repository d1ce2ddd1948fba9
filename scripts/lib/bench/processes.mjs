// Processes of a bench: started, waited for, and ended together, whatever happens.

import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../ports.mjs";

const running = [];

/** `ready` is asked every so many milliseconds. */
export async function start(name, [program, ...args], { dir, env = {}, ready, every = 40 }) {
  const log = join(dir, `${name}.log`);
  const out = openSync(log, "a", 0o600);
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", out, out] });
  closeSync(out);
  running.push(child);
  let ended = false;
  child.on("exit", () => (ended = true));
  child.on("error", () => (ended = true));
  const text = () => readFileSync(log, "utf8");
  for (const deadline = performance.now() + 30_000; ; await pause(every)) {
    if (ended || performance.now() > deadline) throw new Error(`${name} did not start:\n${text()}`);
    if (await Promise.resolve(ready(text())).catch(() => false)) return child;
  }
}

export async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await gone;
  clearTimeout(timer);
}

export const endAll = () => Promise.all(running.map(end));
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

export const listening = (text) => text.includes('"message":"listening"');

/** So many free ports. */
export async function freePorts(count) {
  return Promise.all(Array.from({ length: count }, freePort));
}
