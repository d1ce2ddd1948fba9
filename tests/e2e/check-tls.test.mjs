// scripts/check-tls: the built edge on TLS passes, and each thing that a careless host gets wrong is seen.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as httpServer } from "node:http";
import { createServer as httpsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Children } from "../../scripts/lib/demo/children.mjs";
import { EDGE_MODULES, ROOT, writeConfig } from "../../scripts/lib/workerd.mjs";
import { SANDBOX, freePorts, made, run } from "./world.mjs";

const HOST = "pay.example";
const HSTS = "max-age=63072000; includeSubDomains; preload";
let dir, children, ports, resolver;
const at = (...parts) => join(dir, ...parts);

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "scanvault-check-tls-"));
  children = new Children(randomBytes(12).toString("hex"), at("logs"));
  ports = await freePorts("tls", "plain");
  await made(run(SANDBOX, ["dev-ca", "--dir", at("ca"), "--name", HOST]));
  const bindings = {
    ORIGINS: "a=https://localhost:1",
    LINK_KEY_ID: "check-tls",
    LINK_SECRET: randomBytes(32).toString("base64"),
    PUBLIC_URL: `https://${HOST}`,
    CLIENT_ADDRESS: "none",
  };
  const edge = { modules: EDGE_MODULES, bindings };
  const command = writeConfig({
    dir: at("edge"),
    workers: [
      { ...edge, name: "tls", listen: `127.0.0.1:${ports.tls}`, tls: { cert: at("ca/server.pem"), key: at("ca/server.key") } },
      { ...edge, name: "plain", listen: `127.0.0.1:${ports.plain}` },
    ],
  });
  const ready = async () => (await fetch(`http://127.0.0.1:${ports.plain}/`, { redirect: "manual" })).status === 308;
  await children.start("edge", command, { ready });
  resolver = await startResolver();
});
after(async () => {
  await children.endAll();
  resolver.close();
  rmSync(dir, { recursive: true, force: true });
});

/** A name server that knows CAA records, `{name: [[tag, value]…]}`, and that nothing else has any; it can fall silent. */
async function startResolver() {
  const socket = createSocket("udp4");
  const server = { records: {}, isSilent: false, close: () => socket.close() };
  socket.on("message", (query, { port, address }) => {
    if (server.isSilent) return;
    const labels = [];
    let end = 12;
    for (; query[end] !== 0; end += 1 + query[end]) labels.push(query.toString("ascii", end + 1, end + 1 + query[end]));
    const records = server.records[labels.join(".")] ?? [];
    const question = query.subarray(12, end + 5);
    const answers = records.map(([tag, value]) => {
      const data = Buffer.concat([Buffer.from([0, tag.length]), Buffer.from(tag + value)]);
      const head = Buffer.from([0xc0, 12, 1, 1, 0, 1, 0, 0, 0, 60, 0, data.length]);
      return Buffer.concat([head, data]);
    });
    const head = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, answers.length, 0, 0, 0, 0]);
    socket.send(Buffer.concat([head, question, ...answers]), port, address);
  });
  await new Promise((done) => socket.bind(0, "127.0.0.1", done));
  server.address = `127.0.0.1:${socket.address().port}`;
  return server;
}

function check(port, ...more) {
  const args = [`${HOST}:${port}`, "--connect", "127.0.0.1", "--resolver", resolver.address, ...more];
  return run(join(ROOT, "scripts/check-tls"), args);
}

const lines = (stdout, mark) => stdout.split("\n").filter((line) => line.startsWith(`  ${mark}`)).map((line) => line.slice(8));

test("the built edge keeps what is required", async () => {
  const plain = ["--plain", String(ports.plain), "--ca", at("ca/ca.pem")];
  resolver.records = { example: [["issue", "letsencrypt.org; validationmethods=dns-01; accounturi=https://ca.example/1"], ["issuewild", ";"]] };
  const { code, stdout, stderr } = await check(ports.tls, ...plain);
  assert.equal(code, 0, stdout + stderr);
  assert.deepEqual(lines(stdout, "FAIL"), []);
  const ok = lines(stdout, "ok");
  for (const text of [
    "SSL 3.0 refused (alert 70)",
    "TLS 1.0 refused (alert 70)",
    "TLS 1.1 refused (alert 70)",
    "TLS 1.2: ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS 1.3: TLS_AES_128_GCM_SHA256",
    `trusted for ${HOST}`,
    "key: ECDSA, prime256v1",
    "no RSA certificate beside it, TLSv1.3",
    `GET /pluto/code/0000000000, 401: ${HSTS}`,
    `GET /pluto/public/monitor: 308 https://${HOST}/pluto/public/monitor`,
    "POST: 403, to be refused with 403",
    "example: says who may issue",
  ]) {
    assert.ok(ok.includes(text), `${text}:\n${stdout}`);
  }
  assert.equal(ok.filter((text) => /^TLS 1\.\d: /.test(text)).length, 6, "three suites of each version");
  assert.ok(lines(stdout, "note").includes('example CAA 0 issuewild ";"'), stdout);
});

