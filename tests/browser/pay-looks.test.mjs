// How the page looks and what it does without what it needs: width, contrast, policy, no script, no WebCrypto.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fillCard, launch, openPage, serve, waitFor } from "./harness.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const VIEWS = [
  { state: "ready" }, { state: "paid", reason: "paid" }, { state: "expired", reason: "expired" }, { state: "expired", reason: "unknown-code" },
  { state: "busy", reason: "elsewhere" }, { state: "busy", reason: "sealed" }, { state: "busy", reason: "unconfirmed" }, { state: "busy", reason: "insecure" },
];
const LONG = { merchant: `Ny${"x".repeat(120)} ${"Butik ".repeat(20)}`, description: "d".repeat(300), reference: "r".repeat(128), amountMinor: 999999999 };

async function visit(t, siteOptions, tabOptions) {
  const site = await serve(siteOptions);
  const tab = await openPage(browser, site, tabOptions);
  t.after(async () => { await tab.context.close(); await site.close(); });
  return { ...tab, site };
}

test("nothing scrolls sideways at 320, 390 and 1280 px, long texts and errors included", async (t) => {
  const { page, site } = await visit(t, { order: LONG });
  for (const view of [{ state: "ready", typed: true }, ...VIEWS]) {
    Object.assign(site, { view, order: { ...site.order, amountMinor: view.typed ? "" : LONG.amountMinor } });
    await page.goto(site.url);
    if (view.state === "ready") await page.locator("#pay").click();
    for (const width of [320, 390, 1280]) {
      await page.setViewportSize({ width, height: 700 });
      const [content, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.equal(shown, width);
      assert.ok(content <= width, `${view.state} ${view.reason} at ${width}: ${content}`);
    }
  }
});

for (const colorScheme of ["light", "dark"]) {
  test(`${colorScheme}: every text has a contrast of 7:1 or more`, async (t) => {
    let measured = 0;
    const { page, site } = await visit(t, {}, { colorScheme });
    site.onPay = () => [200, { state: "declined", message: "No." }];
    for (const view of VIEWS) {
      Object.assign(site, { view, order: { ...site.order, amountMinor: view.state === "ready" ? "" : 1000 } });
      await page.goto(site.url);
      if (view.state === "ready") {
        await fillCard(page, { amount: "1", number: "4111111111111112", expiry: "1230", cvc: "123", name: "A" });
        await page.locator("#pay").click();
        await waitFor(page, "declined");
        await page.locator("#pay").click();
      }
      const texts = await page.evaluate(contrasts);
      measured += texts.length;
      assert.deepEqual(texts.filter(({ ratio }) => ratio < 7), []);
    }
    assert.ok(measured > 60, `${measured} texts`);
  });
}

/** Runs in the page: the contrast (WCAG 2.2) of every visible text and placeholder on its background. */
function contrasts() {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const channel = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const measure = (text, colour, element) => {
    const [a, b] = [luminance(rgb(colour)), luminance(background(element))];
    return { text, ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) };
  };
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && element.checkVisibility()) found.push(measure(walker.currentNode.data.trim(), getComputedStyle(element).color, element));
  }
  for (const input of document.querySelectorAll("input")) {
    if (!input.checkVisibility()) continue;
    found.push(measure(`${input.id} value`, getComputedStyle(input).color, input));
    if (input.placeholder) found.push(measure(input.placeholder, getComputedStyle(input, "::placeholder").color, input));
  }
  return found;
}

test("the policy holds: script and style of other sources, inline or not, would be refused", async (t) => {
  const { page, trouble } = await visit(t);
  const before = trouble.length;
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.injected = true";
    document.body.append(script);
  });
  assert.equal(await page.evaluate(() => globalThis.injected), undefined);
  assert.ok(trouble.length > before, "the refusal is reported, so a silent console means no violation");
});

test("without JavaScript: told so, and there is nothing to fill in or to send", async (t) => {
  const { page } = await visit(t, {}, { javaScriptEnabled: false });
  assert.match(await page.locator("main").innerText(), /needs JavaScript/);
  assert.equal(await page.locator("form").isVisible(), false);
  assert.equal(await page.locator("button").isDisabled(), true);
});

test("without WebCrypto (plain http): a clear error, no form", async (t) => {
  const site = await serve();
  const context = await browser.newContext();
  t.after(async () => { await context.close(); await site.close(); });
  const page = await context.newPage();
  await page.addInitScript(() => Object.defineProperty(Crypto.prototype, "subtle", { get: () => undefined }));
  await page.goto(site.url);
  await waitFor(page, "busy");
  assert.match(await page.locator("main").innerText(), /connection is not secure/);
  assert.equal(await page.locator("form").isVisible(), false);
});
