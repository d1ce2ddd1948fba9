// Sealing: JWE compact, ECDH-ES direct, A256GCM (RFC 7516, RFC 7518 §4.6). Card data leaves the page in this shape only.
// This file imports nothing, so that tests and shoppers without a browser can load it alone.

/** Seals `card` (any JSON value) to the public P-256 key `jwk`. Works in browsers and in Node. */
export async function sealCard(jwk, card) {
  const subtle = globalThis.crypto.subtle;
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const { kty, crv, x, y } = jwk;
  const theirs = await subtle.importKey("jwk", { kty, crv, x, y }, curve, false, []);
  const ours = await subtle.generateKey(curve, true, ["deriveBits"]);
  const epk = await subtle.exportKey("jwk", ours.publicKey);

  const header = base64url(utf8(JSON.stringify({
    alg: "ECDH-ES", enc: "A256GCM", kid: jwk.kid,
    epk: { kty: "EC", crv: "P-256", x: epk.x, y: epk.y },
    typ: "scanvault-card+json",
  })));
  const secret = new Uint8Array(await subtle.deriveBits({ name: "ECDH", public: theirs }, ours.privateKey, 256));
  const key = await subtle.importKey("raw", await concatKdf(secret), "AES-GCM", false, ["encrypt"]);
  const iv = globalThis.crypto.getRandomValues(new Uint8Array(12));
  const plain = utf8(JSON.stringify(card));
  const gcm = { name: "AES-GCM", iv, additionalData: utf8(header), tagLength: 128 };
  const sealed = new Uint8Array(await subtle.encrypt(gcm, key, plain));
  secret.fill(0);
  plain.fill(0);
  // The second part, the encrypted key, is empty: the agreed key is used directly.
  return [header, "", base64url(iv), base64url(sealed.slice(0, -16)), base64url(sealed.slice(-16))].join(".");
}

/** RFC 7518 §4.6.2 with empty apu and apv: one round of SHA-256 gives the 256 bits. */
async function concatKdf(secret) {
  const parts = [uint32(1), secret, uint32(7), utf8("A256GCM"), uint32(0), uint32(0), uint32(256)];
  return globalThis.crypto.subtle.digest("SHA-256", Uint8Array.from(parts.flatMap((part) => [...part])));
}

const utf8 = (text) => new TextEncoder().encode(text);
const uint32 = (n) => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
