// Everything that runs, for one test file on one database: sandbox, origin, built wasm in workerd, receiver. Real
// programs with files and ports of their own; nothing between them but sockets.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Children, logged, until } from "../../scripts/lib/demo/children.mjs";
import { EDGE_MODULES, ROOT, writeConfig } from "../../scripts/lib/workerd.mjs";
import { ask } from "../lib/answers.mjs";
import { watch } from "../lib/hardened.mjs";
import { openDatabase } from "./databases.mjs";
import { Secrets } from "./leaks.mjs";
import { startReceiver } from "./receiver.mjs";
import { assertNoneRefused } from "./refusals.mjs";
import { CARD, openPage, pay, payPath, post, seal } from "./shopper.mjs";
import { startTerminator } from "./terminator.mjs";

export { until };
export const BINARIES = process.env.SCANVAULT_BINARIES ?? join(ROOT, "target/debug");
export const SCANVAULT = join(BINARIES, "scanvault");
export const SANDBOX = join(BINARIES, "sandbox");
export const UNREACHABLE = "The origin did not answer; the outcome is unknown, retry with the same key";
export const CUSTODIANS = ["alice", "bob", "carol"];
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

/** Starts everything but a vault and accounts. With `opened`, the vault is made and opened too. With `acquirerTls`
 * ("h2" or "http/1.1") the acquirer is reached over TLS by that protocol. With `limits: "off"` nobody is answered 429.
 * `provokes` are the screen's rules that its tests break on purpose: no other refuses anything there. */
export async function startWorld(kind, { opened = true, acquirerTls, limits = "on", provokes = [] } = {}) {
  const world = new World(kind);
  Object.assign(world, { acquirerTls, limits, provokes });
  try {
    await world.start();
    if (opened) {
      await world.init();
      await world.unseal();
    }
    return world;
  } catch (error) {
    await world.close();
    throw error;
  }
}

export class World {
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
    watch(`http://127.0.0.1:${port}`);
    const ready = async () => (await ask(`http://127.0.0.1:${port}`, "/pluto/public/monitor")).status === 200;
    return this.children.start(name, command, { ready });
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
    assert.equal((await ask(this.edge, payPath("0000000000"))).status, 404);
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

  status() {
    return this.cli("vault", "status");
  }

  identity(name) {
    return this.at("custodians", `${name}.identity`);
  }
  shareFile(name) {
    return this.at("shares", `${name}.share`);
  }

  /** Three custodians, each with an age key of their own; two of them open it. */
  async init() {
    mkdirSync(this.at("custodians"), { recursive: true });
    const custodians = [];
    for (const name of CUSTODIANS) {
      const { recipient } = await this.cli("vault", "share", "keygen", "--out", this.identity(name));
      custodians.push("--custodian", `${name}=${recipient}`);
      this.secrets.addIdentity(`identity of ${name}`, readFileSync(this.identity(name), "utf8"));
    }
    const made = await this.cli("vault", "init", "--threshold", "2", ...custodians, "--out", this.at("shares"));
    for (const name of CUSTODIANS) {
      const args = ["vault", "share", "show", "--identity", this.identity(name), `${this.shareFile(name)}.age`];
      const { code, stdout, stderr } = await this.scanvault(args);
      assert.equal(code, 0, stderr);
      this.secrets.addShare(`share of ${name}`, stdout.trim());
      writeFileSync(this.shareFile(name), stdout, { mode: 0o600 });
    }
    return made;
  }

  async unseal(names = CUSTODIANS.slice(0, 2)) {
    let last;
    for (const name of names) last = await this.cli("vault", "unseal", "--share-file", this.shareFile(name));
    assert.equal(last.sealed, false);
    // Whoever was not needed shows their share too: no card is taken before all have.
    for (const name of CUSTODIANS.filter((name) => !names.includes(name))) {
      if (!last.takesCards) last = await this.cli("vault", "prove", "--share-file", this.shareFile(name));
    }
    assert.equal(last.takesCards, true);
  }

  /** An account with acquirer credentials and a webhook, unless told otherwise. */
  async merchant(user, { webhook = true, acquirer = true, args = [] } = {}) {
    const options = [
      ...(webhook ? ["--webhook-url", this.receiver.url(user)] : []),
      ...(acquirer ? this.acquirerOptions() : []),
      ...args,
    ];
    const made = await this.cli("account", "create", user, ...options);
    this.secrets.add(`password of ${user}`, made.password);
    if (made.webhookSecret) this.secrets.add(`webhook secret of ${user}`, made.webhookSecret);
    this.merchants[user] = { user, password: made.password, webhookSecret: made.webhookSecret };
    return this.merchants[user];
  }

