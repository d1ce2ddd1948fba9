// Two regions on one PostgreSQL, both open, behind one edge; merchants who sell through it; and a fail-over under their
// load. The database itself takes note of which region wrote what.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { EDGE_MODULES, writeConfig } from "../../scripts/lib/workerd.mjs";
import { ask } from "../lib/answers.mjs";
import { open } from "./ceremonies.mjs";
import { Gone, Shop, assertAcknowledged } from "./money.mjs";
import { MoneyWorld } from "./money-world.mjs";
import { UNREACHABLE, freePorts, until } from "./world.mjs";

const WITHIN_MS = 5_000;
const SORTS = ["clearhaus", "nets"];
/** Of each merchant, at work at the same time. */
const TILLS = 3;
const PROCESS = { a: "origin", b: "second" };
const OTHER = { a: "b", b: "a" };
/** What may be said while nobody serves: nothing was done, or nobody knows. */
const PROBLEMS = ["standby", "origin-unreachable", "internal", "bad-gateway"];
const WRITTEN = ["transactions", "acts", "changes", "outbox", "codes", "payment_requests", "idempotency_keys", "accounts"];

/** Each statement that writes leaves the name of its session. */
const TAKE_NOTE = [
  "CREATE TABLE written (n BIGINT GENERATED ALWAYS AS IDENTITY, session TEXT NOT NULL)",
  `CREATE FUNCTION take_note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO written (session) VALUES (current_setting('application_name')); RETURN NULL; END $$`,
  ...WRITTEN.map((table) => `CREATE TRIGGER take_note AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION take_note()`),
];

/** A dead origin refuses, one that stands by says so. One that is frozen says nothing, and an edge has to wait before it
 * doubts: there it is held to the deadlines of those who wait for it, see `failOver`. */
export function assertSoon(done) {
  if (done.how !== "frozen") assert.ok(done.firstMs <= WITHIN_MS, JSON.stringify(done));
}

export class RegionsWorld extends MoneyWorld {
  serving = "a";
  shops = [];
  answers = [];
  /** Each idempotency key: when it was first used, who answered it, and what. */
  keys = new Map();
  stopped = true;

