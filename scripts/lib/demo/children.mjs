// The demo's processes: each in a process group of its own, with a log file, watched until it is ready and after.

import { execFile, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { ROOT } from "../workerd.mjs";
import { RUN_VARIABLE, at } from "./paths.mjs";

const POLL_MS = 40;
const GRACE_MS = 6_000;

/** A failure that a person should read: what went wrong and which log says more. */
export class DemoError extends Error {
  constructor(message, log) {
    super(message);
    this.log = log;
  }
}

export class Children {
  #byName = new Map();
  #runId;
  #logs;
  /** Called with a DemoError and the name when a process ends that nobody ended. */
  onUnexpectedEnd = () => {};

  /** `logs`: the folder of the log files; the tests have one of their own. */
  constructor(runId, logs = at("logs")) {
    this.#runId = runId;
    this.#logs = logs;
    mkdirSync(logs, { recursive: true, mode: 0o700 });
  }

  logFile(name) {
    return join(this.#logs, `${name}.log`);
  }

  isRunning(name) {
    return this.#byName.get(name)?.running === true;
  }

  pids() {
    return [...this.#byName.values()].filter((child) => child.running).map((child) => child.pid);
  }

  /** The environment of the caller without what would steer a child elsewhere: proxies, other settings of ours or of wrangler. */
  environment(extra) {
    const own = /^(.*_proxy|DATABASE_URL|NODE_EXTRA_CA_CERTS|CLOUDFLARE_.*|WRANGLER_.*|SCANVAULT_(?!TOOLS$).*)$/i;
    const kept = Object.entries(process.env).filter(([name]) => !own.test(name));
    return { ...Object.fromEntries(kept), [RUN_VARIABLE]: this.#runId, ...extra };
  }

  /** Starts `name` and waits until `ready(child)` says so; `child.lines()` are the log lines since this start. */
  async start(name, [program, ...args], { env = {}, ready, seconds = 30 }) {
    const log = this.logFile(name);
    const from = existsSync(log) ? statSync(log).size : 0;
    const out = openSync(log, "a", 0o600);
    const handle = spawn(program, args, {
      cwd: ROOT,
      env: this.environment(env),
      stdio: ["ignore", out, out],
      detached: true,
    });
    closeSync(out);
    const child = { name, pid: handle.pid, running: handle.pid !== undefined, ending: false, started: false };
    child.lines = () => readFileSync(log).subarray(from).toString("utf8").split("\n");
    child.ended = new Promise((resolve) => {
      const end = (how) => {
        child.running = false;
        child.how = how;
        resolve();
        if (child.started && !child.ending) this.onUnexpectedEnd(new DemoError(`${name} ended by itself: ${how}`, log), name);
      };
      handle.on("error", (error) => end(error.message));
      handle.on("exit", (code, signal) => end(signal ?? `exit code ${code}`));
    });
    this.#byName.set(name, child);
    await until(`${name} is ready`, async () => {
      if (!child.running) throw new DemoError(`${name} ended before it was ready: ${child.how}`, log);
      return ready(child);
    }, { seconds, log });
    child.started = true;
    return child;
  }

  /** SIGTERM to the group and time to drain, then SIGKILL; or SIGKILL at once. */
  async end(name, signal = "SIGTERM") {
    const child = this.#byName.get(name);
    if (!child) return;
    child.ending = true;
    killGroup(child.pid, signal);
    await Promise.race([child.ended, pause(signal === "SIGKILL" ? 60_000 : GRACE_MS, undefined, { ref: false })]);
    // The leader may be gone and a grandchild not: the group is ended in any case.
    killGroup(child.pid, "SIGKILL");
    await child.ended;
    this.#byName.delete(name);
  }

  async endAll() {
    await Promise.all([...this.#byName.keys()].map((name) => this.end(name)));
  }
}

function killGroup(pid, signal) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** Looks again and again until `probe` gives something true; what it throws ends the wait, a refused connection does not. */
export async function until(what, probe, { seconds = 30, log } = {}) {
  const deadline = performance.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      const found = await probe();
      if (found) return found;
    } catch (error) {
      if (error instanceof DemoError) throw error;
      last = error;
    }
    if (performance.now() > deadline) {
      const why = last ? ` (last: ${last.cause?.message ?? last.message})` : "";
      throw new DemoError(`not within ${seconds} s: ${what}${why}`, log);
    }
    await pause(POLL_MS);
  }
}

/** A log line that is a JSON object with this message, flat or as tracing nests it. */
export function logged(child, message) {
  return child.lines().some((line) => {
    if (!line.startsWith("{")) return false;
    try {
      const entry = JSON.parse(line);
      return (entry.message ?? entry.fields?.message) === message;
    } catch {
      return false; // a line that is still being written
    }
  });
}

/** Runs a short command; refuses to go on when it fails. Secrets go in through `input`, never as arguments. */
export function run(program, args, { env, input, log, seconds = 60 } = {}) {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { env: env ?? process.env, timeout: seconds * 1000, maxBuffer: 1 << 22, encoding: "utf8" },
      (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        const shown = [program.split("/").pop(), ...args].join(" ");
        const how = error.killed ? `no answer in ${seconds} s` : `exit code ${error.code}`;
        reject(new DemoError(`${shown}: ${how}${stderr ? `\n${stderr.trim()}` : ""}`, log));
      },
    );
    child.stdin.on("error", () => {}); // it may end without reading
    child.stdin.end(input ?? "");
  });
}
