// The login of docs/authentication.md, written once more from the reference with Node's crypto and nothing of the Rust
// code in it.

import assert from "node:assert/strict";
import { constants, createHash, createPublicKey, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from "node:crypto";
import { ask } from "../lib/answers.mjs";

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const oaep = (key) => ({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" });

/** A key pair and what is handed in of it. */
export function keyPair(modulusLength = 4096) {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength });
  return { privateKey, publicKey: publicKey.export({ type: "spki", format: "der" }).toString("base64") };
}

/** Enrols an account: its identity, its keys, its login password and the gateway's key. */
export async function enrol(world, identity, keys = keyPair()) {
  const { loginPassword } = await world.cli("account", "enrol", identity, "--public-key", keys.publicKey);
  world.secrets.add(`login password of ${identity}`, loginPassword);
  const { publicKey } = await world.cli("identity", "public-key");
  const gateway = createPublicKey({ key: Buffer.from(publicKey, "base64"), format: "der", type: "spki" });
  return { identity, keys, password: loginPassword, gateway };
}

/** The first call. `encrypted`: what is sent as client challenge, in place of 64 encrypted bytes. */
export async function challenge(edge, { identity, gateway }, { plain = randomBytes(64), encrypted } = {}) {
  const sent = encrypted ?? publicEncrypt(oaep(gateway), plain);
  const query = `identity=${encodeURIComponent(identity)}&clientChallenge=${encodeURIComponent(sent.toString("base64"))}`;
  const answer = await ask(edge, `/authentication/login-challenges?${query}`);
  assert.equal(answer.status, 200, answer.body.toString());
  assert.equal(answer.headers["content-type"], "application/json");
  const body = JSON.parse(answer.body);
  assert.deepEqual(Object.keys(body).sort(), ["base64EncodedChallenge", "base64EncodedClientChallengeResponse", "expires"]);
  assert.match(body.expires, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const [theirs, response] = [body.base64EncodedChallenge, body.base64EncodedClientChallengeResponse].map((text) => Buffer.from(text, "base64"));
  assert.deepEqual([theirs.length, response.length], [512, 32]);
  assert.equal(theirs.toString("base64"), body.base64EncodedChallenge, "standard, padded base64");
  return { theirs, proven: response.equals(sha256(plain)), expires: Date.parse(body.expires) };
}

/** The body of the second call. */
export function answerTo({ theirs }, { identity, keys, password }) {
  const opened = privateDecrypt(oaep(keys.privateKey), theirs);
  assert.equal(opened.length, 64);
  return {
    identity,
    password,
    base64EncodedChallengeHash: sha256(theirs).toString("base64"),
    base64EncodedChallengeResponse: sha256(opened).toString("base64"),
  };
}

export function postLogin(edge, body) {
  const headers = { "content-type": "application/json" };
  return ask(edge, "/authentication/login", { method: "POST", headers, body: JSON.stringify(body) });
}

/** The whole login; the answer of the second call. */
export async function login(edge, who) {
  const first = await challenge(edge, who);
  assert.ok(first.proven, "the gateway has its key");
  return postLogin(edge, answerTo(first, who));
}

/** A login that must work: its answer. */
export async function session(world, who) {
  const answer = await login(world.edge, who);
  assert.equal(answer.status, 200, answer.body.toString());
  const body = JSON.parse(answer.body);
  assert.deepEqual(Object.keys(body).sort(), ["expires", "headerName", "headerValue", "sessionId"]);
  assert.equal(body.headerName, "Authorization");
  assert.match(body.headerValue, /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/);
  assert.match(body.sessionId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.match(body.expires, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  world.secrets.add(`token of ${who.identity}`, body.headerValue.slice("Bearer ".length));
  return { ...body, authorization: body.headerValue };
}
