// What a plain JavaScript worker does with the same requests, in the same workerd: the yardstick of scripts/bench.

import QRCode from "qrcode";
import { toPng } from "./png.js";

const TYPES = { png: "image/png", svg: "image/svg+xml" };

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/hello") return new Response("ok");
    const qr = /^\/qr\/(\d{10})\.(png|svg)$/.exec(url.pathname);
    if (!qr) return forward(request, url, env);
    const text = `${env.PUBLIC_URL}/Q/${qr[1]}`;
    const headers = { "content-type": TYPES[qr[2]] };
    if (qr[2] === "svg") return new Response(await QRCode.toString(text, { type: "svg" }), { headers });
    return new Response(await toPng(QRCode.create(text), Number(url.searchParams.get("size"))), { headers });
  },
};

function forward(request, url, env) {
  return fetch(env.ORIGIN_URL + url.pathname + url.search, {
    method: request.method,
    headers: request.headers,
    body: request.body,
    redirect: "manual",
  });
}
