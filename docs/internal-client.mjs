// A client of the internal vault API in a few lines: Node's own modules, nothing else. Tested as it is.
//
//   const vault = await connect({ url: "https://origin.example:8443", ca, region: "a", account: "billing", key: { id: "billing-1", secret } });
//   const { token } = await vault.store({ pan: "4111111111111111", exp: "1230" }, 3600);
//   const card = await vault.read(token, "charge of order 7");

import { createCipheriv, createDecipheriv, createECDH, createHash, createHmac, randomBytes } from "node:crypto";
import { Agent, request } from "node:https";

const PATH = "/pluto/internal/vault";
const b64u = (bytes) => Buffer.from(bytes).toString("base64url");
const un64 = (text) => Buffer.from(text, "base64url");
const u32 = (number) => Buffer.from(number.toString(16).padStart(8, "0"), "hex");
const field = (bytes) => Buffer.concat([u32(bytes.length), Buffer.from(bytes)]);

export async function connect({ url, ca, region, account, key }) {
  const agent = new Agent({ keepAlive: true, ca });
  const call = (method, path, body) => send({ agent, url, region, key, method, path: PATH + path, body });
  const secret = randomBytes(32);
  const pageKey = await call("GET", "/key");
  const { session } = await call("POST", "/sessions", { jwe: sealTo(pageKey, account, JSON.stringify({ key: b64u(secret) })) });
  return {
    store: (card, ttlSecs) => {
      const header = { alg: "dir", enc: "A256GCM", kid: session, typ: "scanvault-vault-card+json" };
      return call("POST", "/cards", { card: encrypt(secret, header, JSON.stringify(card)), ttlSecs });
    },
    read: async (token, purpose) => JSON.parse(decrypt(secret, (await call("POST", `/cards/${token}/read`, { purpose, session })).card)),
    show: (token) => call("GET", `/cards/${token}`),
    delete: (token) => call("DELETE", `/cards/${token}`),
    close: () => agent.destroy(),
  };
}

/** RFC 9421 over everything that is sent. */
function send({ agent, url, region, key, method, path, body }) {
  const text = body === undefined ? "" : JSON.stringify(body);
  const headers = {
    host: new URL(url).host,
    "content-digest": `sha-256=:${createHash("sha256").update(text).digest("base64")}:`,
    "scanvault-host": "internal",
    "scanvault-client": "unknown",
    "scanvault-request-id": randomBytes(16).toString("hex"),
    "scanvault-credential": "none",
    ...(text && { "content-type": "application/json" }),
  };
  const { host, ...covered } = headers;
  const values = { "@method": method, "@authority": host, "@path": path, "@query": "?", ...covered };
  const names = Object.keys(values).map((name) => `"${name}"`).join(" ");
  const parameters =
    `(${names});created=${Math.floor(Date.now() / 1000)};nonce="${b64u(randomBytes(16))}";keyid="${key.id}";alg="hmac-sha256";tag="${region}"`;
  const base = Object.entries(values).map(([name, value]) => `"${name}": ${value}\n`).join("") + `"@signature-params": ${parameters}`;
  const mac = createHmac("sha256", key.secret).update(base).digest("base64");
  const signed = { ...headers, "content-length": Buffer.byteLength(text), "signature-input": `link=${parameters}`, signature: `link=:${mac}:` };
  return new Promise((done, failed) => {
    const outgoing = request(url + path, { method, agent, headers: signed }, async (answer) => {
      let received = "";
      for await (const chunk of answer.setEncoding("utf8")) received += chunk;
      if (answer.statusCode === 204) return done(undefined);
      const parsed = received && JSON.parse(received);
      answer.statusCode === 200 ? done(parsed) : failed(Object.assign(new Error(parsed.detail ?? "not admitted"), { status: answer.statusCode, code: parsed.code }));
    });
    outgoing.on("error", failed);
    outgoing.end(text);
  });
}

/** ECDH-ES to the page key, for this account (RFC 7518 section 4.6). */
function sealTo(jwk, account, text) {
  const ours = createECDH("prime256v1");
  const point = ours.generateKeys();
  const z = ours.computeSecret(Buffer.concat([Buffer.of(4), un64(jwk.x), un64(jwk.y)]));
  const info = Buffer.concat([u32(1), z, field("A256GCM"), field(account), u32(0), u32(256)]);
  const epk = { kty: "EC", crv: "P-256", x: b64u(point.subarray(1, 33)), y: b64u(point.subarray(33)) };
  const header = { alg: "ECDH-ES", enc: "A256GCM", kid: jwk.kid, typ: "scanvault-vault-session+json", epk, apu: b64u(account) };
  return encrypt(createHash("sha256").update(info).digest(), header, text);
}

function encrypt(key, header, text) {
  const head = b64u(JSON.stringify(header));
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(head));
  const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
  return [head, "", b64u(iv), b64u(sealed), b64u(cipher.getAuthTag())].join(".");
}

function decrypt(key, compact) {
  const [head, , iv, sealed, tag] = compact.split(".");
  const cipher = createDecipheriv("aes-256-gcm", key, un64(iv)).setAAD(Buffer.from(head)).setAuthTag(un64(tag));
  return Buffer.concat([cipher.update(un64(sealed)), cipher.final()]).toString();
}
