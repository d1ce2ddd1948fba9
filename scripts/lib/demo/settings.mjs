// What a start depends on: free ports and an empty database.

import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { freePort } from "../ports.mjs";
import { DemoError, run } from "./children.mjs";
import { at } from "./paths.mjs";

const PORT_NAMES = ["sandbox", "origin", "edge", "inspector", "edgeTls", "receiver"];

const DEFAULT_DATABASE = `sqlite://${encodeURI(at("scanvault.db"))}`;
const SQLITE = /^sqlite:(?:\/\/)?([^?]+)(\?.*)?$/;

/** DATABASE_URL of the caller, or a file in .demo. A relative file is relative to where the caller stands. */
export function chooseDatabase() {
  const url = process.env.DATABASE_URL || DEFAULT_DATABASE;
  const [, file, options = ""] = SQLITE.exec(url) ?? [];
  return file ? `sqlite://${encodeURI(resolve(decodeURI(file)))}${options}` : url;
}

/** "Fresh" never means that we empty a database that somebody else gave us. */
export async function checkDatabase(url, keep) {
  if (keep || url === DEFAULT_DATABASE) return;
  if (/^postgres(ql)?:/.test(url)) {
    const found = Number(await postgresQuery(url, RELATIONS));
    if (found > 0) throw new DemoError(`DATABASE_URL names a database that is not empty (${found} tables): empty it, or use --keep`);
  } else if (url.startsWith("sqlite:")) {
    const file = decodeURI(SQLITE.exec(url)?.[1] ?? "");
    if (existsSync(file) && statSync(file).size > 0) {
      throw new DemoError("DATABASE_URL names a database file that is not empty: remove it, or use --keep");
    }
  } else {
    throw new DemoError("DATABASE_URL must begin with sqlite: or postgres:");
  }
}

const RELATIONS = `select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_'`;

async function postgresQuery(url, sql) {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  // By environment: an argument would show the password in the process list.
  const env = {
    PATH: process.env.PATH,
    PGHOST: searchParams.get("host") ?? (decodeURIComponent(hostname) || "localhost"),
    PGPORT: port || searchParams.get("port") || "5432",
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
    PGCONNECT_TIMEOUT: "10",
  };
  for (const [name, option] of [["PGSSLMODE", "sslmode"], ["PGSSLROOTCERT", "sslrootcert"]]) {
    if (searchParams.has(option)) env[name] = searchParams.get(option);
  }
  return run(process.env.PSQL, ["--no-psqlrc", "--no-password", "-Atqc", sql], { env });
}

/** Free ports; with --keep those of the last run, as the account's webhook address holds one of them. */
export async function choosePorts(keep) {
  const file = at("ports.json");
  const last = keep && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  // All are held open until all are known, so that no two are the same.
  const held = [];
  const ports = {};
  for (const name of PORT_NAMES) {
    const server = await listen(last[name] ?? (await freePort())).catch((error) => {
      if (error.code !== "EADDRINUSE") throw error;
      throw new DemoError(`port ${last[name]}, which the kept state needs (${name}), is in use`);
    });
    held.push(server);
    ports[name] = server.address().port;
  }
  await Promise.all(held.map((server) => new Promise((done) => server.close(done))));
  writeFileSync(file, JSON.stringify(ports));
  return ports;
}

function listen(port) {
  return new Promise((done, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => done(server));
  });
}