  acquirerOptions() {
    return [
      "--clearhaus-api-key-file", this.at("credentials/api-key.txt"),
      "--clearhaus-signing-key-id", readFileSync(this.at("credentials/signing-key-id.txt"), "utf8").trim(),
      "--clearhaus-signing-key-file", this.at("credentials/signing-key.pem"),
    ];
  }

  // --- Merchants, shoppers, the acquirer ---------------------------------------------------------------------------

  /** A merchant's call through the edge. A body is JSON text. */
  call(merchant, path, body, headers = {}) {
    const authorization = `Basic ${Buffer.from(`${merchant.user}:${merchant.password}`).toString("base64")}`;
    if (body === undefined) return ask(this.edge, path, { headers: { authorization, ...headers } });
    const typed = { authorization, "content-type": "application/json", ...headers };
    return ask(this.edge, path, { method: "POST", headers: typed, body });
  }

  create(merchant, body) {
    return this.call(merchant, "/pluto/code/create", typeof body === "string" ? body : JSON.stringify(body));
  }

  #references = 0;
  /** A new code; `amount` is JSON text. */
  async code(merchant, amount = "10.00", more = {}) {
    const reference = `ref-${(this.#references += 1)}`;
    const text = JSON.stringify({ merchantReference: reference, ...more }).replace(/\}$/, `,"amount":${amount}}`);
    const answer = await this.create(merchant, text);
    assert.equal(answer.status, 200, answer.body.toString());
    return { ...JSON.parse(answer.body), reference, text };
  }

  async query(merchant, code) {
    return json(await this.call(merchant, `/pluto/code/${code}`));
  }
  async transaction(merchant, id) {
    return json(await this.call(merchant, `/pluto/code/transaction/state/${id}`));
  }

  page(code, path) {
    return openPage(this.edge, code, path);
  }
  seal(page, card = CARD, changes) {
    this.secrets.addCard(card);
    return seal(page, card, changes);
  }
  post(code, sealed) {
    return post(this.edge, code, sealed);
  }
  pay(code, card = CARD, changes) {
    this.secrets.addCard(card);
    return pay(this.edge, code, card, changes);
  }

  async book() {
    return (await fetch(`${this.sandbox}/_book`)).json();
  }
  /** What the acquirer booked for a transaction of ours: `kind amount`, in order. */
  async booked(transactionId) {
    const own = (await this.book()).filter(({ reference }) => reference === `sv-${transactionId}`);
    return own.filter(({ booked }) => booked).map(({ kind, amount, currency }) => `${kind} ${amount} ${currency}`);
  }
  async fault(order) {
    const answer = await fetch(`${this.sandbox}/_faults`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
    });
    assert.equal(answer.status, 204, await answer.text());
  }

  /** `{name: value}` and `{name{labels}: value}` of the admin side. */
  async metrics() {
    const { code, stdout, stderr } = await this.scanvault(["metrics"]);
    assert.equal(code, 0, stderr);
    const lines = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]));
  }

  /** Nothing that was ever secret stands in a log or in the database. Call it last. */
  assertNothingLeaked() {
    const logs = readdirSync(this.at("logs"));
    for (const name of ["origin", "edge", "sandbox"]) assert.ok(this.log(name).length > 0, `${name} wrote no log`);
    const places = [
      ...logs.map((file) => [file, readFileSync(this.at("logs", file))]),
      ["the acquirer's book", readFileSync(this.at("sandbox/book.jsonl"))],
      ["the database", this.database.bytes()],
    ];
    for (const name of Object.keys(this.merchants)) assert.ok(places.at(-1)[1].includes(name), "the whole database is read");
    for (const [place, bytes] of places) assert.deepEqual(this.secrets.foundIn(bytes), [], place);
  }

  async close() {
    await this.children.endAll();
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

function json(answer) {
  assert.equal(answer.status, 200, answer.body.toString());
  assert.equal(answer.headers["content-type"], "application/json");
  return JSON.parse(answer.body);
}

export async function made(running) {
  const { code, stderr, stdout } = await running;
  assert.equal(code, 0, stdout + stderr);
}

/** All are held open until all are known, so that no two are the same. */
export async function freePorts(...names) {
  const held = await Promise.all(
    names.map(() => new Promise((done) => {
      const server = createServer().listen(0, "127.0.0.1", () => done(server));
    })),
  );
  const ports = Object.fromEntries(held.map((server, at) => [names[at], server.address().port]));
  await Promise.all(held.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
