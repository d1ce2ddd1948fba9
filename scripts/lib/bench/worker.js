// What a plain JavaScript worker does with the same requests, in the same workerd: the yardstick of scripts/bench.

import QRCode from "qrcode";
import { toPng } from "./png.js";

const TYPES = { png: "image/png", svg: "image/svg+xml" };

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/hello") return new Response("ok");
    if (url.pathname === "/hello/unchanged") return new Response(null, { status: 304, headers: HEADERS });
    if (url.pathname.startsWith("/hello/")) return hello(url.pathname === "/hello/logged");
    if (url.pathname.startsWith("/alike/")) return forwardAlike(request, url, env);
    const qr = /^\/qr\/(\d{10})\.(png|svg)$/.exec(url.pathname);
    if (!qr) return forward(request, url, env);
    const text = `${env.PUBLIC_URL}/Q/${qr[1]}`;
    const headers = { "content-type": TYPES[qr[2]] };
    if (qr[2] === "svg") return new Response(await QRCode.toString(text, { type: "svg" }), { headers });
    return new Response(await toPng(QRCode.create(text), Number(url.searchParams.get("size"))), { headers });
  },
};

// The headers of an image of ours, and a line as ours.
const HEADERS = {
  etag: '"0123456789abcdef0123456789abcdef"',
  "cache-control": "public, max-age=604800, stale-while-revalidate=2592000",
  "access-control-allow-origin": "*",
  "cross-origin-resource-policy": "cross-origin",
  "x-robots-tag": "noindex",
  "content-type": "image/png",
  "content-disposition": 'inline; filename="0123456789.png"',
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "strict-transport-security": "max-age=63072000; includeSubDomains; preload",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "scanvault-request-id": "0123456789abcdef0123456789abcdef",
};

function hello(isLogged) {
  if (isLogged) {
    const line = { level: "info", message: "request", requestId: HEADERS["scanvault-request-id"], method: "GET", route: "/hello", status: 200, durationMs: 0 };
    console.log(JSON.stringify(line));
  }
  return new Response("ok", { headers: HEADERS });
}

// What our forward asks of the runtime, and nothing else: as many headers as a signed request has, the body in one piece,
// a deadline, the answer's headers read, ours set, a line in the log. Nothing is checked and nothing signed.
const COVERED =
  '"@method" "@authority" "@path" "@query" "content-digest" "scanvault-host" "scanvault-client" "scanvault-request-id" "scanvault-credential"';
const SIGNED = {
  "scanvault-host": "127.0.0.1:8787",
  "scanvault-request-id": HEADERS["scanvault-request-id"],
  "scanvault-credential": "none",
  "scanvault-client": "unknown",
  "content-digest": `sha-256=:${"A".repeat(43)}=:`,
  "signature-input": `link=(${COVERED});created=1790000000;nonce="${"A".repeat(22)}";keyid="bench";alg="hmac-sha256";tag="a"`,
  signature: `link=:${"A".repeat(43)}=:`,
  "accept-encoding": "identity",
};
const OF_AN_ANSWER = Object.fromEntries(Object.entries(HEADERS).filter(([name]) => !/^(etag|access-|cross-|x-robots|content-type|content-disp)/.test(name)));
let kept;

async function forwardAlike(request, url, env) {
  kept ??= new Headers({ ...OF_AN_ANSWER, "scanvault-region": "a" });
  let read = 0;
  for (const [name, value] of request.headers) read += name.length + value.length;
  const headers = new Headers();
  for (const name in SIGNED) headers.set(name, SIGNED[name]);
  let body;
  if (request.body) {
    body = await request.arrayBuffer();
    headers.set("content-type", "application/json");
  }
  const target = env.ORIGIN_URL + url.pathname.slice("/alike".length) + url.search;
  const answer = await fetch(target, { method: request.method, headers, body, redirect: "manual", signal: AbortSignal.timeout(8000) });
  for (const [name, value] of answer.headers) read += name.length + value.length;
  const response = new Response(answer.body, { status: answer.status, headers: kept });
  response.headers.set("content-type", "application/json");
  response.headers.set("content-length", answer.headers.get("content-length"));
  console.log(JSON.stringify({ level: "info", message: "request", requestId: SIGNED["scanvault-request-id"], method: request.method, route: "/q/{code}", status: 200, durationMs: read }));
  return response;
}

function forward(request, url, env) {
  return fetch(env.ORIGIN_URL + url.pathname + url.search, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    redirect: "manual",
  });
}
