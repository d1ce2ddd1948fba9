// Where the demo keeps its state, and how a second process finds the first.

import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../workerd.mjs";

export const DEMO = join(ROOT, ".demo");
export const at = (...parts) => join(DEMO, ...parts);
export const ENV_FILE = at("env");
const RUN_FILE = at("run.json");

/** Every process of a run carries this variable, so that what a killed driver left behind can be told apart for sure. */
export const RUN_VARIABLE = "SCANVAULT_DEMO_RUN";

/** A Unix socket's address holds 107 bytes: a checkout deeper than that gets its sockets in the temporary folder. */
export function socketFolder() {
  return Buffer.byteLength(at("control.sock")) <= 100 ? DEMO : mkdtempSync(join(tmpdir(), "scanvault-demo-"));
}

export function writeRun(run) {
  writeAtomically(RUN_FILE, JSON.stringify(run));
}
export function readRun() {
  return existsSync(RUN_FILE) ? JSON.parse(readFileSync(RUN_FILE, "utf8")) : undefined;
}
export function removeRun() {
  rmSync(RUN_FILE, { force: true });
}

/** Readers see the old file or the new one, never half of one. */
export function writeAtomically(path, text) {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Process ids whose environment names this run; the environment is what they were started with, so it cannot be changed by mistake. */
export function processesOf(runId) {
  const mark = `${RUN_VARIABLE}=${runId}`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(mark);
      } catch {
        return false; // gone meanwhile, or another user's
      }
    });
}

/** Ends what a driver that was killed could not end itself. */
export function endLeftovers() {
  const run = readRun();
  rmSync(ENV_FILE, { force: true });
  if (!run) return 0;
  const left = processesOf(run.id);
  for (const pid of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
  }
  removeRun();
  return left.length;
}
