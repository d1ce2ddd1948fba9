// The driver: takes the ten steps, then keeps everything running until Ctrl-C, `--stop`, or a process that dies.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatEnv } from "../env.mjs";
import { Children, DemoError } from "./children.mjs";
import { askDriver, serveControl } from "./control.mjs";
import { DEMO, ENV_FILE, at, endLeftovers, processesOf, readRun, removeRun, socketFolder, writeAtomically, writeRun } from "./paths.mjs";
import { checkDatabase, chooseDatabase, choosePorts } from "./settings.mjs";
import { Origin } from "./origin.mjs";
import { STEPS } from "./steps.mjs";
import { nextCommands, table } from "./table.mjs";

const flags = new Set(process.argv.slice(2));
const began = performance.now();

class Demo {
  keep = flags.has("--keep");
  rows = [];
  ready = false;
  #server;
  #sockets;
  #ending;

  async prepare() {
    await refuseSecond();
    const left = endLeftovers();
    if (left > 0) console.error(`demo: ended ${left} processes that a killed demo had left behind`);
    this.database = chooseDatabase();
    await checkDatabase(this.database, this.keep);
    if (!this.keep) rmSync(DEMO, { recursive: true, force: true });
    mkdirSync(DEMO, { recursive: true, mode: 0o700 });
    this.#sockets = socketFolder();
    this.run = { id: randomBytes(12).toString("hex"), driver: process.pid, control: join(this.#sockets, "control.sock") };
    this.children = new Children(this.run.id);
    this.ports = await choosePorts(this.keep);
    this.origin = new Origin(this, join(this.#sockets, "admin.sock"));
    writeRun(this.run);
    this.#server = await serveControl(this.run.control, (command) => this.act(command));
    this.children.onUnexpectedEnd = (error, name) => this.#childEnded(error, name);
  }

  async takeSteps() {
    for (const [n, { title, take }] of STEPS.entries()) {
      const start = performance.now();
      try {
        const said = await take(this);
        this.rows.push({ n: n + 1, title, said: said ?? "", ms: performance.now() - start });
      } catch (error) {
        if (this.#ending) return;
        error.message = `step ${n + 1} (${title}): ${error.message}`;
        throw error;
      }
      if (this.#ending) return;
      console.log(`${String(n + 1).padStart(2)}. ${title}`);
    }
    this.publish();
    this.ready = true;
    console.log(table(this.rows, performance.now() - began));
  }

  /** A crashed origin is said and left to --start-origin, as the edge lives on without it; any other loss ends the demo. */
  #childEnded(error, name) {
    if (this.ready && name === "origin" && !this.#ending) {
      explain(error);
      this.publish();
    } else {
      this.end(1, error);
    }
  }

  /** `.demo/env` appears only now, by rename, and again when a process id in it changes. */
  publish() {
    writeAtomically(ENV_FILE, formatEnv({ ...this.env, DEMO_PIDS: [process.pid, ...this.children.pids()].join(" ") }));
  }

  async act(command) {
    if (command === "stop") {
      setImmediate(() => this.end(this.ready ? 0 : 1));
      return "stopped";
    }
    if (!this.ready) throw new DemoError("the demo is still starting");
    switch (command) {
      case "seal":
        return this.origin.seal();
      case "unseal":
        return this.origin.unseal();
      case "stop-origin":
        await this.origin.kill();
        this.publish();
        return "the origin is down";
      case "start-origin":
        await this.origin.start();
        this.publish();
        return "the origin is up, and sealed";
      default:
        throw new DemoError(`unknown command: ${command}`);
    }
  }

  /** Once, whatever asks for it: nothing stays behind but the logs and the state. */
  end(code, error) {
    this.#ending ??= this.#end(code, error);
    return this.#ending;
  }

  async #end(code, error) {
    // Before there is a run of ours, what lies there may be that of a demo which is running.
    if (this.run) rmSync(ENV_FILE, { force: true });
    if (error) explain(error);
    await this.browser?.close().catch(() => {});
    await this.children?.endAll();
    for (const pid of this.run ? processesOf(this.run.id) : []) tryKill(pid);
    this.#server?.close();
    if (this.#sockets && this.#sockets !== DEMO) rmSync(this.#sockets, { recursive: true, force: true });
    if (this.run) removeRun();
    process.exit(code);
  }
}

async function refuseSecond() {
  const run = readRun();
  const answer = run && (await askDriver(run.control, "are-you-there"));
  if (answer) throw new DemoError("a demo is already running here (end it with scripts/demo --stop)");
}

function tryKill(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

function explain(error) {
  console.error(`\ndemo: failed: ${error instanceof DemoError ? error.message : (error.stack ?? error)}`);
  if (!error.log || !existsSync(error.log)) return;
  const tail = readFileSync(error.log, "utf8").trimEnd().split("\n").slice(-20);
  console.error(`\nthe end of ${error.log.replace(`${dirname(DEMO)}/`, "")}:\n${tail.map((line) => `  ${line}`).join("\n")}`);
}

const demo = new Demo();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    // Ctrl-C is how a finished demo ends; before that it is an interruption.
    demo.end(demo.ready ? 0 : 130);
  });
}
try {
  await demo.prepare();
  await demo.takeSteps();
  if (demo.ready && flags.has("--once")) await demo.end(0);
  if (demo.ready) console.log(nextCommands(demo.env));
} catch (error) {
  await demo.end(1, error);
}
