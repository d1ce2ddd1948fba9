// What the browser tests share: the page from its real template, a payment server that a test
// scripts, a JWE opener that shares no code with pay.js, and one Chromium.

import { createDecipheriv, createECDH, createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { chromium } from "playwright-core";
import { watchBrowser } from "../lib/hardened.mjs";

const ASSETS = new URL("../../origin/src/pages/assets/", import.meta.url);
const read = (name) => readFileSync(new URL(name, ASSETS), "utf8");
export const template = read("pay.html");

export const CODE = "0123456789";
export const PAN = "4111111111111111";
/** As protocol/src/headers.rs spells it, in its development form: the banks of these tests are on this machine. */
export const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self' data:; frame-src 'self' https: http://127.0.0.1:*; form-action 'self' https: http://127.0.0.1:*; base-uri 'none'; frame-ancestors 'none'";
const FRAMED_CSP = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** One of the page's modules. */
export const assetModule = (name) => import(new URL(name, ASSETS).href);
export const readAsset = read;

export const launch = async () =>
  watchBrowser(await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS }));

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
const ORDER = {
  merchant: "Demo Shop", description: "Two coffees", reference: "order-7", amountMinor: 1000, currency: "ZAR", exponent: 2,
  items: "", partial: "", wallet: "", keeps: "", follow: "", language: "",
};

/**
 * A server of the page. `site.view` is how the next GET renders; `site.onPay(card, context)` answers a POST, `site.onState`
 * a question after an attempt, `site.onWallet` the wish for MobilePay: each returns [status, body, headers?] or cuts the
 * connection with context.cut(). `site.bank` is another origin: the bank's pages and the wallet's.
 */
export async function serve(options = {}) {
  const key = vaultKey();
  const site = {
    key, order: { ...ORDER, ...options.order }, view: options.view ?? { state: "ready" }, lifetime: options.lifetime ?? 1800,
    onPay: () => [500, {}], onState: options.onState ?? (() => [200, { state: "none" }]), onWallet: () => [500, {}],
    requests: [], posts: [], bodies: [], asked: [], attempts: 0, offline: false,
  };
  const server = await listen((request, response) => handle(site, request, response));
  const bank = await listen((request, response) => handleBank(site, request, response));
  Object.assign(site, { origin: server.origin, url: `${server.origin}/pluto/public/pay/${CODE}`, bank: { origin: bank.origin, requests: [] } });
  site.close = () => Promise.all([server.close(), bank.close()]);
  return site;
}

