// Everything that runs, for one test file on one database: sandbox, origin, built wasm in workerd, receiver. Real
// programs with files and ports of their own; nothing between them but sockets.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { until } from "../../scripts/lib/demo/children.mjs";
import { ask } from "../lib/answers.mjs";
import { CARD, openPage, pay, post, seal } from "./shopper.mjs";
import { Processes } from "./world-processes.mjs";

export { until };
export { BINARIES, READY, SANDBOX, SCANVAULT, freePorts, made, run } from "./world-processes.mjs";
export const UNREACHABLE = "The origin did not answer; the outcome is unknown, retry with the same key";
export const CUSTODIANS = ["alice", "bob", "carol"];

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

export class World extends Processes {
  // --- The vault ---------------------------------------------------------------------------------------------------

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
}

function json(answer) {
  assert.equal(answer.status, 200, answer.body.toString());
  assert.equal(answer.headers["content-type"], "application/json");
  return JSON.parse(answer.body);
}
