// The two databases, each behind the same three calls: a URL, rows read, SQL run, and every byte that it keeps.

import { execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT } from "../../scripts/lib/workerd.mjs";

export const KINDS = ["sqlite", "postgres"];

/** A database of the caller's own: empty, or a copy of another one that nobody has open. */
export function openDatabase(kind, folder, template) {
  return kind === "sqlite" ? sqlite(join(folder, "scanvault.db"), template) : postgres(template);
}

// Python's SQLite, on a copy: no second library ever opens the live file.
const READ = `
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1]); db.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in db.execute(sys.stdin.read())], default=lambda value: value.hex()))
`;
const WRITE = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1]); print(sum(db.execute(text).rowcount for text in sys.stdin.read().split(";") if text.strip())); db.commit()
`;

// The same of one process for all, as a start takes longer than most statements: a line in, a line out.
const SERVE = `
import json, sqlite3, sys
for line in sys.stdin:
    path, sql, writes = json.loads(line)
    try:
        db = sqlite3.connect(path); db.row_factory = sqlite3.Row
        done = [db.execute(text).fetchall() for text in (sql.split(";") if writes else [sql]) if text.strip()]
        answer = {"rows": [dict(row) for row in done[0]]}
        db.commit(); db.close()
    except sqlite3.Error as error:
        answer = {"error": f"{error}: {sql}"}
    print(json.dumps(answer, default=lambda value: value.hex()), flush=True)
`;

/** It goes on as long as this process does, and keeps nobody waiting who waits for nothing. */
class Python {
  #waiting = [];

  ask(...request) {
    this.#child ??= this.#start();
    this.#hold(true);
    this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    return new Promise((done, failed) => this.#waiting.push({ done, failed }));
  }

  #child;
  #start() {
    const child = spawn("python3", ["-c", SERVE], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { done, failed } = this.#waiting.shift();
      const { rows, error } = JSON.parse(line);
      if (error) failed(new Error(error));
      else done(rows);
      if (this.#waiting.length === 0) this.#hold(false);
    });
    child.on("exit", (code) => this.#waiting.splice(0).forEach(({ failed }) => failed(new Error(`python3 ended: ${code}`))));
    return child;
  }

  #hold(isNeeded) {
    for (const one of [this.#child, this.#child.stdin, this.#child.stdout]) isNeeded ? one.ref() : one.unref();
  }
}
const reader = new Python();

function sqlite(file, template) {
  for (const end of template ? ["", "-wal"] : []) {
    if (existsSync(template.file + end)) copyFileSync(template.file + end, file + end);
  }
  const python = (script, path, sql) => execFileSync("python3", ["-c", script, path], { input: sql, encoding: "utf8" });
  return {
    kind: "sqlite",
    file,
    url: `sqlite://${file}`,
    rows(sql) {
      const folder = copy(file);
      try {
        return JSON.parse(python(READ, join(folder, "copy"), sql));
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    /** The same, while others go on: a test that holds up its own event loop lets handshakes time out. */
    async rowsLater(sql) {
      const folder = copy(file);
      try {
        return await reader.ask(join(folder, "copy"), sql, false);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    /** Only while the origin is stopped. Answers how many rows were written. */
    write: (sql) => Number(python(WRITE, file, sql)),
    writeLater: async (statements) => void (await reader.ask(file, statements.join(";"), true)),
    bytes: () => Buffer.concat([file, `${file}-wal`].filter(existsSync).map((path) => readFileSync(path))),
    close: () => {},
  };
}

function copy(file) {
  const folder = mkdtempSync(join(tmpdir(), "scanvault-copy-"));
  for (const end of ["", "-wal"]) {
    if (existsSync(file + end)) copyFileSync(file + end, join(folder, `copy${end}`));
  }
  return folder;
}

function postgres(template) {
  const server = process.env.SCANVAULT_TEST_POSTGRES ?? startServer();
  const name = `e2e_${randomBytes(6).toString("hex")}`;
  const url = Object.assign(new URL(server), { pathname: `/${name}` });
  psql(server, `CREATE DATABASE ${name}${template ? ` TEMPLATE ${template.name}` : ""}`);
  return {
    kind: "postgres",
    name,
    url: url.href,
    rows: (sql) => JSON.parse(psql(url, asJson(sql))),
    rowsLater: async (sql) => JSON.parse(await later(PSQL, PSQL_ARGS, { input: asJson(sql), env: environment(url) })),
    write: (sql) => Number(psql(url, `WITH done AS (${sql} RETURNING 1) SELECT count(*) FROM done`)),
    writeLater: async (statements) => void (await later(PSQL, PSQL_ARGS, { input: statements.join(";\n"), env: environment(url) })),
    bytes: () => execFileSync("pg_dump", ["--no-password", "--inserts"], { env: environment(url), maxBuffer: 1 << 28 }),
    close: () => psql(server, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

function psql(url, sql) {
  const options = { env: environment(url), input: sql, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"] };
  return execFileSync(PSQL, PSQL_ARGS, options);
}

const PSQL = process.env.PSQL ?? "psql";
const PSQL_ARGS = ["--no-psqlrc", "--no-password", "-v", "ON_ERROR_STOP=1", "-Atq"];
const asJson = (sql) => `SELECT coalesce(json_agg(r), '[]') FROM (${sql}) r`;

function later(program, args, { input, env }) {
  return new Promise((done, failed) => {
    const options = { encoding: "utf8", maxBuffer: 1 << 28, ...(env && { env }) };
    const child = execFile(program, args, options, (error, stdout) => (error ? failed(error) : done(stdout)));
    child.stdin.end(input);
  });
}

/** The password goes by environment: an argument would show it in the process list. */
function environment(url) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const [PGUSER, PGPASSWORD, PGDATABASE] = [username, password, pathname.slice(1)].map(decodeURIComponent);
  return { PATH: process.env.PATH, PGHOST: hostname, PGPORT: port, PGUSER, PGPASSWORD, PGDATABASE };
}

/** One for this process, when nobody gave us one; ended with it. */
let own;
function startServer() {
  if (own) return own;
  const folder = mkdtempSync(join(tmpdir(), "scanvault-e2e-pg-"));
  execFileSync("chmod", ["0711", folder]);
  const script = join(ROOT, "scripts/lib/postgres");
  const settings = ["fsync=off", "full_page_writes=off"];
  own = execFileSync(script, ["start", join(folder, "server"), ...settings], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
  process.on("exit", () => {
    execFileSync(script, ["stop", join(folder, "server")]);
    rmSync(folder, { recursive: true });
  });
  return own;
}
