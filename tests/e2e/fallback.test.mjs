// The fallback host: the bundle alone, as a user without rights, with TLS, in front of a whole origin. Payments go through
// it; then nothing was written anywhere, no log line holds a secret, and a certificate is renewed under load.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, lstatSync, openSync, readFileSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { request as httpsRequest } from "node:https";
import { connect } from "node:tls";
import { ROOT } from "../../scripts/lib/workerd.mjs";
import { answerJson, startOrigin } from "../edge/origin-stub.mjs";
import { ask, assertHardened, basic } from "../lib/answers.mjs";
import { FallbackHost, FallbackWorld, USER, launch, listing, ownFile } from "./fallback-host.mjs";
import { CARD, pageData, payPath } from "./shopper.mjs";
import { freePorts, made, run, until } from "./world.mjs";

const MONITOR = "/pluto/public/monitor";
const IMAGE = "/pluto/public/qr/0123456789.png";
const PAGE = payPath("0000000000");
const RESTARTS = 3;
const LOADERS = 6;
const PAYMENTS = 12;
/** `MemoryHigh` of the unit. */
const MEMORY_HIGH = 768 << 20;

let world;
const at = (...parts) => world.at(...parts);

before(async () => {
  world = new FallbackWorld("sqlite");
  world.limits = "off"; // all load comes from one address
  await world.start();
  await world.init();
  await world.unseal();
  await world.merchant("merchant-25");
});
after(() => world?.close());

/** What the kernel says of the process. */
function kernel() {
  const of = (name) => readFileSync(`/proc/${world.host.pid}/${name}`, "utf8");
  const field = (text, name) => new RegExp(`^${name}:?\\s+(.*)$`, "m").exec(text)?.[1];
  const bytes = (name) => Number.parseInt(field(of("status"), name), 10) * 1024;
  return { status: (name) => field(of("status"), name), limit: (name) => field(of("limits"), name), written: Number(field(of("io"), "write_bytes")), bytes };
}

/** Regular files that it has open for writing. */
function openForWriting() {
  const folder = `/proc/${world.host.pid}`;
  return readdirSync(`${folder}/fd`).flatMap((fd) => {
    try {
      const flags = Number.parseInt(/^flags:\s+(\d+)$/m.exec(readFileSync(`${folder}/fdinfo/${fd}`, "utf8"))[1], 8);
      return statSync(`${folder}/fd/${fd}`).isFile() && (flags & 3) !== 0 ? [readlinkSync(`${folder}/fd/${fd}`)] : [];
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
      return []; // a connection that was closed meanwhile
    }
  });
}

/** Where anybody may write: what belongs to the host's user there. */
function ownedBy(user) {
  const places = ["/tmp", "/var/tmp", "/dev/shm", "/run"];
  const found = execFileSync("sh", ["-c", `find ${places.join(" ")} -xdev -uid ${user} 2>/dev/null || true`], { encoding: "utf8" });
  return found.split("\n").filter((path) => path && !path.startsWith(world.dir));
}

test("it runs as a user without rights, which the kernel lets write nothing", { skip: USER === process.getuid() && "needs root" }, () => {
  const { status, limit } = kernel();
  assert.deepEqual(status("Uid").split("\t").map(Number), [USER, USER, USER, USER]);
  for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"]) assert.equal(Number.parseInt(status(set), 16), 0, set);
  assert.match(limit("Max file size"), /^0\s+0\s/);
  assert.match(limit("Max core file size"), /^0\s+0\s/);
  const environment = readFileSync(`/proc/${world.host.pid}/environ`, "latin1").split("\0").filter(Boolean);
  assert.deepEqual(environment.map((line) => line.split("=")[0]).toSorted(), [
    "CLIENT_ADDRESS", "EMV_CITY", "EMV_COUNTRY", "EMV_CURRENCY", "EMV_NAME", "LINK_KEY_ID", "LOG", "ORIGINS", "PUBLIC_URL", "RATE_LIMITS", "SCREEN", "SECURITY_VIOLATION_513",
  ]);
});

