// How the page looks and what it does without what it needs: width, contrast, policy, no script, no WebCrypto.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fillCard, launch, openPage, readAsset, serve, waitFor } from "./harness.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const VIEWS = [
  { state: "ready" }, { state: "paid", reason: "paid" }, { state: "paid", reason: "already" }, { state: "expired", reason: "expired" },
  { state: "expired", reason: "blocked" }, { state: "expired", reason: "suspended" }, { state: "expired", reason: "unknown-code" },
  { state: "busy", reason: "elsewhere" }, { state: "busy", reason: "sealed" }, { state: "busy", reason: "waiting" }, { state: "busy", reason: "interrupted" },
  { state: "busy", reason: "unconfirmed" }, { state: "busy", reason: "insecure" },
];
const LONG = { merchant: `Ny${"x".repeat(120)} ${"Butik ".repeat(20)}`, description: "d".repeat(300), reference: "r".repeat(128), amountMinor: 999999999, wallet: "mobilepay",
  items: [{ name: "Stol".repeat(40), quantity: 99, totalMinor: 999999999 }, { name: "b", quantity: 1, totalMinor: 1 }] };

async function visit(t, siteOptions, tabOptions) {
  const site = await serve(siteOptions);
  const tab = await openPage(browser, site, tabOptions);
  t.after(async () => { await tab.context.close(); await site.close(); });
  return { ...tab, site };
}

/** In the page: all its texts are as wide as they get, errors and the language menu included. */
async function spreads(page, widths, told) {
  for (const [width, height] of widths) {
    await page.setViewportSize({ width, height });
    const [content, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.equal(shown, width);
    assert.ok(content <= width, `${told} at ${width}: ${content}`);
  }
}

for (const locale of ["de-DE", "fr-FR"]) { // the longest words
  test(`${locale}: nothing scrolls sideways at 256 (400 % zoom), 320, 390, 640 (200 % zoom) and 1280 px, long texts and errors included`, async (t) => {
    const { page, site } = await visit(t, { order: LONG }, { locale });
    for (const view of [{ state: "ready", typed: true }, ...VIEWS]) {
      Object.assign(site, { view, order: { ...site.order, amountMinor: view.typed ? "" : LONG.amountMinor } });
      await page.goto(site.url);
      await page.locator("#languages").waitFor();
      if (view.state === "ready") for (const id of ["pay", "pay-wallet"]) await page.locator(`#${id}`).click();
      await spreads(page, [[256, 500], [320, 568], [390, 844], [640, 400], [1280, 800]], `${view.state} ${view.reason}`);
    }
  });
}

for (const colorScheme of ["light", "dark"]) {
  test(`${colorScheme}: every text has a contrast of 7:1 or more`, async (t) => {
    let measured = 0;
    const { page, site } = await visit(t, { order: { wallet: "mobilepay", partial: "yes" } }, { colorScheme });
    site.onPay = () => [200, { state: "declined", reason: "bank" }];
    for (const view of VIEWS) {
      Object.assign(site, { view, order: { ...site.order, amountMinor: view.state === "ready" ? "" : 1000 } });
      await page.goto(site.url);
      await page.locator("#languages").waitFor();
      if (view.state === "ready") {
        await fillCard(page, { amount: "1", number: "4111111111111112", expiry: "1230", cvc: "123", name: "A" });
        await page.locator("#pay").click();
        await waitFor(page, "declined");
        await page.locator("#pay").click();
      }
      // The receipt and the bank's dialog are shown as they are when there is something in them.
      await page.evaluate(() => {
        for (const element of document.querySelectorAll("[data-panel] [hidden], #give-up-ask")) element.hidden = false;
        document.querySelector("dialog").show();
      });
      const texts = await page.evaluate(contrasts);
      measured += texts.length;
      assert.deepEqual(texts.filter(({ ratio }) => ratio < 7), []);
    }
    assert.ok(measured > 150, `${measured} texts`);
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
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
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

test("names and roles: every control has a name, every error its field, every panel a heading; no id twice", async (t) => {
  const { page, site } = await visit(t, { order: { wallet: "mobilepay", amountMinor: "" } });
  await page.locator("#pay:enabled").waitFor();
  const found = await page.evaluate(() => {
    const wrong = [];
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`id ${id} twice`);
    for (const input of document.querySelectorAll("input, select")) if (!input.labels[0]?.textContent.trim()) wrong.push(`${input.id} has no label`);
    for (const button of document.querySelectorAll("button, a")) if (!button.textContent.trim()) wrong.push(`${button.id} has no name`);
    for (const name of ["aria-describedby", "aria-labelledby"]) {
      for (const element of document.querySelectorAll(`[${name}]`)) {
        for (const id of element.getAttribute(name).split(" ")) if (!ids.includes(id)) wrong.push(`${element.id} names ${id}`);
      }
    }
    for (const panel of document.querySelectorAll("[data-panel]")) if (!panel.querySelector("h2[tabindex='-1']")) wrong.push(panel.dataset.panel);
    const levels = [...document.querySelectorAll("h1, h2, h3")].map(({ localName }) => localName);
    if (levels.filter((level) => level === "h1").length !== 1 || levels[0] !== "h1") wrong.push("headings");
    return wrong;
  });
  assert.deepEqual(found, []);
  for (const [role, name] of [["alert", "#notice"], ["status", "#status"], ["status", "#going"], ["alert", "#give-up-text"]]) {
    assert.equal(await page.locator(name).getAttribute("role"), role);
  }
  assert.equal(await page.locator("main").count(), 1);
  assert.equal(site.attempts, 1);
});

test("reading from right to left, and reduced motion, change nothing but the side and the turning", async (t) => {
  const style = readAsset("pay.css");
  assert.doesNotMatch(style, /(?:margin|padding|border)-(?:left|right)(?!-color)|(?:^|[\s{;])(?:left|right|float)\s*:|text-align\s*:\s*(?:left|right)/m, "sides are named by the reading direction");
  const { page } = await visit(t, { order: { wallet: "mobilepay", items: LONG.items } }, { reducedMotion: "reduce" });
  await page.locator("#pay:enabled").waitFor();
  await page.evaluate(() => { document.documentElement.dir = "rtl"; document.querySelector("main").dataset.state = "paying"; });
  await spreads(page, [[320, 568], [1280, 800]], "right to left");
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("#pay"), "::before").animationName), "none");
});

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
  assert.equal(await page.locator(".form").isVisible(), false);
  assert.equal(await page.locator("#languages").isVisible(), false);
  for (const id of ["pay", "pay-wallet"]) assert.equal(await page.locator(`#${id}`).isDisabled(), true);
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
  assert.equal(await page.locator(".form").isVisible(), false);
});
