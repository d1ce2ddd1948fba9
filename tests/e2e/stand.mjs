// Origins that are killed and started again, on databases that are copies of a prepared one. No edge: requests are signed
// as an edge does. One acquirer, one receiver and one set of custodians serve all stands of a ground.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../docs/internal-client.mjs";
import { Children } from "../../scripts/lib/demo/children.mjs";
import { freePort } from "../../scripts/lib/ports.mjs";
import { openDatabase } from "./databases.mjs";
import { send, sign } from "./link.mjs";
import { startReceiver, whyNotGenuine } from "./receiver.mjs";
import { CARD, pageData, payPath, seal } from "./shopper.mjs";
import { READY, SANDBOX, SCANVAULT, made, run, until } from "./world.mjs";

/** The first set is dealt to the first three. */
export const PEOPLE = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"];
export const FIRST_SET = { threshold: 2, custodians: PEOPLE.slice(0, 3) };
export const MERCHANT = "merchant-25";
/** Another system of the operator's: it keeps cards by the internal API. */
export const INTERNAL = "billing";

const NETS_CARD = { pan: "4571123412341234", csc: "123" };
const NETS_MERCHANT = {
  merchantId: "000000003000001", terminalId: "SV000001", category: "5999", name: "Corner Shop",
  street: "Main Street 1", city: "Ballerup", postcode: "2750", country: "DNK",
};

/** A number that is nobody's: its check digit is wrong, which the test gateway takes. */
export function nobodysCard(fifteen) {
  const sum = [...fifteen].reverse().reduce((sum, digit, at) => {
    const counted = Number(digit) * (at % 2 === 0 ? 2 : 1);
    return sum + (counted > 9 ? counted - 9 : counted);
  }, 0);
  return { ...CARD, pan: `${fifteen}${(11 - (sum % 10)) % 10}` };
}

/** The origin did not answer: it is dead, or dying. */
export class Unreachable extends Error {
  constructor(command) {
    super(`unreachable: ${command.join(" ")}`);
    this.command = command;
  }
}

/** The origin answered no; its words. */
export class Refused extends Error {}

/** What all stands share. */
export class Ground {
  dir = mkdtempSync(join(tmpdir(), "scanvault-kills-"));
  #stands = 0;

  static async start() {
    const ground = new Ground();
    try {
      await ground.#start();
      return ground;
    } catch (error) {
      await ground.close();
      throw error;
    }
  }

  at(...parts) {
    return join(this.dir, ...parts);
  }

  async #start() {
    this.children = new Children(randomBytes(12).toString("hex"), this.at("logs"));
    process.on("exit", () => this.children.pids().forEach(killGroup));
    this.receiver = await startReceiver();
    await made(run(SANDBOX, ["dev-ca", "--dir", this.at("ca"), "--client", "second"]));
    await made(run(SANDBOX, ["clearhaus-credentials", "--dir", this.at("credentials")]));
    this.ca = readFileSync(this.at("ca/ca.pem"));
    this.linkKey = { id: "kills", region: "a", secret: randomBytes(32) };
    this.internalKey = { id: "internal", secret: randomBytes(32) };
    const lines = [[this.linkKey, ""], [this.internalKey, ` ${INTERNAL}`]].map(([{ id, secret }, account]) => `${id} ${secret.toString("base64")}${account}\n`);
    writeFileSync(this.at("link-keys"), lines.join(""), { mode: 0o600 });
    const { stdout } = await run(SCANVAULT, ["operator", "fingerprint", "--cert", this.at("ca/second.pem"), "--json"]);
    const operators = [`first operator,auditor uid:${process.getuid()}`, `second operator ${JSON.parse(stdout).identity}`];
    writeFileSync(this.at("operators"), `${operators.join("\n")}\n`, { mode: 0o600 });
    const listen = `127.0.0.1:${await freePort()}`;
    this.acquirer = `http://${listen}`;
    const folders = ["--state-dir", this.at("sandbox"), "--credentials", this.at("credentials")];
    this.nets = { address: `127.0.0.1:${await freePort()}`, admin: `127.0.0.1:${await freePort()}` };
    const nets = ["--nets", this.nets.address, "--nets-admin", this.nets.admin];
    const [bank, wallet] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
    Object.assign(this, { bank: `http://${bank}`, wallet: `http://${wallet}` });
    const others = ["--threedsecure", bank, "--mobilepay", wallet, "--mobilepay-ca", this.at("ca/ca.pem"), "--no-rate-limits"];
    await this.children.start("sandbox", [SANDBOX, "serve", "--listen", listen, ...nets, ...others, ...folders], { ready: READY });
    writeFileSync(this.at("credentials/nets.json"), JSON.stringify(NETS_MERCHANT));
    mkdirSync(this.at("people"));
    this.people = {};
    for (const name of PEOPLE) {
      const identity = this.at("people", name);
      const answer = await run(SCANVAULT, ["vault", "share", "keygen", "--out", identity, "--json"]);
      this.people[name] = { identity, recipient: JSON.parse(answer.stdout).recipient };
    }
  }

  /** On an empty database, or on a copy of that of a stand whose origin has ended; what that one knows is known here.
   * `env` is the origin's beside the usual. */
  stand(kind, template, env = {}) {
    this.#stands += 1;
    return new Stand(this, kind, `stand-${this.#stands}`, template, env);
  }

  /** Who moves money here: a name, where its book and its faults are, and a card that it takes. */
  parties() {
    return [
      { party: "clearhaus", url: this.acquirer, card: CARD },
      { party: "nets", url: `http://${this.nets.admin}`, card: { ...CARD, ...NETS_CARD }, largest: 9_000 },
    ];
  }

  /** Whether a lost answer of a party can only be settled by its report. */
  documentsNoLookUp(party) {
    return party === "clearhaus";
  }

  async close() {
    await this.children?.endAll();
    await this.receiver?.close();
    if (process.env.SCANVAULT_KEEP) console.error(`kept: ${this.dir}`);
    else rmSync(this.dir, { recursive: true, force: true });
  }
}

