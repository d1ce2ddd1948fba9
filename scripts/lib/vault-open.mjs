// A second implementation of what opens the vault, from the descriptions of the formats and node:crypto alone: share
// text, Shamir's scheme, the record envelope (XAES-256-GCM) and the wrapped keys. For tests; it wipes nothing.

import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

// --- Shares ----------------------------------------------------------------------------------------------------------

/** The values, 0 to 31, of a share's 90 symbols. */
export function shareSymbols(text) {
  const symbols = text.trim().toLowerCase().replace(/^svshare1/, "").replace(/[\s-]/g, "");
  const values = [...symbols].map((symbol) => BASE32.indexOf(symbol));
  if (values.length !== 90 || values.includes(-1)) throw new Error("no share");
  return values;
}

export function parseShare(text) {
  const bits = shareSymbols(text).map((value) => value.toString(2).padStart(5, "0")).join("");
  const bytes = Buffer.from(bits.slice(0, 56 * 8).match(/.{8}/g).map((octet) => Number.parseInt(octet, 2)));
  const body = bytes.subarray(0, 52);
  const sum = createHash("sha256").update("scanvault/share-checksum/v1\0").update(body).digest().subarray(0, 4);
  if (!sum.equals(bytes.subarray(52)) || body[0] !== 1) throw new Error("mistyped, or of another version");
  return { setId: body.subarray(1, 17), generation: body.readUInt16BE(17), index: body[19], y: body.subarray(20) };
}

/** What the vault keeps of a share. */
export function shareHash({ setId, generation, index, y }) {
  const place = Buffer.from([generation >> 8, generation & 255, index]);
  return createHash("sha256").update("scanvault/share-hash/v1\0").update(setId).update(place).update(y).digest();
}

/** Interpolates at 0 over GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1, byte by byte. Too few shares give a wrong key. */
export function combine(shares) {
  const weights = shares.map(({ index }) =>
    shares.filter((other) => other.index !== index).reduce((weight, other) => multiply(weight, multiply(other.index, invert(other.index ^ index))), 1),
  );
  return Buffer.from(Array.from({ length: 32 }, (_, at) => shares.reduce((sum, { y }, n) => sum ^ multiply(weights[n], y[at]), 0)));
}

function multiply(a, b) {
  let product = 0;
  for (; b !== 0; b >>= 1) {
    if (b & 1) product ^= a;
    a = a & 0x80 ? ((a << 1) ^ 0x11d) & 255 : a << 1;
  }
  return product;
}

const invert = (a) => Array.from({ length: 254 }).reduce((power) => multiply(power, a), 1);

// --- Envelopes -------------------------------------------------------------------------------------------------------

/** C2SP XAES-256-GCM: the key of AES-256-GCM for the first half of a 24-byte nonce, by NIST SP 800-108 with CMAC. */
function derivedKey(key, half) {
  const block = (bytes) => createCipheriv("aes-256-ecb", key, null).setAutoPadding(false).update(bytes);
  const zero = block(Buffer.alloc(16));
  const k1 = Buffer.from(zero.map((byte, at) => ((byte << 1) & 255) | ((zero[at + 1] ?? 0) >> 7)));
  if (zero[0] & 0x80) k1[15] ^= 0x87;
  const parts = [1, 2].map((counter) => block(Buffer.concat([Buffer.from([0, counter, 0x58, 0]), half]).map((byte, at) => byte ^ k1[at])));
  return Buffer.concat(parts);
}

export function xaesOpen(key, nonce, aad, sealed) {
  const decipher = createDecipheriv("aes-256-gcm", derivedKey(key, nonce.subarray(0, 12)), nonce.subarray(12));
  decipher.setAAD(aad).setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const prefixed = (field) => Buffer.concat([u32(field.length), field]);

/** Throws unless `key` opens the envelope at exactly that place. `rowVersion` may be a BigInt. */
export function openEnvelope(key, { account, table, row, column, rowVersion }, envelope) {
  if (envelope[0] !== 1 || envelope.length < 45) throw new Error("no envelope of ours");
  const version = Buffer.alloc(8);
  version.writeBigUInt64BE(BigInt(rowVersion));
  const texts = [account, table, row, column].map((text) => Buffer.from(text));
  const aad = Buffer.concat([envelope.subarray(0, 1), ...texts, envelope.subarray(1, 5), version].map(prefixed));
  return xaesOpen(key, envelope.subarray(5, 29), aad, envelope.subarray(29));
}

// --- The vault as it is stored ---------------------------------------------------------------------------------------

/** Its rows, by way of `rows(sql)`; blobs come as hexadecimal text, from PostgreSQL behind `\x`. */
export function readVault(rows) {
  const blob = (text) => Buffer.from((text ?? "").replace(/^\\x/, ""), "hex");
  const [vault] = rows("SELECT share_set, wrapped_root FROM vault");
  const keys = rows("SELECT kind, id, wrapped, state, created_at_ms FROM vault_keys WHERE state <> 'destroyed' ORDER BY kind, id");
  return {
    shareSet: JSON.parse(vault.share_set),
    wrappedRoot: blob(vault.wrapped_root),
    keys: keys.map((key) => ({ ...key, wrapped: blob(key.wrapped) })),
  };
}

/** Opens root and ring with an unseal key; throws unless it is the right one. */
export function openVault({ shareSet, wrappedRoot, keys }, unsealKey) {
  const { setId, generation } = shareSet;
  const place = { account: "", table: "vault_root", row: setId, column: "key", rowVersion: generation };
  const root = openEnvelope(unsealKey, place, wrappedRoot);
  const ring = keys.map(({ kind, id, wrapped, state, created_at_ms: rowVersion }) => {
    const own = { account: "", table: "vault_keys", row: `${kind}/${id}`, column: state, rowVersion };
    return { kind, id: Number(id), state, material: openEnvelope(root, own, wrapped) };
  });
  return { unsealKey, root, ring };
}

/** Keyed hash of a card number. */
export function fingerprint(key, account, pan) {
  return createHmac("sha256", key).update("scanvault/fingerprint/v1\0").update(prefixed(Buffer.from(account))).update(pan).digest();
}
