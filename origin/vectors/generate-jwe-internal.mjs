// Writes jwe-internal.json: what an internal system sends, made by WebCrypto (here Node's) and nothing else. The answers
// that the vault gives are opened by it in docs/internal-client.mjs. The keys and ivs are random: every run gives others.

import { writeFileSync } from "node:fs";

const { subtle } = globalThis.crypto;
const b64u = (bytes) => Buffer.from(bytes).toString("base64url");
const text = (string) => new TextEncoder().encode(string);
const u32 = (number) => Buffer.from([number >>> 24, number >>> 16, number >>> 8, number]);
const CURVE = { name: "ECDH", namedCurve: "P-256" };

async function encrypt(raw, header, plaintext) {
  const key = await subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt"]);
  const head = b64u(text(JSON.stringify(header)));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv, additionalData: text(head) }, key, text(plaintext)));
  return [head, "", b64u(iv), b64u(sealed.slice(0, -16)), b64u(sealed.slice(-16))].join(".");
}

async function sealDir(typ, plaintext) {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const kid = b64u(crypto.getRandomValues(new Uint8Array(16)));
  const jwe = await encrypt(key, { alg: "dir", enc: "A256GCM", kid, typ }, plaintext);
  return { alg: "dir", typ, key: b64u(key), kid, plaintext, jwe };
}

async function sealTo(typ, account, plaintext) {
  const pair = await subtle.generateKey(CURVE, true, ["deriveBits"]);
  const { x, y, d } = await subtle.exportKey("jwk", pair.privateKey);
  const kid = b64u(await subtle.digest("SHA-256", text(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`)));
  const ours = await subtle.generateKey(CURVE, true, ["deriveBits"]);
  const epk = await subtle.exportKey("jwk", ours.publicKey);
  const z = await subtle.deriveBits({ name: "ECDH", public: pair.publicKey }, ours.privateKey, 256);
  // RFC 7518 section 4.6.2, PartyUInfo is the account
  const info = Buffer.concat([u32(1), Buffer.from(z), u32(7), text("A256GCM"), u32(account.length), text(account), u32(0), u32(256)]);
  const header = { alg: "ECDH-ES", enc: "A256GCM", kid, typ, epk: { kty: "EC", crv: "P-256", x: epk.x, y: epk.y }, apu: b64u(text(account)) };
  return { alg: "ECDH-ES", typ, account, d, kid, plaintext, jwe: await encrypt(await subtle.digest("SHA-256", info), header, plaintext) };
}

const CARD = "scanvault-vault-card+json";
const card = JSON.stringify({ pan: "4111111111111111", exp: "1230", name: "T. Tést" });
const session = JSON.stringify({ key: b64u(crypto.getRandomValues(new Uint8Array(32))) });
const vectors = [
  await sealDir(CARD, card),
  await sealTo(CARD, "billing", card),
  await sealTo("scanvault-vault-session+json", "billing", session),
];
const source = `origin/vectors/generate-jwe-internal.mjs (WebCrypto of Node ${process.version})`;
writeFileSync(new URL("jwe-internal.json", import.meta.url), JSON.stringify({ source, vectors }, null, 2) + "\n");
