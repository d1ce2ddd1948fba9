// What the browser tests share: the page from its real template, a payment server that a test
// scripts, a JWE opener that shares no code with pay.js, and one Chromium.

import { createDecipheriv, createECDH, createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { chromium } from "playwright-core";

const ASSETS = new URL("../../origin/src/pages/assets/", import.meta.url);
const read = (name) => readFileSync(new URL(name, ASSETS), "utf8");
export const template = read("pay.html");

export const CODE = "0123456789";
export const PAN = "4111111111111111";
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** pay.js as a module, whatever a package.json says about `.js`. */
export const payModule = () => import(`data:text/javascript,${encodeURIComponent(read("pay.js"))}`);

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });

/** A P-256 key pair of the test's own; `open` decrypts a compact JWE with node:crypto only. */
export function vaultKey() {
  const ecdh = createECDH("prime256v1");
  const point = ecdh.generateKeys();
  const part = (from) => point.subarray(from, from + 32).toString("base64url");
  const jwk = { kty: "EC", crv: "P-256", x: part(1), y: part(33), kid: "page-1", use: "enc", alg: "ECDH-ES" };
  return { jwk, open: (jwe) => open(ecdh, jwe) };
}

function open(ecdh, jwe) {
  const parts = jwe.split(".");
  if (parts.length !== 5) throw new Error("a compact JWE has five parts");
  const [header64, encryptedKey, iv, ciphertext, tag] = parts;
  const header = JSON.parse(Buffer.from(header64, "base64url").toString());
  const coordinate = (name) => Buffer.from(header.epk[name], "base64url");
  const z = ecdh.computeSecret(Buffer.concat([Buffer.of(4), coordinate("x"), coordinate("y")]));
  // RFC 7518 §4.6.2, written out: round 1, Z, AlgorithmID, PartyUInfo, PartyVInfo, SuppPubInfo.
  const info = Buffer.from("00000007" + Buffer.from("A256GCM").toString("hex") + "00000000" + "00000000" + "00000100", "hex");
  const key = createHash("sha256").update(Buffer.of(0, 0, 0, 1)).update(z).update(info).digest();
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(iv, "base64url"));
  decipher.setAAD(Buffer.from(header64, "ascii"));
  decipher.setAuthTag(Buffer.from(tag, "base64url"));
  const plain = Buffer.concat([decipher.update(Buffer.from(ciphertext, "base64url")), decipher.final()]);
  return { header, encryptedKey, iv: Buffer.from(iv, "base64url"), card: JSON.parse(plain.toString()) };
}

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** The placeholders as template.rs fills them. */
export function renderPage(values) {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name) => {
    if (!(name in values)) throw new Error(`nobody fills ${name}`);
    return escape(values[name]);
  });
}

/** The order of most tests: ten rand. */
const ORDER = { merchant: "Demo Shop", description: "Two coffees", reference: "order-7", amountMinor: 1000, currency: "ZAR", exponent: 2 };

/**
 * A server of the page. `site.view` is how the next GET renders; `site.onPay(card, context)` answers a POST:
 * it returns [status, body, headers?] or cuts the connection with context.cut().
 */
export async function serve(options = {}) {
  const key = vaultKey();
  const site = {
    key, order: { ...ORDER, ...options.order }, view: options.view ?? { state: "ready" }, lifetime: options.lifetime ?? 300,
    onPay: () => [500, {}], requests: [], posts: [], attempts: 0, offline: false,
  };
  const server = createServer((request, response) => void handle(site, request, response));
  // One connection per request: Chromium may repeat by itself what dies on a reused connection.
  server.keepAliveTimeout = 1;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  site.origin = `http://127.0.0.1:${server.address().port}`;
  site.url = `${site.origin}/pluto/public/pay/${CODE}`;
  site.close = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return site;
}

async function handle(site, request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  site.requests.push({ method: request.method, url: request.url, headers: JSON.stringify(request.headers), body });
  response.setHeader("connection", "close");
  response.setHeader("content-security-policy", CSP);
  const asset = { "/pluto/public/assets/pay.js": ["pay.js", "text/javascript"], "/pluto/public/assets/pay.css": ["pay.css", "text/css"] }[request.url];
  if (asset) return send(response, 200, asset[1], read(asset[0]));
  if (request.url !== `/pluto/public/pay/${CODE}` && request.url !== `/Q/${CODE}`) return send(response, 404, "text/plain", "");
  if (site.offline) return request.socket.destroy();
  if (request.method === "GET") return send(response, site.view.status ?? 200, "text/html", pageOf(site));
  const opened = site.key.open(JSON.parse(body).sealed);
  site.posts.push(opened);
  const context = { cut: () => { request.socket.destroy(); return null; }, request };
  const answer = await site.onPay(opened.card, context);
  if (answer) send(response, answer[0], "application/json", JSON.stringify(answer[1]), answer[2]);
  return undefined;
}

function send(response, status, type, body, headers = {}) {
  response.writeHead(status, { "content-type": `${type}; charset=utf-8`, ...headers });
  response.end(body);
}

function pageOf(site) {
  const { order, view } = site;
  const unknown = view.reason === "unknown-code";
  const ready = view.state === "ready";
  if (ready) site.attempts += 1;
  const text = (value) => (unknown ? "" : value);
  const amount = order.amountMinor === "" || unknown ? "" : `${(order.amountMinor / 10 ** order.exponent).toFixed(order.exponent)} ${order.currency}`;
  const hidden = (value) => (unknown || value === "" ? "hidden" : "");
  return renderPage({
    language: "en", title: unknown ? "Payment" : `Pay ${order.merchant}`, state: view.state, reason: view.reason ?? "", code: CODE,
    attempt: ready ? `attempt-${site.attempts}` : "", attempt_expires: ready ? Math.floor(Date.now() / 1000) + site.lifetime : "",
    key: ready ? JSON.stringify(site.key.jwk) : "", merchant: text(order.merchant), description: text(order.description),
    reference: text(order.reference), currency: text(order.currency), exponent: text(order.exponent), amount_minor: text(order.amountMinor),
    amount, summary_hidden: unknown ? "hidden" : "", description_hidden: hidden(order.description), reference_hidden: hidden(order.reference),
  });
}

/** A tab that notes every console message, page error and request. */
export async function openPage(browser, site, options = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
  const page = await context.newPage();
  const trouble = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) trouble.push(message.text()); });
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith(site.origin) && !request.url().startsWith("data:")) trouble.push(`foreign ${request.url()}`); });
  await page.goto(options.path ? site.origin + options.path : site.url);
  return { page, context, trouble, main: page.locator("main") };
}

export const CARD = { number: PAN, expiry: "1230", cvc: "123", name: "Thandi Nkosi" };

export async function fillCard(page, card = CARD) {
  for (const [id, value] of Object.entries(card)) {
    await page.locator(`#${id}`).fill("");
    await page.locator(`#${id}`).pressSequentially(value);
  }
}

export const waitFor = (page, state) => page.waitForSelector(`main[data-state="${state}"]`);