  static async open(random) {
    const world = await RegionsWorld.start("postgres");
    try {
      await world.#begin(random);
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  async #begin(random) {
    this.a = this.stand.origin;
    await this.database.writeLater(TAKE_NOTE);
    assert.deepEqual(await this.region("a", "serve"), { epoch: 1, serves: true, serving: "a" });
    await this.startRegion("b");
    assert.deepEqual(await this.region("b", "show"), { epoch: 1, serves: false, serving: "a" });
    await this.#startEdge();
    for (const sort of SORTS) {
      const { name, account, card, url } = this.merchants[sort];
      // Nobody waits for an origin here: the edge answers, whatever it is.
      const origin = { running: false, ended: Promise.resolve() };
      const stand = { ground: this.ground, origin, ask: (request) => this.throughEdge(request) };
      const largest = this.ground.parties().find(({ party }) => party === sort).largest;
      this.shops.push({ name, shop: new Shop({ stand, account, currency: "DKK", party: url, card, largest, random, faulty: 0 }) });
    }
  }

  async #startEdge() {
    const { edge: port } = await freePorts("edge");
    this.edge = `http://127.0.0.1:${port}`;
    const { id, secret } = this.ground.linkKey;
    const bindings = {
      ORIGINS: `a=${this.stand.url("origin")} b=${this.stand.url("second")}`,
      LINK_KEY_ID: id,
      LINK_SECRET: secret.toString("base64"),
      PUBLIC_URL: this.edge,
      ALLOW_PLAIN_HTTP: "loopback",
      CLIENT_ADDRESS: "none",
      RATE_LIMITS: "off",
    };
    const worker = { name: "edge", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${port}` };
    const command = writeConfig({ dir: this.ground.at("edge"), workers: [worker], trust: this.ground.at("ca/ca.pem") });
    const ready = async () => (await ask(this.edge, "/pluto/public/monitor")).status === 200;
    await this.ground.children.start("edge", command, { ready });
  }

  /** Starts a region's origin and opens it. */
  async startRegion(region) {
    const process = PROCESS[region];
    this[region] = await this.stand.start({ process, env: { SCANVAULT_REGION: region } });
    await open(this.stand, { process });
  }

  /** `scanvault region …` at a region. */
  async region(region, ...args) {
    const { epoch, serves, serving } = await this.stand.cli(["region", ...args], { process: PROCESS[region] });
    return { epoch, serves, serving };
  }

  // --- Business ----------------------------------------------------------------------------------------------------

  /** What the edge answers. Without an answer that says something, it is as if nobody had answered. */
  async throughEdge({ method = "GET", path, query = "", body = "", extra = {} }) {
    const began = performance.now();
    const key = extra["idempotency-key"];
    if (key && !this.keys.has(key)) this.keys.set(key, { first: began, regions: new Set() });
    const target = query === "" ? path : `${path}?${query}`;
    const answer = await ask(this.edge, target, { method, headers: extra, ...(body !== "" && { body }) });
    const isGivenUp = answer.status === 503 && answer.body.includes(UNREACHABLE);
    this.answers.push({ began, ended: performance.now(), method, path, key, status: answer.status, isGivenUp, region: answer.headers["scanvault-region"] });
    if (key && answer.status < 500 && answer.status !== 202) this.#assertRepeated(this.keys.get(key), answer);
    if (answer.status < 500) return answer;
    const isLine = path.startsWith("/v1/");
    if (!isLine) assert.ok(PROBLEMS.includes(JSON.parse(answer.body).code), `${method} ${path}: ${answer.body}`);
    throw new Gone(`${answer.status} ${answer.body}`);
  }

  /** A key has one answer, whoever gives it. */
  #assertRepeated(known, { status, headers, body }) {
    known.regions.add(headers["scanvault-region"]);
    if (status !== 200) return;
    known.body ??= body;
    assert.equal(body, known.body, "a repetition has another answer");
  }

  /** Merchants sell until `rest`. */
  work() {
    this.stopped = false;
    this.tills = this.shops.flatMap(({ shop }) => Array.from({ length: TILLS }, () => this.#till(shop)));
  }

  async #till(shop) {
    while (!this.stopped) {
      try {
        await shop.something();
      } catch (error) {
        if (!(error instanceof Gone)) throw error;
        await pause(20);
      }
    }
  }

  async closeTills() {
    this.stopped = true;
    await Promise.all(this.tills ?? []);
  }

  /** So many more have been answered well. */
  async answered(count) {
    const good = () => this.answers.filter(({ status }) => status < 500).length;
    const before = good();
    await this.whileAtWork("business goes on", () => good() >= before + count);
  }

  /** So many more were not answered well. */
  async unanswered(count) {
    const bad = () => this.answers.filter(({ status }) => status >= 500).length;
    const before = bad();
    await this.whileAtWork("business stands still", () => bad() >= before + count);
  }

  /** A till that fails ends the wait with its error. */
  whileAtWork(what, probe) {
    return Promise.race([until(what, probe, { seconds: 60 }), Promise.all(this.tills)]);
  }

  // --- Fail-over ---------------------------------------------------------------------------------------------------

  /** The one that serves is `killed`, `frozen` or left `alive`; the other is told to serve. Answers how long it took from
   * there to the first call that was made and answered well, and what came of the old one. */
  async failOver(how) {
    const [from, to] = [this.serving, OTHER[this.serving]];
    await this.answered(20);
    if (how === "killed") await this.stand.stop("SIGKILL", PROCESS[from]);
    const gone = performance.now();
    if (how === "frozen") process.kill(this[from].pid, "SIGSTOP");
    // Nobody is answered any more. A frozen one keeps those waiting who were on their way to it.
    if (how === "killed") await this.unanswered(2);
    const told = performance.now();
    const { epoch, serves } = await this.region(to, "serve");
    const fenced = performance.now();
    assert.equal(serves, true);
    this.serving = to;
    const before = await this.writtenBy(from);
    const isFirst = ({ began, status, method, region }) => began >= told && method === "POST" && status === 200 && region === to;
    const isThere = () => this.answers.some(isFirst);
    const came = this.#newcomers(isThere);
    await this.whileAtWork("a first success", isThere);
    const [first] = this.answers.filter(isFirst).sort((one, other) => one.ended - other.ended);
    await this.answered(40);
    if (how === "frozen") {
      await this.#assertFoundWithoutDeadlines(first, gone);
      process.kill(this[from].pid, "SIGCONT");
    }
    await Promise.all(await came);
    await this.answered(40);
    if (how !== "killed") {
      await until("it knows", async () => (await this.region(from, "show")).serves === false);
      await this.answered(20);
    }
    assert.deepEqual(await this.writtenBy(from), before, `${from} wrote after ${to} was said to serve`);
    // Whatever began later and was answered well came from the other one. Before it knows, the old one may answer what it
    // only reads: a page; with 202 that it is not known yet what became of a call; and the answer that is kept under the key
    // of a call that was asked before, or of the other one meanwhile.
    const isKept = ({ first, regions }) => first < fenced || regions.has(to);
    const isRead = ({ method, status, key }) => method === "GET" || status === 202 || (key !== undefined && isKept(this.keys.get(key)));
    const late = this.answers.filter((answer) => answer.began >= fenced && answer.status < 500 && answer.region === from && !isRead(answer));
    assert.deepEqual(late, [], `${from} answered after it was fenced`);
    if (how === "killed") await this.startRegion(from);
    return { how, from, to, epoch, fencedMs: Math.round(fenced - told), firstMs: Math.round(first.ended - told) };
  }

  /** Others who come to the shops one after another, since all who are there may wait for the old one: a frozen one says
   * nothing, and one that lives looks for seconds for what becomes of a call that it can no longer bring to its end. */
  async #newcomers(isEnough) {
    const all = [];
    for (let n = 0; !isEnough() && !this.stopped; n += 1) {
      const { shop } = this.shops[n % this.shops.length];
      all.push(shop.something().catch((error) => assert.ok(error instanceof Gone, error)));
      await pause(100);
    }
    return all;
  }

  /** The first success came while those who had asked the frozen one still waited for it. */
  async #assertFoundWithoutDeadlines(first, gone) {
    const givenUp = () => this.answers.filter(({ ended, isGivenUp }) => ended > gone && isGivenUp);
    await this.whileAtWork("somebody had asked the frozen one", () => givenUp().length > 0);
    assert.ok(givenUp().every(({ ended }) => ended > first.ended), JSON.stringify({ first, givenUp: givenUp() }));
  }

  /** How many statements a region has written, of those that are committed. */
  async writtenBy(region) {
    const [{ n }] = await this.database.rowsLater(`SELECT count(*) AS n FROM written WHERE session = 'scanvault region ${region}'`);
    return Number(n);
  }

  // --- The end -----------------------------------------------------------------------------------------------------

  /** Every call has its answer, what is left is settled, and all books say the same. How much there was. */
  async assertNothingWrong() {
    await this.closeTills();
    if (this.serving !== "a") {
      await this.region("a", "serve");
      this.serving = "a";
    }
    await this.rest();
    for (const { shop } of this.shops) {
      for (const key of [...shop.open.keys()]) await this.#lastAnswer(shop, key);
    }
    await this.rest();
    const rows = await this.transactions(0);
    for (const { name, shop } of this.shops) {
      assertAcknowledged(shop, rows.filter(({ account }) => account === name));
    }
    await this.assertAll();
    return { transactions: rows.length, acknowledged: this.shops.reduce((all, { shop }) => all + shop.acknowledged.size, 0), answers: this.answers.length };
  }

  async #lastAnswer(shop, key) {
    await until(`${shop.open.get(key)?.path} has its final answer`, async () => {
      if (shop.open.has(key)) await shop.askAgain(key);
      return !shop.open.has(key);
    }, { seconds: 40 });
  }

  async close() {
    this.stopped = true;
    for (const region of ["a", "b"]) {
      if (this[region]?.running) process.kill(this[region].pid, "SIGCONT");
    }
    await super.close();
  }
}
