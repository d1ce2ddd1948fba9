// TLS of the origin's listeners, as other implementations see it: what OpenSSL can and cannot agree on, who comes in with
// which certificate, and certificates replaced under load with the vault open.

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { after, before, test } from "node:test";
import { connect } from "node:tls";
import { ask } from "../lib/answers.mjs";
import { sign } from "./link.mjs";
import { payPath } from "./shopper.mjs";
import { SANDBOX, SCANVAULT, World, freePorts, made, run, until } from "./world.mjs";

const WEAK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
const TLS12 = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"];
const TLS13 = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];
const NOBODY = payPath("0000000000");

let world, admin;
const at = (...parts) => world.at(...parts);

before(async () => {
  world = new World("sqlite");
  world.limits = "off"; // the load comes from one address
  for (const [dir, ...clients] of [["edges", "edge", "billing"], ["new-edges", "edge"], ["operators-ca", "alice"], ["new-operators-ca", "bob"]]) {
    await made(run(SANDBOX, ["dev-ca", "--dir", at(dir), ...clients.flatMap((name) => ["--client", name])]));
  }
  ({ admin } = await freePorts("admin"));
  const identity = async (pem) => (await run(SCANVAULT, ["operator", "fingerprint", "--cert", at(pem)])).stdout.trim();
  const lines = [
    `root operator,auditor uid:${process.getuid()}`,
    `alice operator ${await identity("operators-ca/alice.pem")}`,
    `bob operator ${await identity("new-operators-ca/bob.pem")}`,
  ];
  writeFileSync(at("operators"), `${lines.join("\n")}\n`, { mode: 0o600 });
  mkdirSync(at("live"));
  for (const [from, to] of [["edges/ca.pem", "edges.pem"], ["operators-ca/ca.pem", "operators.pem"]]) copyFileSync(at(from), at("live", to));
  world.originSettings = {
    SCANVAULT_TLS_CLIENT_CA: at("live/edges.pem"),
    SCANVAULT_OPERATORS: at("operators"),
    SCANVAULT_ADMIN_LISTEN: `127.0.0.1:${admin}`,
    SCANVAULT_ADMIN_CLIENT_CA: at("live/operators.pem"),
  };
  world.edgeClient = { cert: at("edges/edge.pem"), key: at("edges/edge.key") };
  await world.start();
  await world.init();
  await world.unseal();
});
after(() => world?.close());

// --- What can be agreed on -------------------------------------------------------------------------------------------

const port = () => new URL(world.origin).port;
const own = (dir = "edges", name = "edge") => ({ cert: readFileSync(at(dir, `${name}.pem`)), key: readFileSync(at(dir, `${name}.key`)) });

/** A handshake by OpenSSL's own client; whether it came about, and what it said. */
async function handshake(...options) {
  const edge = ["-cert", at("edges/edge.pem"), "-key", at("edges/edge.key")];
  const trust = ["-CAfile", at("ca/ca.pem"), "-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost"];
  const { code, stdout, stderr } = await run("openssl", ["s_client", "-connect", `127.0.0.1:${port()}`, ...trust, ...edge, ...options]);
  return { agreed: code === 0 && /^Verification: OK$/m.test(stdout), text: stdout + stderr };
}

async function offered(protocol) {
  const { stdout } = await run("openssl", ["ciphers", "-s", protocol, WEAK]);
  const names = stdout.trim().split(":").filter((name) => !name.startsWith("TLS_"));
  assert.ok(names.length > 60, stdout);
  return names;
}

test("TLS 1.2 and 1.3, ECDSA certificate; nothing older", async () => {
  for (const [protocol, name] of [["-tls1_2", "TLSv1.2"], ["-tls1_3", "TLSv1.3"]]) {
    const { agreed, text } = await handshake(protocol);
    assert.ok(agreed, text);
    assert.match(text, new RegExp(`^New, ${name}, Cipher is `, "m"));
    assert.match(text, /^Server public key is 256 bit$/m);
    assert.match(text, /^Peer signature type: ECDSA$/m);
    assert.match(text, /^Compression: NONE$/m);
  }
  for (const protocol of ["-tls1", "-tls1_1"]) {
    const { agreed, text } = await handshake(protocol, "-cipher", WEAK);
    assert.ok(!agreed, protocol);
    assert.match(text, /alert (protocol version|handshake failure)/, protocol);
  }
});