test("CAA: none is a failure, a silent resolver is said, a record that binds nothing is noted", async () => {
  const more = ["--plain", String(ports.plain), "--ca", at("ca/ca.pem")];
  resolver.records = {};
  const none = await check(ports.tls, ...more);
  assert.deepEqual([none.code, lines(none.stdout, "FAIL")], [1, [`no CAA record at ${HOST} or above: any CA may issue`]]);
  resolver.records = { [HOST]: [["issue", "letsencrypt.org"]], example: [["issue", ";"]] };
  const loose = await check(ports.tls, ...more);
  assert.equal(loose.code, 0, loose.stdout);
  const notes = lines(loose.stdout, "note");
  assert.ok(notes.includes("1 of them bind neither account nor method (accounturi, validationmethods)"), loose.stdout);
  assert.ok(notes.includes("wildcards are as free as single names: no issuewild"), loose.stdout);
  resolver.isSilent = true;
  const silent = await check(ports.tls, ...more);
  resolver.isSilent = false;
  assert.equal(silent.code, 0, silent.stdout);
  assert.ok(lines(silent.stdout, "note").some((text) => text.startsWith(`not checked: no resolver answered for ${HOST}`)), silent.stdout);
});

test("a CA that nobody knows, and a name that the certificate does not have", async () => {
  resolver.records = { example: [["issue", ";"]] };
  const unknown = await check(ports.tls, "--plain", String(ports.plain));
  assert.equal(unknown.code, 1);
  assert.match(lines(unknown.stdout, "FAIL")[0], /^not trusted: /);
  const args = [`other.example:${ports.tls}`, "--connect", "127.0.0.1", "--plain", String(ports.plain), "--ca", at("ca/ca.pem"), "--resolver", resolver.address];
  const other = await run(join(ROOT, "scripts/check-tls"), args);
  assert.match(lines(other.stdout, "FAIL")[0], /^not trusted: ERR_TLS_CERT_ALTNAME_INVALID|^not trusted: Hostname/);
});

/** A host with everything wrong: old protocols, RSA beside ECDSA, no or a short HSTS, plain HTTP that answers. */
async function startCareless({ hsts }) {
  const rsa = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${HOST}`, "-addext", `subjectAltName=DNS:${HOST}`, "-days", "5"];
  await made(run("openssl", [...rsa, "-keyout", at("rsa.key"), "-out", at("rsa.pem")]));
  const files = ["rsa.key", "ca/server.key", "rsa.pem", "ca/server.pem"].map((name) => readFileSync(at(name)));
  const tls = { key: files.slice(0, 2), cert: files.slice(2), minVersion: "TLSv1", ciphers: "ALL:@SECLEVEL=0" };
  const answer = (request, response) => {
    if (hsts) response.setHeader("strict-transport-security", hsts);
    response.end("hello");
  };
  const servers = [httpsServer(tls, answer), httpServer(answer)];
  await Promise.all(servers.map((server) => new Promise((done) => server.listen(0, "127.0.0.1", done))));
  const [secure, plain] = servers.map((server) => server.address().port);
  return { secure, plain, close: () => servers.forEach((server) => server.close()) };
}

test("a careless host: each fault is a line of its own", async () => {
  resolver.records = { example: [["issue", ";"]] };
  const careless = await startCareless({ hsts: "max-age=31536000" });
  try {
    const { code, stdout } = await check(careless.secure, "--plain", String(careless.plain), "--ca", at("ca/ca.pem"), "--preload");
    assert.equal(code, 1);
    const failed = lines(stdout, "FAIL");
    for (const text of [
      "TLS 1.0 offered",
      "TLS 1.1 offered",
      "TLS 1.2: 0x002f, not one of ours",
      "TLS 1.2: 0xc02f, not one of ours",
      "an RSA certificate is served, TLSv1.2",
      "an RSA certificate is served, TLSv1.3",
      "GET /, 200: max-age=31536000",
      "GET /pluto/public/monitor: 200",
      "GET /, as the preload list asks: 200",
      "GET with a credential: 200, to be refused with 403",
      "POST: 200, to be refused with 403",
    ]) {
      assert.ok(failed.includes(text), `${text}:\n${stdout}`);
    }
    assert.ok(lines(stdout, "ok").some((text) => text.startsWith("SSL 3.0 refused")), "Node has none");
    assert.match(stdout, /\n\d+ of what is required do not hold\.\n$/);
  } finally {
    careless.close();
  }
});

test("plain HTTP that is closed is right; nothing at all is exit code 3; wrong usage is 2", async () => {
  resolver.records = { example: [["issue", ";"]] };
  const { closed } = await freePorts("closed");
  const shut = await check(ports.tls, "--plain", String(closed), "--ca", at("ca/ca.pem"), "--preload");
  assert.equal(shut.code, 0, shut.stdout);
  assert.ok(lines(shut.stdout, "ok").includes("closed"));
  const nothing = await check(closed);
  assert.equal(nothing.code, 3);
  assert.match(nothing.stderr, new RegExp(`^check-tls: ${HOST}:${closed}: connect ECONNREFUSED `));
  for (const args of [[], ["a b"], ["host:0"], ["host:65536"], ["host", "host"], ["host", "--plain", "x"], ["host", "--ca", at("none")], ["host", "--what"]]) {
    assert.equal((await run(join(ROOT, "scripts/check-tls"), args)).code, 2, args.join(" "));
  }
});
