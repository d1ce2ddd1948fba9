// The fallback host for tests: the bundle that scripts/build-edge makes, started as systemd would start it (a user of its
// own, sockets handed over, secrets in a folder), with a whole origin behind it.

import { spawn } from "node:child_process";
import { appendFileSync, chmodSync, chownSync, cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { connect } from "node:tls";
import { until } from "../../scripts/lib/demo/children.mjs";
import { writeBundle } from "../../scripts/lib/fallback/bundle.mjs";
import { ask } from "../lib/answers.mjs";
import { World, freePorts } from "./world.mjs";

const IS_ROOT = process.getuid() === 0;
/** Nobody else's here: of the range that systemd takes for users that exist while a service runs. */
export const USER = IS_ROOT ? 61_777 : process.getuid();

/**
 * Listens, hands the sockets over as systemd does, and starts the program anew when it ends well. While it waits for the
 * program it takes no connection itself: those who come meanwhile wait in the kernel's queue.
 */
const HOLDER = `
  const { spawnSync } = require("node:child_process");
  const { createServer } = require("node:net");
  const [start, uid, ...ports] = process.argv.slice(1);
  const servers = ports.map((port) => createServer().listen(Number(port), "127.0.0.1"));
  Promise.all(servers.map((server) => new Promise((done) => server.on("listening", done)))).then(() => {
    const stdio = ["ignore", "inherit", "inherit", ...servers.map((server) => server._handle.fd)];
    const own = process.getuid() === 0 ? { uid: Number(uid), gid: Number(uid) } : {};
    for (;;) {
      const { status } = spawnSync("/bin/sh", ["-c", 'LISTEN_PID=$$ exec "$0"', start], { stdio, ...own });
      if (status !== 0) process.exit(status ?? 1);
    }
  });
`;

/** A folder that only the host's own user can read. */
export function ownFolder(path) {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (IS_ROOT) chownSync(path, USER, USER);
  return path;
}

export function ownFile(path, content, mode = 0o600) {
  writeFileSync(path, content, { mode });
  chmodSync(path, mode);
  if (IS_ROOT) chownSync(path, USER, USER);
}

/** Runs the launcher alone, with its environment, to its end. */
export function launch(bundle, env, { args = ["--check"], asUs = false, stdout = "pipe" } = {}) {
  const own = IS_ROOT && !asUs ? { uid: USER, gid: USER } : {};
  const child = spawn(join(bundle, "start"), args, { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", stdout, "pipe"], ...own });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text) => (said += text));
  return new Promise((done, failed) => {
    child.on("error", failed);
    child.on("close", (code, signal) => done({ code: code ?? signal, said }));
  });
}

/** One running fallback host. `log` is all that it ever wrote. */
export class FallbackHost {
  log = "";

  constructor({ bundle, secrets, settings, ports, logFile }) {
    Object.assign(this, { bundle, secrets, settings, ports, logFile });
  }

  async start() {
    const { https, http } = this.ports;
    const env = { PATH: process.env.PATH, CREDENTIALS_DIRECTORY: this.secrets, LISTEN_FDNAMES: "https:http", LISTEN_FDS: "2", ...this.settings };
    const args = ["-e", HOLDER, join(this.bundle, "start"), USER, https, http].map(String);
    this.holder = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [this.holder.stdout, this.holder.stderr]) {
      stream.on("data", (text) => {
        this.log += text;
        if (this.logFile) appendFileSync(this.logFile, text);
      });
    }
    this.ended = new Promise((done) => this.holder.on("close", (code, signal) => done(code ?? signal)));
    await until("the fallback host answers", () => {
      if (this.holder.exitCode !== null) throw new Error(`it ended: ${this.log}`);
      return this.pid !== undefined && this.log !== undefined && this.isServing();
    });
  }

  /** workerd's own: the holder's only child, once the launcher has become it. */
  get pid() {
    const { pid } = this.holder;
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    if (!child) return undefined;
    return readFileSync(`/proc/${child}/comm`, "utf8").trim() === "workerd" ? Number(child) : undefined;
  }

  async isServing() {
    const answer = await ask(`http://127.0.0.1:${this.ports.http}`, "/pluto/public/monitor");
    return answer.status === 308;
  }

  /** SIGTERM, as `systemctl restart` sends it; the holder starts it anew. */
  async restart() {
    const before = this.pid;
    process.kill(before, "SIGTERM");
    await until("a new process", () => this.pid !== undefined && this.pid !== before);
    return this.pid;
  }

  async stop() {
    if (!this.holder) return;
    try {
      process.kill(-this.holder.pid, "SIGKILL");
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
    await this.ended;
  }
}

/** A world whose edge is a fallback host, over TLS. Clients of the tests speak plain HTTP: a tunnel does TLS for them. */
export class FallbackWorld extends World {
  get edge() {
    return `http://127.0.0.1:${this.tunnelPort}`;
  }
  get bundle() {
    return this.at("bundle");
  }

  async start() {
    this.ports = await freePorts("https", "http");
    this.tunnel = createServer({ allowHalfOpen: true }, (client) => {
      const onward = connect({ host: "127.0.0.1", port: this.ports.https, ca: this.ca, servername: "localhost", allowHalfOpen: true });
      for (const [from, to] of [[client, onward], [onward, client]]) {
        from.pipe(to);
        from.on("error", () => to.destroy());
      }
    });
    await new Promise((done) => this.tunnel.listen(0, "127.0.0.1", done));
    this.tunnelPort = this.tunnel.address().port;
    chmodSync(this.dir, 0o711);
    writeBundle(this.bundle);
    await super.start();
  }

  /** Secrets as the unit hands them over: the host's own user reads them, nobody else. */
  writeSecrets(folder = this.at("secrets")) {
    ownFolder(folder);
    ownFile(join(folder, "link-secret"), `${this.linkKeys[0].secret.toString("base64")}\n`);
    for (const [name, from] of [["server.pem", "server.pem"], ["server-key.pem", "server.key"], ["origin-ca-1.pem", "ca.pem"]]) {
      ownFile(join(folder, name), readFileSync(this.at("ca", from)));
    }
    return folder;
  }

  get settings() {
    return { PUBLIC_URL: "https://pay.example", ORIGINS: `a=${this.origin}`, LINK_KEY_ID: this.linkKeys[0].id, RATE_LIMITS: this.limits, LOG: "all" };
  }

  async startEdge() {
    const { bundle, settings, ports } = this;
    this.host = new FallbackHost({ bundle, settings, ports, secrets: this.writeSecrets(), logFile: this.children.logFile("edge") });
    await this.host.start();
  }

  /** A copy of the bundle's small files, to break. */
  copyOfBundle(name) {
    const copy = this.at(name);
    cpSync(this.bundle, copy, { recursive: true, filter: (path) => !path.endsWith("bin/workerd") });
    writeFileSync(join(copy, "bin/workerd"), "#!/bin/sh\necho started\n", { mode: 0o755 });
    return copy;
  }

  async close() {
    await this.host?.stop();
    this.tunnel?.close();
    await super.close();
  }
}

/** Every file below, with what would tell that it was written: size, mode, times. */
export function listing(folder, stat) {
  return readdirSync(folder, { recursive: true })
    .toSorted()
    .map((name) => {
      const { size, mode, mtimeNs, ctimeNs, ino } = stat(join(folder, name), { bigint: true });
      return `${name} ${size} ${mode.toString(8)} ${mtimeNs} ${ctimeNs} ${ino}`;
    });
}
