// Production mode, which is the default, refuses to start with anything that is meant for development.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Children, logged } from "../../scripts/lib/demo/children.mjs";
import { BINARIES, run } from "./world.mjs";

const SCANVAULT = join(BINARIES, "scanvault");
let dir, children, environment;
const at = (...parts) => join(dir, ...parts);

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "scanvault-e2e-"));
  children = new Children(randomBytes(12).toString("hex"), at("logs"));
  const { code, stdout } = await run(join(BINARIES, "sandbox"), ["dev-ca", "--dir", at("ca")]);
  assert.equal(code, 0, stdout);
  // Of another CA than ours, as a real one's is.
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=origin.example"];
  const made = await run("openssl", ["req", "-x509", ...ec, "-keyout", at("key.pem"), "-out", at("cert.pem")]);
  assert.equal(made.code, 0, made.stderr);
  writeFileSync(at("link-keys"), `edge-1 ${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
  environment = {
    DATABASE_URL: `sqlite://${at("scanvault.db")}`,
    SCANVAULT_LISTEN: "127.0.0.1:0",
    SCANVAULT_TLS_CERT: at("cert.pem"),
    SCANVAULT_TLS_KEY: at("key.pem"),
    SCANVAULT_ADMIN_SOCKET: at("admin.sock"),
    SCANVAULT_LINK_KEYS: at("link-keys"),
    SCANVAULT_PUBLIC_URL: "https://pay.example",
  };
});
after(async () => {
  await children.endAll();
  rmSync(dir, { recursive: true, force: true });
});

const REFUSED = "production mode refuses";
for (const [what, settings, message] of [
  ["local callbacks", { SCANVAULT_ALLOW_LOCAL_CALLBACKS: "true" }, `${REFUSED} SCANVAULT_ALLOW_LOCAL_CALLBACKS`],
  ["receivers on hosts that are not public", { SCANVAULT_CALLBACK_ALLOW: "shop.internal,10.0.0.7" }, `${REFUSED} SCANVAULT_CALLBACK_ALLOW`],
  ["a test CA", { SCANVAULT_EXTRA_CA: "ca/ca.pem" }, `${REFUSED} SCANVAULT_EXTRA_CA: a test CA`],
  ["a certificate of the test CA", { SCANVAULT_TLS_CERT: "ca/server.pem", SCANVAULT_TLS_KEY: "ca/server.key" }, `${REFUSED} a certificate of the development CA`],
  ["plain HTTP outside", { SCANVAULT_PUBLIC_URL: "http://pay.example" }, `${REFUSED} a public address over plain HTTP`],
  ["a public address on loopback", { SCANVAULT_PUBLIC_URL: "https://localhost:8443" }, `${REFUSED} a public address on this machine`],
  ["plain HTTP to the acquirer", { SCANVAULT_CLEARHAUS_URL: "http://gateway.example" }, `${REFUSED} an acquirer over plain HTTP`],
  ["the sandbox", { SCANVAULT_CLEARHAUS_URL: "https://127.0.0.1:4711" }, `${REFUSED} a sandbox address of the acquirer`],
  ["the acquirer's test gateway", { SCANVAULT_CLEARHAUS_URL: "https://gateway.test.clearhaus.com" }, `${REFUSED} a sandbox address of the acquirer`],
  ["a public address that is none", { SCANVAULT_PUBLIC_URL: "pay.example" }, "the public address must be http(s)://host[:port], without a path or query"],
  ["a public address below which nothing is served", { SCANVAULT_PUBLIC_URL: "https://pay.example/shop" }, "the public address must be http(s)://host[:port], without a path or query"],
  ["an admin listener for everybody", { SCANVAULT_ADMIN_LISTEN: "0.0.0.0:0", SCANVAULT_ADMIN_CLIENT_CA: "ca/ca.pem" }, `${REFUSED} an admin listener on an address that is neither loopback nor private`],
  ["edges of the test CA", { SCANVAULT_TLS_CLIENT_CA: "ca/ca.pem" }, `${REFUSED} client certificates of the development CA`],
  ["clients of the test CA", { SCANVAULT_ADMIN_LISTEN: "127.0.0.1:0", SCANVAULT_ADMIN_CLIENT_CA: "ca/ca.pem" }, `${REFUSED} client certificates of the development CA`],
  ["an admin listener without a CA", { SCANVAULT_ADMIN_LISTEN: "127.0.0.1:0" }, "--admin-listen and --admin-client-ca go together: one of them is missing"],
  ["an admin listener that nobody could use", { SCANVAULT_ADMIN_LISTEN: "127.0.0.1:0", SCANVAULT_ADMIN_CLIENT_CA: "cert.pem" }, "--admin-listen needs --operators with a file that names somebody by cert:"],
  ["no link key", { SCANVAULT_LINK_KEYS: "ca/ca.pem" }, /1 to 16 lines of `<key id> <base64 of 32 bytes> \[account\]` are expected, each key id once$/],
  ["PostgreSQL over a network without a checked certificate", { DATABASE_URL: "postgres://u:p@db.example/s" }, "PostgreSQL over a network needs sslmode=verify-full in DATABASE_URL"],
  ["another database", { DATABASE_URL: "mysql://db.example/s" }, "DATABASE_URL must start with sqlite: or postgres:"],
]) {
  for (const mode of [{}, { SCANVAULT_MODE: "production" }]) {
    test(`${what}${mode.SCANVAULT_MODE ? ", asked for production" : ""}`, async () => {
      const resolved = Object.entries(settings).map(([name, value]) => [name, /^ca\/|\.pem$/.test(value) ? at(value) : value]);
      const { code, stderr } = await run(SCANVAULT, ["serve"], { env: { ...environment, ...mode, ...Object.fromEntries(resolved) } });
      assert.equal(code, 1, stderr);
      const said = stderr.trim().replace(/^scanvault: /, "");
      if (typeof message === "string") assert.equal(said, message);
      else assert.match(said, message);
      assert.equal(existsSync(at("admin.sock")), false, "nothing listens");
    });
  }
}

