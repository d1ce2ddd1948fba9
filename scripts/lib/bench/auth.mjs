// What credentials cost at the edge: the built worker beside itself without one, and beside a JavaScript worker that
// does nothing but WebCrypto's check of the same tokens, in the same workerd process.

import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { get } from "node:http";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { apiPassword } from "../../../tests/lib/answers.mjs";
import { writeConfig } from "../workerd.mjs";
import { edgeWorker } from "./edge-worker.mjs";
import { load } from "./load.mjs";
import { endAll, freePorts, listening, start } from "./processes.mjs";
import { measure, print } from "./table.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const WORK = process.env.BENCH_WORK;
const CA = join(WORK, "ca");
const CODE = "/pluto/code/0123456789";
const ISSUER = "https://pay.example";
// More than twice what an isolate remembers: when one comes round again, it has been forgotten.
const TOKENS = 10_000;

const text = { type: "string" };
// `--samples` is of the other half, the logins: scripts/bench gives both the same line.
const { values } = parseArgs({ options: { rounds: text, seconds: text, connections: text, samples: text } });
const settings = {
  rounds: Number(values.rounds ?? 5),
  seconds: Number(values.seconds ?? 2),
  connections: Number(values.connections ?? 16),
};
if (Object.values(settings).some((value) => !(value > 0))) throw new Error("--rounds, --seconds and --connections are positive numbers");

const pair = generateKeyPairSync("ed25519");
const publicKey = pair.publicKey.export({ format: "jwk" }).x;
const password = apiPassword(randomBytes(32));
const told = {
  basic: { "scanvault-credential-record": `merchant-25 basic EXTERNAL 1 ${createHash("sha256").update(password).digest("base64url")}` },
  bearer: { "scanvault-token-keys": `${ISSUER} 1=${publicKey}` },
};

execFileSync(join(process.env.SCANVAULT_BINARIES, "sandbox"), ["dev-ca", "--dir", CA]);
writeFileSync(join(WORK, "told.json"), JSON.stringify(told));
try {
  await benchCredentials();
} finally {
  await endAll();
}
console.log(`\n${cpus().length} cores, ${settings.connections} connections, median of ${settings.rounds} alternating rounds of ${settings.seconds} s`);

async function benchCredentials() {
  const [backend, ours, theirs] = await freePorts(3);
  const files = [join(CA, "server.pem"), join(CA, "server.key"), join(WORK, "told.json")];
  await start("backend", [process.execPath, join(HERE, "backend.mjs"), String(backend), ...files], { dir: WORK, ready: listening });
  const origin = `https://localhost:${backend}`;
  const bindings = { ORIGIN_URL: origin, TOKEN_KEY: Buffer.from(publicKey, "base64url").toString("base64") };
  const command = writeConfig({
    dir: join(WORK, "auth"),
    trust: join(CA, "ca.pem"),
    workers: [
      edgeWorker({ port: ours, origin }),
      { name: "js", modules: [join(HERE, "auth-worker.js")], bindings, listen: `127.0.0.1:${theirs}` },
    ],
  });
  const urls = [`http://127.0.0.1:${ours}/pluto/public/monitor`, `http://127.0.0.1:${theirs}/hello`];
  const ready = async () => (await Promise.all(urls.map(statusOf))).every((status) => status === 200);
  const workerd = await start("workerd", command, { dir: WORK, ready });
  const all = credentialRows({ ours, theirs, pid: workerd.pid });
  // What lies close together is measured close together: shorter turns, more of them, nothing else in between.
  const close = { ...settings, rounds: 2 * settings.rounds, seconds: settings.seconds / 2, load };
  const known = await measure(all.slice(0, 3), close);
  print("Credentials that the edge knows", known);
  const rate = (at) => (known[at].rate / known[0].rate).toFixed(2);
  console.log(`\nBasic ${rate(1)}, repeated Bearer ${rate(2)} of no credential (goal: at least 0.9)`);
  const rows = await measure(all.filter((_, at) => at === 0 || at > 2), { ...settings, load });
  print("A token's first check", rows);
  printGoals(rows);
}

function credentialRows({ ours, theirs, pid }) {
  const row = (port, name, request, more) => ({ name, pid, port, request, ...more });
  const plain = "ours, no credential";
  const once = tokens(["EXTERNAL"]);
  const elsewhere = tokens(["STK"]);
  const repeated = once();
  const basic = `Basic ${Buffer.from(`merchant-25:${password}`).toString("base64")}`;
  const asked = (path, authorization) => () => ({ path, headers: { authorization: authorization() } });
  return [
    row(ours, plain, () => ({ path: "/Q/0123456789" })),
    row(ours, "ours, Basic", asked(CODE, () => basic), { beside: plain }),
    row(ours, "ours, repeated Bearer", asked(CODE, () => repeated), { beside: plain }),
    row(ours, "ours, first Bearer", asked(CODE, once), { beside: plain }),
    // Judged and refused here, as its role is another one: nothing but the check, and an answer. It follows the row that
    // has the edge told of the key. Beside it the same refusal without a check.
    row(ours, "ours, first Bearer, refused", asked(CODE, elsewhere), { expect: 403, beside: "JS, verify" }),
    row(ours, "ours, refusal", asked(CODE, () => "Basic x"), { expect: 401, beside: "JS, hello" }),
    row(theirs, "JS, no credential", () => ({ path: "/forward" })),
    row(theirs, "JS, verify and forward", asked("/forward", once), { beside: "JS, no credential" }),
    row(theirs, "JS, hello", () => ({ path: "/hello" })),
    row(theirs, "JS, verify", asked("/verify", once), { beside: "JS, hello" }),
  ];
}

/** What the goal is about: the CPU time that a check adds to the same request. */
function printGoals(rows) {
  const of = (name) => rows.find((row) => row.name === name);
  const added = (name, without) => of(name).cost - of(without).cost;
  console.log("");
  for (const [what, ours, theirs] of [
    ["refused at the edge", added("ours, first Bearer, refused", "ours, refusal"), added("JS, verify", "JS, hello")],
    ["forwarded", added("ours, first Bearer", "ours, no credential"), added("JS, verify and forward", "JS, no credential")],
  ]) {
    const ratio = (ours / theirs).toFixed(2);
    console.log(`CPU of a first Bearer's check, ${what}: ours ${ours.toFixed(0)} us, JS ${theirs.toFixed(0)} us, ratio ${ratio} (goal: at most 1.5)`);
  }
}

/** Tokens signed beforehand, one after the other and round again. */
function tokens(roles) {
  const part = (value) => Buffer.from(value).toString("base64url");
  const header = part(JSON.stringify({ alg: "EdDSA", typ: "JWT", kid: "1" }));
  const iat = Math.floor(Date.now() / 1000);
  const all = Array.from({ length: TOKENS }, (_, n) => {
    const jti = `c056b2d8-d6d1-4ea6-8752-${String(n).padStart(12, "0")}`;
    const claims = { iss: ISSUER, aud: "scanvault", sub: "merchant-25", jti, iat, exp: iat + 1800, cv: 1, roles };
    const signed = `${header}.${part(JSON.stringify(claims))}`;
    return `Bearer ${signed}.${part(sign(null, Buffer.from(signed), pair.privateKey))}`;
  });
  let next = 0;
  return () => all[next++ % TOKENS];
}

function statusOf(url) {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on("error", reject);
  });
}
