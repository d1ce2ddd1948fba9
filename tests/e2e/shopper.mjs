// A shopper without a browser: reads the pay page, seals a card with the page's own code, posts it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { PAGE_POLICY, ask } from "../lib/answers.mjs";

const SEAL_JS = new URL("../../origin/src/pages/assets/seal.js", import.meta.url);
// As a module, whatever a package.json says about `.js`.
const { sealCard } = await import(`data:text/javascript,${encodeURIComponent(readFileSync(SEAL_JS, "utf8"))}`);

export const EXPIRY = `12${String((new Date().getFullYear() + 3) % 100).padStart(2, "0")}`;
/** A number that is nobody's: its check digit is wrong, which the test gateway takes. Its digits differ, so that a part of it is found where it leaks. */
export const CARD = { pan: "4012345678909876", exp: EXPIRY, csc: "987", name: "Zephyrine Okonkwo" };

export const payPath = (code) => `/pluto/public/pay/${code}`;

/** The page as it is served: status, headers and what `<main>` says. */
export async function openPage(edge, code, path = payPath(code)) {
  const answer = await ask(edge, path);
  assert.equal(answer.headers["content-type"], "text/html; charset=utf-8");
  assert.equal(answer.headers["content-security-policy"], PAGE_POLICY);
  assert.equal(answer.headers["cache-control"], "no-store");
  return { ...answer, data: pageData(answer.body) };
}

/** What the page's `<main>` says. */
export function pageData(body) {
  const main = /<main ([^>]*)>/.exec(body.toString())?.[1] ?? "";
  return Object.fromEntries([...main.matchAll(/data-([a-z-]+)="([^"]*)"/g)].map(([, name, value]) => [name, unescape(value)]));
}

/** Seals a card for a page that is ready; `changes` are put over what the page says. */
export async function seal(page, card = CARD, changes = {}) {
  const { data } = page;
  assert.equal(data.state, "ready", `the page is ${data.state} ${data.reason}`);
  const said = {
    attempt: data.attempt,
    code: data.code,
    amount: Number(data["amount-minor"]),
    currency: data.currency,
    expires: Number(data["attempt-expires"]),
  };
  return sealCard(JSON.parse(data.key), { ...said, ...card, ...changes });
}

export function post(edge, code, sealed) {
  const headers = { "content-type": "application/json" };
  return ask(edge, payPath(code), { method: "POST", headers, body: JSON.stringify({ sealed }) });
}

/** The whole way: page, seal, post. */
export async function pay(edge, code, card = CARD, changes = {}) {
  return post(edge, code, await seal(await openPage(edge, code), card, changes));
}

const unescape = (text) =>
  text.replace(/&(quot|lt|gt|#39|amp);/g, (_, name) => ({ quot: '"', lt: "<", gt: ">", "#39": "'", amp: "&" })[name]);