/** As a shopper does; the page's policy is that of production here. */
async function pay(code) {
  const page = await ask(world.edge, payPath(code));
  assert.match(page.headers["content-security-policy"], /^default-src 'none'; script-src 'self'; .*; frame-ancestors 'none'$/);
  return world.post(code, await world.seal({ data: pageData(page.body) }));
}

test("payments go through it; nothing is written, and no secret stands in a file or a log line", async (t) => {
  const merchant = world.merchants["merchant-25"];
  const before = [listing(world.bundle, lstatSync), listing(at("secrets"), lstatSync)];
  const owned = ownedBy(USER);
  const once = async () => {
    const { code } = await world.code(merchant, "12.50");
    const answers = await Promise.all([
      ask(world.edge, `/pluto/public/qr/${code}.png`),
      ask(world.edge, `/pluto/public/qr/${code}.svg?size=500`),
      world.call({ ...merchant, password: "not-the-password" }, `/pluto/code/${code}`),
      ask(world.edge, `/nowhere/${CARD.pan}?csc=${CARD.csc}`),
      ask(world.edge, "/pluto/code/create", { method: "POST", headers: { authorization: basic("merchant-25"), "content-type": "application/json" }, body: JSON.stringify(CARD) }),
    ]);
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 401, 404, 401]);
    const paid = await pay(code);
    assert.equal(paid.status, 200, paid.body.toString());
    return JSON.parse(paid.body);
  };
  const paid = await Promise.all(Array.from({ length: PAYMENTS }, once));
  assert.equal(new Set(paid.map(({ transactionId }) => transactionId)).size, PAYMENTS);
  assert.equal((await world.book()).filter(({ kind, booked }) => kind === "authorization" && booked).length, PAYMENTS);

  const { written, bytes } = kernel();
  assert.equal(written, 0, "bytes that it made the kernel write to a disk");
  assert.deepEqual(openForWriting(), []);
  assert.deepEqual([listing(world.bundle, lstatSync), listing(at("secrets"), lstatSync)], before);
  if (USER !== process.getuid()) assert.deepEqual(ownedBy(USER), owned, "nor is anything of its user's anywhere else");
  const mapped = readFileSync(`/proc/${world.host.pid}/maps`, "utf8").split("\n").filter((line) => /^\S+ .w.s /.test(line));
  assert.deepEqual(mapped, [], "no file is written to through memory");
  assert.ok(bytes("VmHWM") < MEMORY_HIGH, `${bytes("VmHWM") >> 20} MiB`);
  t.diagnostic(`memory: ${bytes("VmRSS") >> 20} MiB, ${bytes("VmHWM") >> 20} MiB at most`);

  const whole = () => world.host.log.slice(0, world.host.log.lastIndexOf("\n")).split("\n");
  await until("a line for each request", () => whole().length >= PAYMENTS * 7);
  const lines = whole();
  for (const line of lines) assert.equal(JSON.parse(line).message, "request", line);
  assert.deepEqual(world.secrets.foundIn(Buffer.from(world.host.log)), []);
  execFileSync("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: world.bundle });
  const texts = readdirSync(world.bundle, { recursive: true }).filter((name) => name !== "bin/workerd" && lstatSync(join(world.bundle, name)).isFile());
  for (const name of texts) assert.deepEqual(world.secrets.foundIn(readFileSync(join(world.bundle, name))), [], name);
});

test("check-tls finds all that it requires", async () => {
  const { https, http } = world.ports;
  const args = [`localhost:${https}`, "--plain", String(http), "--connect", "127.0.0.1", "--ca", at("ca/ca.pem")];
  const { code, stdout, stderr } = await run(join(ROOT, "scripts/check-tls"), args);
  assert.equal(code, 0, stdout + stderr);
  assert.doesNotMatch(stdout, /FAIL/);
});

