// Writes jwe.json: sealed cards as a browser makes them, by WebCrypto (here Node's) and nothing else.
// The file is checked in; the ephemeral key and iv are random, so every run gives other vectors.

import { writeFileSync } from "node:fs";

const { subtle } = globalThis.crypto;
const b64u = (bytes) => Buffer.from(bytes).toString("base64url");
const text = (string) => new TextEncoder().encode(string);

async function seal(jwk, card, kid) {
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const theirs = await subtle.importKey("jwk", jwk, curve, false, []);
  const ours = await subtle.generateKey(curve, true, ["deriveBits"]);
  const { kty, crv, x, y } = await subtle.exportKey("jwk", ours.publicKey);
  const header = { alg: "ECDH-ES", enc: "A256GCM", kid, epk: { kty, crv, x, y }, typ: "scanvault-card+json" };
  const z = new Uint8Array(await subtle.deriveBits({ name: "ECDH", public: theirs }, ours.privateKey, 256));
  // RFC 7518 section 4.6.2: round ‖ Z ‖ AlgorithmID ‖ PartyUInfo ‖ PartyVInfo ‖ SuppPubInfo
  const info = Buffer.concat([
    Buffer.from([0, 0, 0, 1]), z, Buffer.from([0, 0, 0, 7]), text("A256GCM"), Buffer.alloc(8), Buffer.from([0, 0, 1, 0]),
  ]);
  const key = await subtle.importKey("raw", await subtle.digest("SHA-256", info), "AES-GCM", false, ["encrypt"]);
  const head = b64u(text(JSON.stringify(header)));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = new Uint8Array(
    await subtle.encrypt({ name: "AES-GCM", iv, additionalData: text(head), tagLength: 128 }, key, text(card)),
  );
  return [head, "", b64u(iv), b64u(sealed.slice(0, -16)), b64u(sealed.slice(-16))].join(".");
}

async function vector(card) {
  const pair = await subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  const { x, y, d } = await subtle.exportKey("jwk", pair.privateKey);
  // RFC 7638 thumbprint
  const kid = b64u(await subtle.digest("SHA-256", text(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`)));
  const plaintext = JSON.stringify(card);
  return { d, x, y, kid, plaintext, jwe: await seal({ kty: "EC", crv: "P-256", x, y }, plaintext, kid) };
}

const card = {
  attempt: "A".repeat(54), code: "0123456789", amount: 1000, currency: "ZAR", expires: 1767225600,
  pan: "4111111111111111", exp: "1230", csc: "123", name: "T. Tést",
};
const vectors = [await vector(card), await vector({ ...card, name: "", csc: "1234" })];
const source = `origin/vectors/generate-jwe.mjs (WebCrypto of Node ${process.version})`;
writeFileSync(new URL("jwe.json", import.meta.url), JSON.stringify({ source, vectors }, null, 2) + "\n");
