// The programs of a world: started, reached, ended. Each has files and ports of its own.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Children, logged } from "../../scripts/lib/demo/children.mjs";
import { freePort } from "../../scripts/lib/ports.mjs";
import { EDGE_MODULES, ROOT, writeConfig } from "../../scripts/lib/workerd.mjs";
import { ask } from "../lib/answers.mjs";
import { unwatch, watch } from "../lib/hardened.mjs";
import { openDatabase } from "./databases.mjs";
import { Secrets } from "./leaks.mjs";
import { startReceiver } from "./receiver.mjs";
import { assertNoneRefused } from "./refusals.mjs";
import { payPath } from "./shopper.mjs";
import { startTerminator } from "./terminator.mjs";

export const BINARIES = process.env.SCANVAULT_BINARIES ?? join(ROOT, "target/debug");
export const SCANVAULT = join(BINARIES, "scanvault");
export const SANDBOX = join(BINARIES, "sandbox");
export const READY = (child) => logged(child, "listening");

/** Runs a program to its end, however it ends. */
export function run(program, args, { env = {}, input = "", seconds = 30 } = {}) {
  return new Promise((resolve) => {
    const options = { env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env }, timeout: seconds * 1000, encoding: "utf8" };
    const child = execFile(program, args, options, (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr }));
    child.stdin.on("error", () => {}); // it may end without reading
    child.stdin.end(input);
  });
}

/** The programs of a world, their files and ports. */
export class Processes {
  dir = mkdtempSync(join(tmpdir(), "scanvault-e2e-"));
  secrets = new Secrets();
  merchants = {};
  limits = "on";
  provokes = [];
  originSettings = {};
  edgeSettings = {};
  /** {cert, key}: files of the certificate that edges show to the origin. */
  edgeClient = undefined;
  #id = randomBytes(12).toString("hex");
  #ports = {};
  #watched = [];