test("plain HTTP leads on, or is refused", async () => {
  const plain = `http://127.0.0.1:${world.ports.http}`;
  const host = { host: "pay.example" };
  for (const method of ["GET", "HEAD"]) {
    const { status, headers } = await ask(plain, IMAGE, { method, headers: host });
    assert.deepEqual([status, headers.location], [308, `https://pay.example${IMAGE}`]);
  }
  const refused = [
    ask(plain, IMAGE, { headers: { ...host, authorization: basic("merchant-25") } }),
    ask(plain, "/pluto/code/create", { method: "POST", headers: { ...host, "content-type": "application/json" }, body: "{}" }),
    ask(plain, "/pluto/code/0123456789", { headers: host }),
    ask(plain, IMAGE, { headers: { ...host, "x-forwarded-proto": "https" }, method: "POST", body: "{}" }),
  ];
  for (const answer of await Promise.all(refused)) assert.equal(answer.status, 403);
});

test("the client's address is that of its connection, whatever it says of itself", async () => {
  const origin = await startOrigin();
  const ports = await freePorts("https", "http");
  const secrets = world.writeSecrets(at("stub-secrets"));
  ownFile(join(secrets, "link-secret"), Buffer.alloc(32, 7).toString("base64"));
  ownFile(join(secrets, "origin-ca-1.pem"), origin.ca);
  const settings = { PUBLIC_URL: "https://pay.example", ORIGINS: `a=${origin.url}`, LINK_KEY_ID: "edge-test" };
  const host = new FallbackHost({ bundle: world.bundle, secrets, settings, ports });
  try {
    await host.start();
    const names = ["cf-connecting-ip", "x-forwarded-for", "forwarded", "true-client-ip", "cf", "scanvault-client"];
    const headers = Object.fromEntries(names.map((name) => [name, "192.0.2.7"]));
    assert.equal((await askOverTls(ports.https, PAGE, headers)).status, 200);
    const about = ({ url }) => url === PAGE;
    const [seen, ...more] = origin.requests.filter(about);
    assert.deepEqual([seen.refusal, seen.headers["scanvault-client"], more.length], [undefined, "127.0.0.1", 0]);

    // A restart waits for what is under way.
    let release;
    origin.respond = (seen, response) => (release = () => answerJson(seen, response));
    const underWay = askOverTls(ports.https, PAGE);
    await until("the origin is asked", () => release);
    process.kill(host.pid, "SIGTERM");
    release();
    assert.equal((await underWay).status, 200);
    await until("the next one answers", async () => (await askOverTls(ports.https, IMAGE)).status === 200);
    assert.equal(origin.requests.filter(about).length, 2);
  } finally {
    await host.stop();
    await origin.close();
  }
});

/** One request over a TLS connection of its own. */
function askOverTls(port, path, headers = {}) {
  const options = { host: "127.0.0.1", port, path, ca: world.ca, servername: "localhost", agent: false, headers: { host: "pay.example", ...headers } };
  return new Promise((done, failed) => {
    const request = httpsRequest(options, (response) => {
      assertHardened({ status: response.statusCode, headers: response.headers, raw: response.rawHeaders });
      response.resume();
      response.on("end", () => done({ status: response.statusCode }));
      response.on("error", failed);
    });
    request.on("error", failed);
    request.end();
  });
}

