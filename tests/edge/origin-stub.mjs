// An origin for the tests: real TLS, and the link signature checked anew from RFC 9421 and the contract, with nothing
// of the Rust code in it.

import { createHash, createHmac } from "node:crypto";
import { createServer } from "node:https";
import { once } from "node:events";
import { selfSigned } from "./certificate.mjs";

export const LINK_KEY = { id: "edge-test", secret: Buffer.alloc(32, 7), region: "a" };

const ALWAYS = ["@method", "@authority", "@path", "@query", "content-digest"];
const SET_BY_THE_EDGE = ["scanvault-host", "scanvault-client", "scanvault-request-id", "scanvault-credential"];
const WHEN_PRESENT = ["authorization", "idempotency-key", "content-type"];
const INPUT =
  /^link=\((?<names>[^)]*)\);created=(?<created>\d+);nonce="(?<nonce>[A-Za-z0-9_-]{22})";keyid="(?<id>[^"]+)";alg="hmac-sha256";tag="(?<tag>[^"]+)"$/;

const REGION_STATE = "/pluto/internal/region";

/**
 * Starts the stub of a region. `respond(seen, response)` is set by each test; `requests` is what arrived for a client,
 * `probes` what an edge asked for itself: that is answered with `state`, or by `probed`. `tls` may be shared.
 */
export async function startOrigin({ region = LINK_KEY.region, tls = selfSigned() } = {}) {
  const origin = { region, tls, ca: tls.cert, requests: [], probes: [], nonces: new Set(), connections: 0, respond: answerJson };
  origin.state = { region, version: "0.1.0", sealed: false, serves: true, epoch: 0 };
  origin.tellState = (seen, response) => answerJson(seen, response, 200, JSON.stringify(origin.state));
  origin.probed = origin.tellState;
  // As much of a head as the origin's listener takes.
  const server = createServer({ ...tls, maxHeaderSize: 32 * 1024 }, async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const seen = {
      method: request.method,
      url: request.url,
      headers: request.headers,
      names: request.rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()),
      body: Buffer.concat(chunks),
    };
    seen.refusal = whyNotSigned(seen, origin);
    const isProbe = seen.url === REGION_STATE;
    (isProbe ? origin.probes : origin.requests).push(seen);
    (isProbe ? origin.probed : origin.respond)(seen, response);
  });
  server.on("connection", () => (origin.connections += 1));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin.url = `https://localhost:${server.address().port}`;
  origin.close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return origin;
}

/** What the origin answers when nothing else is said: the echo that makes it the origin, and a small body. */
export function answerJson(seen, response, status = 200, body = '{"ok":true}', headers = {}) {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "scanvault-request-id": seen.headers["scanvault-request-id"],
    ...headers,
  });
  response.end(seen.method === "HEAD" ? undefined : body);
}

/** undefined when the signature holds, else why it does not. */
function whyNotSigned({ method, url, headers, body }, { nonces, region }) {
  const match = INPUT.exec(headers["signature-input"] ?? "");
  if (!match) return `signature-input: ${headers["signature-input"]}`;
  const { names, created, nonce, id, tag } = match.groups;
  if (id !== LINK_KEY.id || tag !== region) return `key ${id}, region ${tag}`;
  if (Math.abs(Date.now() / 1000 - Number(created)) > 30) return `created ${created}`;
  if (nonces.has(nonce)) return "nonce used twice";
  nonces.add(nonce);
  const covered = [...ALWAYS, ...SET_BY_THE_EDGE, ...WHEN_PRESENT.filter((name) => headers[name] !== undefined)];
  if (names !== covered.map((name) => `"${name}"`).join(" ")) return `covers ${names}`;
  const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  if (headers["content-digest"] !== digest) return `digest ${headers["content-digest"]}`;
  const at = url.indexOf("?");
  const derived = {
    "@method": method,
    "@authority": headers.host,
    "@path": at < 0 ? url : url.slice(0, at),
    "@query": at < 0 ? "?" : url.slice(at),
  };
  const lines = covered.map((name) => `"${name}": ${derived[name] ?? headers[name]}`);
  lines.push(`"@signature-params": ${headers["signature-input"].slice("link=".length)}`);
  const mac = createHmac("sha256", LINK_KEY.secret).update(lines.join("\n")).digest("base64");
  return headers.signature === `link=:${mac}:` ? undefined : "wrong signature";
}