  constructor(kind) {
    this.database = openDatabase(kind, this.dir);
    this.children = new Children(this.#id, this.at("logs"));
    this.children.onUnexpectedEnd = (error) => (this.died = error);
    process.on("exit", () => this.children.pids().forEach(killGroup));
  }

  at(...parts) {
    return join(this.dir, ...parts);
  }
  get edge() {
    return `http://127.0.0.1:${this.#ports.edge}`;
  }
  get origin() {
    return `https://localhost:${this.#ports.origin}`;
  }
  get sandbox() {
    return `http://127.0.0.1:${this.#ports.sandbox}`;
  }
  get socket() {
    return this.at("admin.sock");
  }
  get ca() {
    return readFileSync(this.at("ca/ca.pem"));
  }
  log(name) {
    return readFileSync(this.children.logFile(name), "utf8");
  }
  logLines(name) {
    return this.log(name).split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  async start() {
    this.#ports = await freePorts("sandbox", "origin", "edge");
    this.receiver = await startReceiver();
    await made(run(SANDBOX, ["dev-ca", "--dir", this.at("ca")]));
    await made(run(SANDBOX, ["clearhaus-credentials", "--dir", this.at("credentials")]));
    this.linkKeys = ["e2e-1", "e2e-2"].map((id) => ({ id, region: "a", secret: randomBytes(32) }));
    const lines = this.linkKeys.map(({ id, secret }) => `${id} ${secret.toString("base64")}\n`);
    writeFileSync(this.at("link-keys"), `# two live keys\n${lines.join("")}`, { mode: 0o600 });
    for (const { id, secret } of this.linkKeys) this.secrets.add(`link secret ${id}`, secret.toString("base64"), secret);
    this.secrets.add("api key", readFileSync(this.at("credentials/api-key.txt"), "utf8").trim());
    this.secrets.addPem("signing key", readFileSync(this.at("credentials/signing-key.pem"), "utf8"));
    if (this.acquirerTls) {
      const [cert, key] = ["server.pem", "server.key"].map((name) => readFileSync(this.at("ca", name)));
      this.terminator = await startTerminator({ cert, key, protocol: this.acquirerTls, to: this.#ports.sandbox });
    }
    await Promise.all([this.startSandbox(), this.startOrigin(), this.startEdge()]);
  }

  startSandbox() {
    const listen = `127.0.0.1:${this.#ports.sandbox}`;
    const folders = ["--state-dir", this.at("sandbox"), "--credentials", this.at("credentials")];
    return this.children.start("sandbox", [SANDBOX, "serve", "--listen", listen, ...folders], { ready: READY });
  }

  /** The settings of `serve`, for this world. */
  originEnvironment() {
    return {
      SCANVAULT_MODE: "development",
      DATABASE_URL: this.database.url,
      SCANVAULT_LISTEN: `127.0.0.1:${this.#ports.origin}`,
      SCANVAULT_TLS_CERT: this.at("ca/server.pem"),
      SCANVAULT_TLS_KEY: this.at("ca/server.key"),
      SCANVAULT_ADMIN_SOCKET: this.socket,
      SCANVAULT_LINK_KEYS: this.at("link-keys"),
      SCANVAULT_REGION: "a",
      SCANVAULT_PUBLIC_URL: this.edge,
      SCANVAULT_CLEARHAUS_URL: this.terminator?.url ?? this.sandbox,
      SCANVAULT_EXTRA_CA: this.at("ca/ca.pem"),
      SCANVAULT_ALLOW_LOCAL_CALLBACKS: "true",
      SCANVAULT_RATE_LIMITS: this.limits,
      SCANVAULT_LOG: "trace", // the leak scan looks at everything that could ever be logged
      ...this.originSettings,
    };
  }

  /** `under`: a program that starts it with other limits, and its arguments. */
  async startOrigin(under = []) {
    this.originProcess = await this.children.start("origin", [...under, SCANVAULT, "serve"], { env: this.originEnvironment(), ready: READY });
  }

  /** Another process on the same database: its address, its admin socket and its own CLI. */
  async startSecondOrigin() {
    const { second: port } = await freePorts("second");
    const socket = this.at("admin-2.sock");
    const env = { ...this.originEnvironment(), SCANVAULT_LISTEN: `127.0.0.1:${port}`, SCANVAULT_ADMIN_SOCKET: socket };
    await this.children.start("origin-2", [SCANVAULT, "serve"], { env, ready: READY });
    const admin = { env: { ADMIN_URL: `unix://${socket}` } };
    return { url: `https://localhost:${port}`, scanvault: (args) => this.scanvault(args, admin) };
  }

  startEdge() {
    return this.#startEdge("edge", this.#ports.edge);
  }

  /** So many more, each a process of its own: their addresses. */
  async startMoreEdges(count) {
    const names = Array.from({ length: count }, (_, at) => `edge-${at + 2}`);
    const ports = await freePorts(...names);
    await Promise.all(names.map((name) => this.#startEdge(name, ports[name])));
    return names.map((name) => `http://127.0.0.1:${ports[name]}`);
  }

  #startEdge(name, port) {
    const [key] = this.linkKeys;
    const bindings = {
      ORIGINS: `${key.region}=${this.origin}`,
      LINK_KEY_ID: key.id,
      LINK_SECRET: key.secret.toString("base64"),
      PUBLIC_URL: this.edge,
      ALLOW_PLAIN_HTTP: "loopback",
      CLIENT_ADDRESS: "none",
      RATE_LIMITS: this.limits,
      LOG: "all", // the leak scan looks at it, too
      ...this.edgeSettings,
    };
    const worker = { name: "edge", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${port}` };
    const command = writeConfig({ dir: this.at(name), workers: [worker], trust: this.at("ca/ca.pem"), client: this.edgeClient });
    this.watch(`http://127.0.0.1:${port}`);
    const ready = async () => (await ask(`http://127.0.0.1:${port}`, "/pluto/public/monitor")).status === 200;
    return this.children.start(name, command, { ready });
  }

  /** Holds each answer of an edge to its headers, for as long as this world runs. */
  watch(url) {
    this.#watched.push(watch(url));
  }

  /** As a crash does, or as an operator does; answers how it ended. */
  async stopOrigin(signal = "SIGTERM") {
    const child = this.originProcess;
    await this.children.end("origin", signal);
    return child.how;
  }

  /** SIGTERM, and all the time that it takes. */
  async endOrigin() {
    const child = this.originProcess;
    child.ending = true;
    process.kill(child.pid, "SIGTERM");
    await child.ended;
    return child.how;
  }

  /** After SIGKILL. */
  async restartAfterCrash() {
    await this.startOrigin();
    // The edge's connections died with the old process, without a word: a read finds its way past all of them.
    // On a busy machine a try may take too long to be repeated, and is answered 503.
    for (let asked = 1; ; asked += 1) {
      const { status } = await ask(this.edge, payPath("0000000000"));
      if (status === 404) return;
      assert.ok(status === 503 && asked < 20, `${status} at the ${asked}th time`);
    }
  }

  // --- The CLI -----------------------------------------------------------------------------------------------------

  /** Any command against this origin: exit code and both outputs. */
  scanvault(args, { env = { ADMIN_URL: `unix://${this.socket}` }, input } = {}) {
    return run(SCANVAULT, args, { env, input });
  }

  /** A command that must work; its one JSON object. */
  async cli(...args) {
    const { code, stdout, stderr } = await this.scanvault([...args, "--json"]);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    assert.equal(stdout.trim().split("\n").length, 1, "exactly one line");
    return JSON.parse(stdout);
  }

  async close() {
    await this.children.endAll();
    this.#watched.forEach(unwatch);
    const lines = this.#edgeLines();
    await this.receiver?.close();
    this.terminator?.close();
    this.database.close();
    if (process.env.SCANVAULT_KEEP) console.error(`kept: ${this.dir}`);
    else rmSync(this.dir, { recursive: true, force: true });
    if (this.died) throw this.died;
    assertNoneRefused(lines, this.provokes);
  }

  #edgeLines() {
    const logs = readdirSync(this.at("logs")).filter((file) => /^edge(-\w+)?\.log$/.test(file));
    return logs.flatMap((file) => this.logLines(file.slice(0, -".log".length)));
  }

  /** For a test that lets another user at the socket. */
  openSocketToAll() {
    chmodSync(this.dir, 0o711);
    chmodSync(this.socket, 0o666);
  }
}

// A test run that is stopped leaves nothing running: only an orderly exit calls the handlers above.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

function killGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

export async function made(running) {
  const { code, stderr, stdout } = await running;
  assert.equal(code, 0, stdout + stderr);
}

/** A port for each name. */
export async function freePorts(...names) {
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await freePort()])));
}
