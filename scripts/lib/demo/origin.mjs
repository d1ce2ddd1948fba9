// The origin of the demo and its vault, driven through the operators' CLI.

import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { DemoError, logged, run, until } from "./children.mjs";
import { at } from "./paths.mjs";

export const CUSTODIANS = ["alice", "bob", "carol"];
export const THRESHOLD = 2;
const PROGRAM = join(process.env.SCANVAULT_BINARIES, "scanvault");

export class Origin {
  #demo;
  socket;

  constructor(demo, socket) {
    this.#demo = demo;
    this.socket = socket;
  }

  get url() {
    return `https://localhost:${this.#demo.ports.origin}`;
  }
  get adminUrl() {
    return `unix://${this.socket}`;
  }
  get log() {
    return this.#demo.children.logFile("origin");
  }
  shareFile(custodian) {
    return at("shares", `${custodian}.share`);
  }

  /** Starts it, always with the same settings; it comes up sealed, whatever it was before. */
  async start() {
    if (this.#demo.children.isRunning("origin")) throw new DemoError("the origin is running already");
    const { ports, children, database } = this.#demo;
    await children.start("origin", [PROGRAM, "serve"], {
      env: {
        SCANVAULT_MODE: "development",
        DATABASE_URL: database,
        SCANVAULT_LISTEN: `127.0.0.1:${ports.origin}`,
        SCANVAULT_TLS_CERT: at("ca/server.pem"),
        SCANVAULT_TLS_KEY: at("ca/server.key"),
        SCANVAULT_ADMIN_SOCKET: this.socket,
        SCANVAULT_LINK_KEYS: at("link-keys"),
        SCANVAULT_REGION: "a",
        SCANVAULT_PUBLIC_URL: `http://127.0.0.1:${ports.edge}`,
        SCANVAULT_CLEARHAUS_URL: `http://127.0.0.1:${ports.sandbox}`,
        SCANVAULT_EXTRA_CA: at("ca/ca.pem"),
        SCANVAULT_ALLOW_LOCAL_CALLBACKS: "true",
        SCANVAULT_RATE_LIMITS: "off",
        SCANVAULT_LOG: process.env.SCANVAULT_LOG ?? "info",
      },
      ready: (child) => logged(child, "listening"),
    });
    const { sealed } = await this.status();
    if (sealed !== true) throw new DemoError("the origin came up unsealed", this.log);
  }

  /** As a crash would: no drain, no goodbye. Returns when nothing listens any more. */
  async kill() {
    await this.#demo.children.end("origin", "SIGKILL");
    await until("the origin's port is closed", () => refuses(this.#demo.ports.origin), { seconds: 10 });
  }

  async cli(...args) {
    const text = await run(PROGRAM, [...args, "--json"], {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ADMIN_URL: this.adminUrl },
      log: this.log,
    });
    try {
      return JSON.parse(text);
    } catch {
      throw new DemoError(`scanvault ${args[0]} ${args[1]}: not one JSON object on stdout`, this.log);
    }
  }

  status() {
    return this.cli("vault", "status");
  }

  /** Init, with a share for each custodian that only their own age key opens. Kept state is only looked at. */
  async init() {
    const { initialized } = await this.status();
    if (initialized) {
      if (CUSTODIANS.every((name) => existsSync(this.shareFile(name)))) return "kept";
      throw new DemoError("the vault in this database is initialised, and .demo has no shares of it");
    }
    for (const folder of ["custodians", "shares"]) mkdirSync(at(folder), { recursive: true, mode: 0o700 });
    const recipients = [];
    for (const name of CUSTODIANS) {
      const identity = at("custodians", `${name}.identity`);
      const { recipient } = await this.cli("vault", "share", "keygen", "--out", identity);
      recipients.push("--custodian", `${name}=${recipient}`);
    }
    const made = await this.cli("vault", "init", "--threshold", String(THRESHOLD), ...recipients, "--out", at("shares"));
    if (made.shares?.length !== CUSTODIANS.length) throw new DemoError(`init made ${made.shares?.length} shares`, this.log);
    for (const name of CUSTODIANS) await this.#openShare(name);
    return `set ${made.setId}`;
  }

  /** Each custodian decrypts their own share; in the demo all three sit at this machine. */
  async #openShare(name) {
    const encrypted = readdirSync(at("shares")).find((file) => file === `${name}.share.age`);
    if (!encrypted) throw new DemoError(`init wrote no share for ${name}`, this.log);
    const args = ["vault", "share", "show", "--identity", at("custodians", `${name}.identity`), at("shares", encrypted)];
    const text = await run(PROGRAM, args, { log: this.log });
    writeFileSync(this.shareFile(name), text, { mode: 0o600 });
  }

  async unseal() {
    if ((await this.status()).sealed === false) return "unsealed already";
    let last;
    for (const name of CUSTODIANS.slice(0, THRESHOLD)) {
      last = await this.cli("vault", "unseal", "--share-file", this.shareFile(name));
    }
    if (last.sealed !== false || (await this.status()).sealed !== false) {
      throw new DemoError(`still sealed after ${THRESHOLD} shares`, this.log);
    }
    // Those who were not needed show their share too: no card is taken before all have.
    for (const name of CUSTODIANS.slice(THRESHOLD)) {
      if (!last.takesCards) last = await this.cli("vault", "prove", "--share-file", this.shareFile(name));
    }
    if (last.takesCards !== true) throw new DemoError("the vault takes no cards", this.log);
    return "unsealed";
  }

  async seal() {
    if ((await this.status()).sealed !== true) await this.cli("vault", "seal");
    if ((await this.status()).sealed !== true) throw new DemoError("still unsealed", this.log);
    return "sealed";
  }
}

function refuses(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(socket.destroy() && false));
    socket.on("error", () => resolve(true));
  });
}