test("the launcher refuses what would not be safe, and says why", async () => {
  const bundle = world.copyOfBundle("copy");
  const good = { SCANVAULT_EDGE_SECRETS: world.writeSecrets(at("more-secrets")), ...world.settings };
  const secret = (name) => at("more-secrets", name);
  const check = async (expected, env = good, options = {}) => {
    const { code, said } = await launch(bundle, env, options);
    assert.match(said, expected);
    assert.equal(code, /as they should be/.test(said) ? 0 : 78, said);
  };
  await check(/as they should be \(1-ca\)/);
  for (const setting of ["PUBLIC_URL", "ORIGINS", "LINK_KEY_ID"]) await check(new RegExp(`${setting} is not set`), { ...good, [setting]: "" });
  await check(/names a folder/, { ...good, SCANVAULT_EDGE_SECRETS: "" });
  for (const mode of [0o640, 0o604, 0o644]) {
    chmodSync(secret("link-secret"), mode);
    await check(/link-secret has mode/);
  }
  chmodSync(secret("link-secret"), 0o600);
  const broken = async (name, content, expected) => {
    const kept = readFileSync(secret(name));
    ownFile(secret(name), content);
    await check(expected);
    ownFile(secret(name), kept);
  };
  await broken("link-secret", "c2hvcnQ=\n", /link-secret is not base64 of 32 bytes/);
  await broken("server.pem", "", /server\.pem is missing/);
  await broken("origin-ca-1.pem", Buffer.concat([world.ca, world.ca]), /does not hold exactly one/);
  ownFile(secret("origin-ca-2.pem"), world.ca);
  await check(/as they should be \(2-ca\)/);
  ownFile(secret("client.pem"), world.ca);
  await check(/client-key\.pem is missing/);
  ownFile(secret("client-key.pem"), "key");
  await check(/as they should be \(2-ca-client\)/);
  const log = openSync(at("a-file"), "w");
  await check(/^$/, good, { args: [], stdout: log }).catch((error) => assert.match(error.message, /standard output is a file/));
  closeSync(log);
  if (USER !== process.getuid()) await check(/not as root/, good, { asUs: true });
  chmodSync(join(bundle, "worker"), 0o777);
  await check(/worker can be written/);
});

const shown = () => new Promise((done, failed) => {
  const socket = connect({ host: "127.0.0.1", port: world.ports.https, ca: world.ca, servername: "localhost" }, () => {
    done(socket.getPeerCertificate().fingerprint256);
    socket.destroy();
  });
  socket.on("error", failed);
});

/** Another certificate of the same CA, in the place where the next start finds it. */
async function renew() {
  const request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=renewed", "-addext", "subjectAltName=DNS:localhost"];
  await made(run("openssl", [...request, "-keyout", at("renewed.key"), "-out", at("renewed.csr")]));
  const sign = ["x509", "-req", "-in", at("renewed.csr"), "-CA", at("ca/ca.pem"), "-CAkey", at("ca/ca.key"), "-days", "30", "-copy_extensions", "copy"];
  await made(run("openssl", [...sign, "-out", at("renewed.pem")]));
  ownFile(at("secrets/server.pem"), readFileSync(at("renewed.pem")));
  ownFile(at("secrets/server-key.pem"), readFileSync(at("renewed.key")));
}

test("a certificate is renewed by a restart: who comes meanwhile waits, and every request is answered", async (t) => {
  const before = await shown();
  await renew();
  const statuses = new Map();
  let ending = false;
  const load = Promise.all(Array.from({ length: LOADERS }, async (_, n) => {
    while (!ending) {
      const answer = await askOverTls(world.ports.https, n % 2 ? IMAGE : PAGE).catch(({ code }) => ({ status: code }));
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }
  }));
  try {
    for (let times = 0; times < RESTARTS; times += 1) {
      const answered = () => [...statuses.values()].reduce((sum, count) => sum + count, 0);
      const from = answered();
      await world.host.restart();
      await until("requests go on", () => answered() > from + 20);
    }
  } finally {
    ending = true;
    await load;
  }
  // A connection that was being made when the old process went is reset, before anything was asked over it.
  const cut = statuses.get("ECONNRESET") ?? 0;
  statuses.delete("ECONNRESET");
  assert.deepEqual([...statuses.keys()].toSorted(), [200, 404], `${[...statuses]}`);
  t.diagnostic(`answered: ${[...statuses.values()].reduce((sum, count) => sum + count)}; connections cut while they were made: ${cut}`);
  assert.notEqual(await shown(), before);
});

test("nothing secret stands in a log or in the database", () => world.assertNothingLeaked());
