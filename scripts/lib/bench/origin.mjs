// A release origin for a bench, and a vault that is open.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listening, start } from "./processes.mjs";

/** Starts an origin; the answer is its process, with `admin`, its socket. */
export async function startOrigin(name, { database, port, publicUrl, dir, ca, binary, env = {} }) {
  const own = join(dir, name);
  mkdirSync(own, { mode: 0o700 });
  const admin = join(own, "admin.sock");
  const origin = await start(`origin-${name}`, [binary, "serve"], {
    dir,
    env: {
      SCANVAULT_MODE: "development",
      DATABASE_URL: database,
      SCANVAULT_LISTEN: `127.0.0.1:${port}`,
      SCANVAULT_TLS_CERT: join(ca, "server.pem"),
      SCANVAULT_TLS_KEY: join(ca, "server.key"),
      SCANVAULT_ADMIN_SOCKET: admin,
      SCANVAULT_LINK_KEYS: join(dir, "link-keys"),
      SCANVAULT_REGION: "a",
      SCANVAULT_PUBLIC_URL: publicUrl,
      SCANVAULT_LOG: "warn,scanvault_origin=info",
      ...env,
    },
    ready: listening,
  });
  return Object.assign(origin, { admin, folder: own });
}

/** Makes and opens the vault; answers a function that runs the CLI against this origin. */
export function openVault(admin, dir, binary) {
  const cli = (...args) =>
    JSON.parse(execFileSync(binary, [...args, "--json"], { encoding: "utf8", env: { PATH: process.env.PATH, ADMIN_URL: `unix://${admin}` } }));
  const recipients = ["alice", "bob"].flatMap((name) => {
    const { recipient } = cli("vault", "share", "keygen", "--out", join(dir, `${name}.identity`));
    return ["--custodian", `${name}=${recipient}`];
  });
  cli("vault", "init", "--threshold", "2", ...recipients, "--out", dir);
  for (const name of ["alice", "bob"]) {
    const args = ["vault", "share", "show", "--identity", join(dir, `${name}.identity`), join(dir, `${name}.share.age`)];
    writeFileSync(join(dir, `${name}.share`), execFileSync(binary, args), { mode: 0o600 });
    cli("vault", "unseal", "--share-file", join(dir, `${name}.share`));
  }
  return cli;
}