test("an RSA certificate is refused: it would be served without a word", async () => {
  const made = await run("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1", "-keyout", at("rsa.key"), "-out", at("rsa.pem")]);
  assert.equal(made.code, 0, made.stderr);
  const { code, stderr } = await run(SCANVAULT, ["serve"], { env: { ...environment, SCANVAULT_TLS_CERT: at("rsa.pem"), SCANVAULT_TLS_KEY: at("rsa.key") } });
  assert.deepEqual([code, stderr], [1, "scanvault: the certificate's key must be ECDSA\n"]);
});

test("a mode or an address that is none is wrong usage", async () => {
  for (const settings of [{ SCANVAULT_MODE: "prod" }, { SCANVAULT_LISTEN: "everywhere" }]) {
    assert.equal((await run(SCANVAULT, ["serve"], { env: { ...environment, ...settings } })).code, 2);
  }
});

test("with none of it, it starts, sealed; a second one on the same socket does not", async () => {
  const ready = (child) => logged(child, "listening");
  const child = await children.start("origin", [SCANVAULT, "serve"], { env: environment, ready });
  const env = { ADMIN_URL: `unix://${at("admin.sock")}` };
  const { code, stdout } = await run(SCANVAULT, ["vault", "status", "--json"], { env });
  assert.equal(code, 0);
  const { sealed, initialized } = JSON.parse(stdout);
  assert.deepEqual([sealed, initialized], [true, false]);
  // A webhook on this machine is refused where callbacks are.
  for (const url of ["http://127.0.0.1:1/x", "https://169.254.169.254/", "https://localhost/x", "http://example.com/x"]) {
    const created = await run(SCANVAULT, ["account", "create", "merchant-1", "--webhook-url", url], { env });
    assert.equal(created.code, 1);
    assert.match(created.stderr, /^scanvault: the address of a receiver must be (public|https on port 443)\n$/, url);
  }
  const second = await run(SCANVAULT, ["serve"], { env: environment });
  assert.deepEqual([second.code, second.stderr], [1, `scanvault: another origin is running on ${at("admin.sock")}\n`]);
  child.ending = true;
  process.kill(child.pid, "SIGTERM");
  await child.ended;
  assert.equal(child.how, "exit code 0");
});

test("who reads the log may go away: requests are answered, and it ends in order", async () => {
  const env = { PATH: process.env.PATH, ...environment };
  const child = spawn(SCANVAULT, ["serve"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((done) => child.on("exit", (code, signal) => done(signal ?? code)));
  try {
    await new Promise((done) => child.stdout.on("data", (text) => String(text).includes('"listening"') && done()));
    child.stdout.destroy();
    child.stderr.destroy();
    const admin = { env: { ADMIN_URL: `unix://${at("admin.sock")}` } };
    for (const name of ["merchant-8", "merchant-9"]) {
      const { code, stderr } = await run(SCANVAULT, ["account", "create", name], admin); // is logged
      assert.equal(code, 0, stderr);
    }
  } finally {
    child.kill("SIGTERM");
  }
  assert.equal(await ended, 0);
});
