// What a plain JavaScript worker does with the same requests, in the same workerd: the yardstick of scripts/bench.

import QRCode from "qrcode";
import { toPng } from "./png.js";

const TYPES = { png: "image/png", svg: "image/svg+xml" };

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/hello") return new Response("ok");
    if (url.pathname.startsWith("/hello/")) return hello(url.pathname === "/hello/logged");
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

function forward(request, url, env) {
  return fetch(env.ORIGIN_URL + url.pathname + url.search, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    redirect: "manual",
  });
}