async function listen(answer) {
  const server = createServer((request, response) => void answer(request, response));
  // One connection per request: Chromium may repeat by itself what dies on a reused connection.
  server.keepAliveTimeout = 1;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const PAY = `/pluto/public/pay/${CODE}`;

async function handle(site, request, response) {
  const body = await bodyOf(request);
  site.requests.push({ method: request.method, url: request.url, headers: JSON.stringify(request.headers), body });
  response.setHeader("connection", "close");
  response.setHeader("content-security-policy", CSP);
  const { pathname, searchParams } = new URL(request.url, site.origin);
  if (pathname.startsWith("/pluto/public/assets/")) return sendAsset(response, pathname.split("/").at(-1));
  const framed = /^\/pluto\/public\/3ds\/(method|challenge)\/\d+$/.exec(pathname);
  if (framed) return sendFramed(response, framed[1]);
  const context = { cut: () => { request.socket.destroy(); return null; }, request };
  if (site.offline) return context.cut();
  let answer = [404, {}];
  if (pathname === `${PAY}/state`) {
    site.asked.push(searchParams.get("attempt"));
    answer = await site.onState(searchParams.get("attempt"), context);
  } else if (pathname === `${PAY}/mobilepay`) {
    site.bodies.push(JSON.parse(body));
    answer = await site.onWallet(JSON.parse(body), context);
  } else if (pathname === PAY && request.method === "POST") {
    const { sealed, ...rest } = JSON.parse(body);
    const opened = site.key.open(sealed);
    site.posts.push(opened);
    site.bodies.push(rest);
    answer = await site.onPay(opened.card, { ...context, ...rest });
  } else if (pathname === PAY || pathname === `/Q/${CODE}`) {
    return send(response, site.view.status ?? 200, "text/html", pageOf(site));
  }
  if (answer) send(response, answer[0], "application/json", JSON.stringify(answer[1]), answer[2]);
  return undefined;
}

function sendAsset(response, name) {
  if (!/^[a-z-]+\.(js|css)$/.test(name) || !existsSync(new URL(name, ASSETS))) return send(response, 404, "text/plain", "");
  return send(response, 200, name.endsWith(".js") ? "text/javascript" : "text/css", read(name));
}

/** Our own framed page, as the origin answers it to the bank's post: its script tells the page around it. */
function sendFramed(response, word) {
  response.setHeader("content-security-policy", FRAMED_CSP);
  const script = '<script src="/pluto/public/assets/back.js" defer></script>';
  send(response, 200, "text/html", `<!doctype html><html lang="en" data-back="${word}"><title>.</title>${script}`);
}

/** Another origin: the bank's method and challenge, and the wallet's page. What comes of them the query says. */
async function handleBank(site, request, response) {
  const body = await bodyOf(request);
  const { pathname, searchParams } = new URL(request.url, site.bank.origin);
  site.bank.requests.push({ url: request.url, body });
  const back = (word) => `<form method="post" action="${site.origin}/pluto/public/3ds/${word}/81234"><input type="hidden" name="x" value="1"><button>Approve</button></form>`;
  const pages = {
    "/method": `${back("method")}<script>document.forms[0].submit()</script>`,
    "/challenge": `<h1>Bank</h1>${back("challenge")}`,
    "/silent": "<p>This bank says nothing.</p>",
    "/liar": "<p>Liar</p><script>parent.postMessage({scanvault: 'method'}, '*'); parent.postMessage({scanvault: 'challenge'}, '*')</script>",
    "/wallet": `<p>MobilePay</p><a href="${site.origin}/Q/${CODE}?attempt=${searchParams.get("attempt")}">Back</a>`,
    "/shop": "<p>The shop</p>",
  };
  send(response, pages[pathname] ? 200 : 404, "text/html", `<!doctype html><link rel="icon" href="data:,"><title>Bank</title>${pages[pathname] ?? ""}`);
}

function send(response, status, type, body, headers = {}) {
  response.writeHead(status, { "content-type": `${type}; charset=utf-8`, ...headers });
  response.end(body);
}

function pageOf(site) {
  const { order, view } = site;
  const unknown = ["unknown-code", "suspended"].includes(view.reason);
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
    items: order.items && JSON.stringify(order.items), partial: order.partial, wallet: order.wallet, keeps: order.keeps, follow: order.follow, asked_language: order.language,
  });
}

/** A tab that notes every console message, page error, policy violation and request. */
export async function openPage(browser, site, options = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  const trouble = [];
  await context.exposeBinding("noteViolation", (_, text) => trouble.push(text));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => globalThis.noteViolation(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) trouble.push(message.text()); });
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("request", (request) => { if (![site.origin, site.bank.origin, "data:"].some((known) => request.url().startsWith(known))) trouble.push(`foreign ${request.url()}`); });
  if (options.clock) await page.clock.install();
  await page.goto(options.path ? site.origin + options.path : site.url);
  return { page, context, trouble, main: page.locator("main") };
}

export const CARD = { number: PAN, expiry: "1230", cvc: "123", name: "Thandi Nkosi" };

export async function fillCard(page, card = CARD) {
  await page.locator("#pay:enabled").waitFor();
  for (const [id, value] of Object.entries(card)) {
    await page.locator(`#${id}`).fill("");
    await page.locator(`#${id}`).pressSequentially(value);
  }
}

export const waitFor = (page, state) => page.waitForSelector(`main[data-state="${state}"]`);