test("three suites of each version, and no other that OpenSSL has", async () => {
  const taken = [];
  for (const cipher of await offered("-tls1_2")) {
    const { agreed, text } = await handshake("-tls1_2", "-cipher", `${cipher}:@SECLEVEL=0`);
    if (agreed) taken.push(cipher);
    else assert.match(text, /alert handshake failure|no ciphers available|no protocols available/, `${cipher}: ${text}`);
  }
  assert.deepEqual(taken.toSorted(), TLS12.toSorted());
  const of13 = [];
  for (const suite of [...TLS13, "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]) {
    if ((await handshake("-tls1_3", "-ciphersuites", suite)).agreed) of13.push(suite);
  }
  assert.deepEqual(of13, TLS13);
});

test("the server's order of suites; curves; no RSA signature; no renegotiation", async () => {
  const { text } = await handshake("-tls1_2", "-cipher", TLS12.toReversed().join(":"));
  assert.match(text, new RegExp(`Cipher is ${TLS12[0]}$`, "m"));
  for (const group of ["X25519", "P-256", "P-384"]) assert.ok((await handshake("-tls1_3", "-groups", group)).agreed, group);
  // In TLS 1.2 the list of groups also says which certificates the client takes: ours is of P-256.
  for (const [groups, chosen] of [["P-256", "ECDH, prime256v1"], ["X25519:P-256", "X25519"]]) {
    assert.match((await handshake("-tls1_2", "-groups", groups)).text, new RegExp(`^Server Temp Key: ${chosen}, `, "m"));
  }
  for (const group of ["P-521", "X448", "ffdhe2048", "brainpoolP256r1", "secp256k1", "P-224"]) {
    for (const protocol of ["-tls1_2", "-tls1_3"]) assert.ok(!(await handshake(protocol, "-groups", group)).agreed, `${protocol} ${group}`);
  }
  for (const algorithm of ["RSA-PSS+SHA256", "rsa_pss_rsae_sha256", "RSA+SHA256", "ECDSA+SHA1"]) {
    for (const protocol of ["-tls1_2", "-tls1_3"]) assert.ok(!(await handshake(protocol, "-sigalgs", algorithm)).agreed, `${protocol} ${algorithm}`);
  }
  const twice = await run("sh", ["-c", `(sleep 1; echo R; sleep 1) | openssl s_client -connect 127.0.0.1:${port()} -tls1_2 -cert "$0" -key "$1"`, at("edges/edge.pem"), at("edges/edge.key")]);
  assert.match(twice.stdout + twice.stderr, /no renegotiation|unexpected message/);
});

// --- Who comes in ----------------------------------------------------------------------------------------------------

/** The status of an unsigned request, or why there is no connection. */
function knock(to, { cert, key } = {}) {
  return new Promise((done) => {
    const options = { port: to, host: "localhost", path: "/", ca: world.ca, cert, key, agent: false };
    const request = httpsRequest(options, (response) => {
      response.resume();
      done(response.statusCode);
    });
    request.on("error", (error) => done(error.code));
    request.end();
  });
}

test("with a client CA, only its certificates come in, and only an edge's signature after that", async () => {
  assert.equal(await knock(port(), own()), 401, "the signature is missing");
  assert.equal(await knock(port(), own("edges", "billing")), 401);
  assert.equal(await knock(port()), "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
  assert.match(await knock(port(), own("new-edges")), /ALERT_UNKNOWN_CA/);
  assert.match(await knock(port(), { cert: readFileSync(at("edges/server.pem")), key: readFileSync(at("edges/server.key")) }), /ALERT_UNSUPPORTED_CERTIFICATE/);
  assert.equal((await ask(world.edge, NOBODY)).status, 404, "the edge shows its own");
  world.edgeClient = undefined;
  const [bare] = await world.startMoreEdges(1);
  assert.equal((await ask(bare, NOBODY)).status, 503);
});

test("a session is not resumed: every connection proves its key", async () => {
  for (const protocol of ["-tls1_2", "-tls1_3"]) {
    const session = at(`session${protocol}`);
    await handshake(protocol, "-sess_out", session);
    writeFileSync(session, "", { flag: "a" });
    const { text } = await handshake(protocol, ...(readFileSync(session).length > 0 ? ["-sess_in", session] : []));
    assert.doesNotMatch(text, /^Reused/m);
  }
});

// --- Replaced while it runs ------------------------------------------------------------------------------------------

/** The certificate that a new connection is shown. */
function shown(to, client = own()) {
  return new Promise((done, failed) => {
    const socket = connect({ port: to, host: "localhost", ca: world.ca, servername: "localhost", ...client }, () => {
      done(socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase());
      socket.destroy();
    });
    socket.on("error", failed);
  });
}

const fingerprint = (pem) => createHash("sha256").update(new X509Certificate(readFileSync(pem)).raw).digest("hex");

/** A certificate of the world's CA for localhost: ECDSA, unless another kind of key is asked for. */
async function issue(name, ...key) {
  const kind = key.length > 0 ? key : ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  const request = ["req", ...kind, "-nodes", "-subj", "/CN=renewed", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  await made(run("openssl", [...request, "-keyout", at(`${name}.key`), "-out", at(`${name}.csr`)]));
  const sign = ["x509", "-req", "-in", at(`${name}.csr`), "-CA", at("ca/ca.pem"), "-CAkey", at("ca/ca.key"), "-days", "30", "-copy_extensions", "copy"];
  await made(run("openssl", [...sign, "-out", at(`${name}.pem`)]));
}

function install(cert, key) {
  copyFileSync(cert, at("ca/server.pem"));
  copyFileSync(key, at("ca/server.key"));
}

/** SIGHUP, and what the log then says of each listener. */
async function hangUp() {
  const about = () => world.logLines("origin").filter(({ message = "" }) => message.startsWith("certificate "));
  const before = about().length;
  process.kill(world.originProcess.pid, "SIGHUP");
  await until("both listeners are read again", () => about().length === before + 2);
  const said = about().slice(before);
  assert.deepEqual(said.map(({ listener }) => listener), ["public", "admin"]);
  return said.map(({ message, certificate, cause }) => (message === "certificate replaced" ? certificate : cause));
}

/** Signed reads, one after the other over one connection that is kept. */
class Kept {
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
  sockets = new Set();
  answered = 0;

  constructor(client) {
    this.client = client;
  }

  ask() {
    const { origin, ca, linkKeys } = world;
    const { method, path, headers } = sign(origin, { key: linkKeys[0], path: NOBODY });
    return new Promise((done, failed) => {
      const options = { port: port(), host: "localhost", method, path, headers, ca, agent: this.agent, ...this.client };
      const request = httpsRequest(options, (response) => {
        this.sockets.add(request.socket);
        response.resume();
        response.on("end", () => done(response.statusCode));
      });
      request.on("error", failed);
      request.end();
    });
  }
}

test("certificate and key are replaced under load: no request fails, no connection ends, the vault stays open", async () => {
  const before = await shown(port());
  assert.equal(before, fingerprint(at("ca/server.pem")));
  const kept = new Kept(own());
  assert.equal(await kept.ask(), 404);
  let ending = false;
  const statuses = new Map();
  const count = (status) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const throughEdge = async () => {
    while (!ending) count((await ask(world.edge, NOBODY)).status);
  };
  const overOne = async () => {
    while (!ending) count(await kept.ask());
  };
  const load = Promise.all([throughEdge(), throughEdge(), throughEdge(), overOne()]);
  try {
    for (const name of ["first", "second", "third"]) {
      await issue(name);
      install(at(`${name}.pem`), at(`${name}.key`));
      const identity = `cert:sha256:${fingerprint(at(`${name}.pem`))}`;
      assert.deepEqual(await hangUp(), [identity, identity]);
      assert.equal(await shown(port()), fingerprint(at(`${name}.pem`)));
      assert.equal(await shown(admin, own("operators-ca", "alice")), fingerprint(at(`${name}.pem`)));
    }
  } finally {
    ending = true;
    await load;
  }
  assert.deepEqual([...statuses.keys()], [404], `${[...statuses]}`);
  assert.ok(statuses.get(404) > 50, `${[...statuses]}`);
  assert.equal(kept.sockets.size, 1, "one connection through all of it");
  assert.equal((await world.status()).sealed, false);
});

test("files that are broken change nothing, and the log says what is wrong", async () => {
  const served = await shown(port());
  const same = async (what, cause) => {
    const said = await hangUp();
    for (const text of said) assert.match(text, cause, what);
    assert.equal(await shown(port()), served, what);
    assert.equal((await ask(world.edge, NOBODY)).status, 404, what);
  };
  await issue("other");
  await issue("rsa", "-newkey", "rsa:2048");
  writeFileSync(at("garbage.pem"), "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n");
  writeFileSync(at("empty.pem"), "");
  const [cert, key] = [at("other.pem"), at("other.key")];
  for (const [what, files, cause] of [
    ["a key of another certificate", [cert, at("third.key")], /^certificate: .*(Inconsistent|Mismatch|inconsistent)/],
    ["no PEM", [at("garbage.pem"), key], /server\.pem|base64|Base64/],
    ["no certificate in it", [at("empty.pem"), key], /certificate/i],
    ["no key in it", [cert, at("empty.pem")], /server\.key/],
    ["an RSA certificate", [at("rsa.pem"), at("rsa.key")], /must be ECDSA/],
  ]) {
    install(...files);
    await same(what, cause);
  }
  install(cert, key);
  assert.equal((await hangUp())[0], `cert:sha256:${fingerprint(cert)}`);
});

test("the client CAs are replaced: who is new comes in, who is old does not, who is in stays", async () => {
  const kept = new Kept(own());
  assert.equal(await kept.ask(), 404);
  const whoami = (dir, name) => world.scanvault(["operator", "whoami"], {
    env: { ADMIN_URL: `https://localhost:${admin}`, ADMIN_CERT: at(dir, `${name}.pem`), ADMIN_KEY: at(dir, `${name}.key`), ADMIN_CA: at("ca/ca.pem") },
  });
  const codes = async () => [(await whoami("operators-ca", "alice")).code, (await whoami("new-operators-ca", "bob")).code];
  assert.deepEqual(await codes(), [0, 3]);
  // Each listener stands alone: a broken file for operators does not keep the edges' CA from being read.
  const both = [readFileSync(at("edges/ca.pem")), readFileSync(at("new-edges/ca.pem"))];
  writeFileSync(at("live/edges.pem"), Buffer.concat(both));
  writeFileSync(at("live/operators.pem"), "# nobody\n");
  const [edges, operators] = await hangUp();
  assert.match(edges, /^cert:sha256:/);
  assert.match(operators, /operators\.pem: no root trust anchors were provided/);
  assert.deepEqual([await knock(port(), own()), await knock(port(), own("new-edges"))], [401, 401], "both, while edges change");
  assert.deepEqual(await codes(), [0, 3]);

  copyFileSync(at("new-edges/ca.pem"), at("live/edges.pem"));
  copyFileSync(at("new-operators-ca/ca.pem"), at("live/operators.pem"));
  await hangUp();
  assert.deepEqual(await codes(), [3, 0]);
  assert.match(await knock(port(), own()), /ALERT_UNKNOWN_CA/);
  assert.equal(await knock(port(), own("new-edges")), 401);
  assert.equal(await kept.ask(), 404);
  assert.equal(kept.sockets.size, 1);
});

test("nothing secret stands in a log or in the database", () => world.assertNothingLeaked());