export class Stand {
  /** Every set that was ever dealt, by generation: threshold, and the shares' files by custodian. */
  sets = {};
  merchant = undefined;
  #ports = {};

  constructor(ground, kind, name, template, env) {
    Object.assign(this, { ground, kind, name, env, dir: ground.at(name) });
    mkdirSync(this.dir);
    this.database = openDatabase(kind, this.dir, template?.database);
    if (template) {
      this.sets = structuredClone(template.sets);
      this.merchant = template.merchant;
    }
  }

  at(...parts) {
    return join(this.dir, ...parts);
  }
  log(process = "origin") {
    return readFileSync(this.ground.children.logFile(`${this.name}-${process}`), "utf8");
  }

  /** `fault` as in SCANVAULT_FAULT; `process` is `origin`, or the second one on the same database; `env` is its own. */
  async start({ fault = "", process: name = "origin", env: own = {} } = {}) {
    const ports = (this.#ports[name] ??= { public: await freePort(), admin: await freePort(), callbacks: await freePort() });
    const env = {
      SCANVAULT_FAULT: fault,
      SCANVAULT_MODE: "development",
      DATABASE_URL: this.database.url,
      SCANVAULT_LISTEN: `127.0.0.1:${ports.public}`,
      SCANVAULT_TLS_CERT: this.ground.at("ca/server.pem"),
      SCANVAULT_TLS_KEY: this.ground.at("ca/server.key"),
      SCANVAULT_ADMIN_SOCKET: this.at(`${name}.sock`),
      SCANVAULT_ADMIN_LISTEN: `127.0.0.1:${ports.admin}`,
      SCANVAULT_ADMIN_CLIENT_CA: this.ground.at("ca/ca.pem"),
      SCANVAULT_OPERATORS: this.ground.at("operators"),
      SCANVAULT_LINK_KEYS: this.ground.at("link-keys"),
      SCANVAULT_PUBLIC_URL: "http://127.0.0.1:1",
      SCANVAULT_CLEARHAUS_URL: this.ground.acquirer,
      SCANVAULT_EXTRA_CA: this.ground.at("ca/ca.pem"),
      SCANVAULT_ALLOW_LOCAL_CALLBACKS: "true",
      SCANVAULT_NETS_ADDRESS: this.ground.nets.address,
      SCANVAULT_NETS_PLAIN: "true",
      SCANVAULT_3DSECURE_URL: this.ground.bank,
      SCANVAULT_MOBILEPAY_URL: this.ground.wallet,
      SCANVAULT_CALLBACK_LISTEN: `127.0.0.1:${ports.callbacks}`,
      SCANVAULT_CALLBACK_URL: `https://localhost:${ports.callbacks}`,
      ...this.env,
      ...own,
    };
    const child = await this.ground.children.start(`${this.name}-${name}`, [SCANVAULT, "serve"], { env, ready: READY });
    child.ending = true; // it is here to die
    if (name === "origin") this.origin = child;
    return child;
  }

  async stop(signal = "SIGTERM", name = "origin") {
    await this.ground.children.end(`${this.name}-${name}`, signal);
  }

  url(name = "origin") {
    return `https://localhost:${this.#ports[name].public}`;
  }

  // --- The CLI -----------------------------------------------------------------------------------------------------

  scanvault(args, { process: name = "origin", operator = "first", seconds } = {}) {
    const tls = () => ({
      ADMIN_URL: `https://localhost:${this.#ports[name].admin}`,
      ADMIN_CERT: this.ground.at("ca/second.pem"),
      ADMIN_KEY: this.ground.at("ca/second.key"),
      ADMIN_CA: this.ground.at("ca/ca.pem"),
    });
    const env = operator === "second" ? tls() : { ADMIN_URL: `unix://${this.at(`${name}.sock`)}` };
    this.doing = args.filter((word) => /^[a-z]+$/.test(word)).join(" ");
    return run(SCANVAULT, args, { env, seconds });
  }

  /** A command that works, or finds nobody; its JSON object. */
  async cli(args, options) {
    const { code, stdout, stderr } = await this.scanvault([...args, "--json"], options);
    if (code === 3) throw new Unreachable(args);
    if (code === 1) throw new Refused(`${args.join(" ")}: ${stderr.trim()}`);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** What it says when it refuses. */
  async refused(args, options) {
    const { code, stderr } = await this.scanvault(args, options);
    if (code === 3) throw new Unreachable(args);
    assert.equal(code, 1, `${args.join(" ")} was not refused: ${stderr}`);
    return stderr.trim();
  }

  status(options) {
    return this.cli(["vault", "status"], options);
  }

  custodians(names) {
    return names.flatMap((name) => ["--custodian", `${name}=${this.ground.people[name].recipient}`]);
  }

  /** Fetches the set in effect, or that of the re-share under way, and opens each share as its custodian does. */
  async learn({ generation, threshold, reshare = false }) {
    if (this.sets[generation]) return this.sets[generation];
    const folder = mkdtempSync(this.at("fetched-"));
    const answer = await this.cli(["vault", "share", "fetch", "--out", folder, ...(reshare ? ["--reshare"] : [])]);
    const open = async ({ custodian, file }) => {
      const args = ["vault", "share", "show", "--identity", this.ground.people[custodian].identity, file];
      const { code, stdout, stderr } = await run(SCANVAULT, args);
      assert.equal(code, 0, stderr);
      const text = join(folder, `${custodian}.share`);
      writeFileSync(text, stdout, { mode: 0o600 });
      return [custodian, text];
    };
    const shares = Object.fromEntries(await Promise.all(answer.shares.map(open)));
    return (this.sets[generation] = { generation, threshold, shares });
  }

  // --- Merchants and shoppers --------------------------------------------------------------------------------------

  /** With a webhook and acquirer credentials: both are records of the vault. */
  async addMerchant() {
    this.merchant = await this.addMerchantAt(MERCHANT, { party: "clearhaus" }, "ZAR");
    await this.cli(["account", "create", INTERNAL, "--role", "INTERNAL"]);
  }

  /** A merchant whose payments go to a party; what the CLI says of them. */
  async addMerchantAt(name, { party }, currency = "DKK") {
    const account = ["account", "create", name, "--currency", currency, "--webhook-url", this.ground.receiver.url(name)];
    if (party === "clearhaus") return this.cli([...account, ...this.#clearhaus()]);
    const made = await this.cli(account);
    await this.cli(["account", "credentials", name, party, this.ground.at("credentials", `${party}.json`)]);
    return made;
  }

  #clearhaus() {
    const file = (name) => this.ground.at("credentials", name);
    return [
      "--clearhaus-api-key-file", file("api-key.txt"),
      "--clearhaus-signing-key-id", readFileSync(file("signing-key-id.txt"), "utf8").trim(),
      "--clearhaus-signing-key-file", file("signing-key.pem"),
    ];
  }

  /** The documented client of the internal API, with a session of its own. */
  internal() {
    const { ca, internalKey: key } = this.ground;
    return connect({ url: this.url(), ca, region: "a", account: INTERNAL, key });
  }

  ask(request, { process: name = "origin" } = {}) {
    const url = this.url(name);
    return send(url, this.ground.ca, sign(url, { key: this.ground.linkKey, ...request }));
  }

  /** A code, its page, and a payment of it; answers what the shopper is answered, and the reference. */
  async pay(card = CARD, options = {}) {
    const reference = `ref-${randomBytes(8).toString("hex")}`;
    const authorization = `Basic ${Buffer.from(`${MERCHANT}:${this.merchant.password}`).toString("base64")}`;
    const typed = { "content-type": "application/json" };
    const body = JSON.stringify({ merchantReference: reference, amount: 12 });
    const made = await this.ask({ method: "POST", path: "/pluto/code/create", body, extra: { authorization, ...typed } }, options);
    assert.equal(made.status, 200, made.body.toString());
    const path = payPath(JSON.parse(made.body).code);
    const page = await this.ask({ path }, options);
    if (page.status !== 200) return { ...page, reference };
    const sealed = await seal({ data: pageData(page.body) }, card);
    return { ...(await this.ask({ method: "POST", path, body: JSON.stringify({ sealed }), extra: typed }, options)), reference };
  }

  /** It is paid, and the merchant is told so under their own secret. */
  async assertPays(card = CARD, options = {}) {
    const answer = await this.pay(card, options);
    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal(JSON.parse(answer.body).state, "paid");
    const told = () => this.ground.receiver.of(MERCHANT).find(({ body }) => body.includes(answer.reference));
    const delivery = await until("the merchant is told", told, { seconds: 20 });
    assert.equal(whyNotGenuine(delivery, this.merchant.webhookSecret), undefined);
  }

  async close() {
    await Promise.all(["origin", "second"].map((name) => this.stop("SIGKILL", name)));
    this.database.close();
  }
}

function killGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}
