// A signer of the link, written from RFC 9421 and the contract with nothing of the Rust code in it, and a client that
// talks to the origin's public listener as an edge does, or as an edge must not.

import { createHash, createHmac, randomBytes } from "node:crypto";
import { request as httpsRequest } from "node:https";

export const ALWAYS = [
  "@method", "@authority", "@path", "@query", "content-digest",
  "scanvault-host", "scanvault-client", "scanvault-request-id", "scanvault-credential",
];
const WHEN_PRESENT = ["authorization", "idempotency-key", "content-type"];

/**
 * The headers of a signed request. `key` is {id, region, secret}; `created`, `nonce` and the covered `names` can be
 * chosen; `extra` are headers that are sent, and covered where the contract covers them.
 */
export function sign(origin, { key, method = "GET", path, query = "", body = "", extra = {}, created = now(), nonce = randomBytes(16), names, alg = "hmac-sha256" }) {
  const headers = {
    host: new URL(origin).host,
    "content-digest": `sha-256=:${createHash("sha256").update(body).digest("base64")}:`,
    "scanvault-host": "pay.example",
    "scanvault-client": "203.0.113.7",
    "scanvault-request-id": randomBytes(16).toString("hex"),
    "scanvault-credential": extra.authorization ? "unverified" : "none",
    ...extra,
  };
  const covered = names ?? [...ALWAYS, ...WHEN_PRESENT.filter((name) => headers[name] !== undefined)];
  const values = { ...headers, "@method": method, "@authority": headers.host, "@path": path, "@query": `?${query}` };
  const parameters =
    `(${covered.map((name) => `"${name}"`).join(" ")});created=${created};nonce="${nonce.toString("base64url")}";` +
    `keyid="${key.id}";alg="${alg}";tag="${key.region}"`;
  const base = [...covered.map((name) => `"${name}": ${values[name]}`), `"@signature-params": ${parameters}`].join("\n");
  const mac = createHmac("sha256", key.secret).update(base).digest("base64");
  return {
    method,
    path: query === "" ? path : `${path}?${query}`,
    body,
    headers: { ...headers, "signature-input": `link=${parameters}`, signature: `link=:${mac}:` },
  };
}

export const now = () => Math.floor(Date.now() / 1000);

/** Sends it as it is, over a connection of its own; a header with an array is sent once per element. */
export function send(origin, ca, { method, path, headers, body = "" }) {
  const { hostname, port } = new URL(origin);
  const sent = body === "" ? headers : { "content-length": Buffer.byteLength(body), ...headers };
  return new Promise((done, failed) => {
    const request = httpsRequest({ hostname, port, path, method, headers: sent, ca, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", failed);
      response.on("end", () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    });
    request.on("error", failed);
    request.end(body);
  });
}
