// The monitor's page in a real browser, from the built worker: with both regions there, and with none.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startEdge } from "../edge/harness.mjs";
import { startOrigin } from "../edge/origin-stub.mjs";
import { launch, openPage } from "./harness.mjs";

const MONITOR = "/pluto/public/monitor";

let a, b, edge, browser;

before(async () => {
  a = await startOrigin({ region: "a" });
  b = await startOrigin({ region: "b", tls: a.tls });
  Object.assign(a.state, { sealed: true, epoch: 7 });
  Object.assign(b.state, { serves: false, epoch: 7 });
  const down = { ORIGINS: "cape-town=https://localhost:1 johannesburg-and-a-long-name=https://localhost:2" };
  edge = await startEdge([a, b], { up: {}, down });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await edge?.close();
  await Promise.all([a?.close(), b?.close()]);
});

/** What a person sees of the page: each region with its facts. */
async function see(worker, options) {
  const origin = new URL(edge.urls[worker]).origin;
  const site = { origin, url: origin + MONITOR, bank: { origin: "none:" } };
  const { page, context, trouble } = await openPage(browser, site, options);
  const regions = await page.locator("section").evaluateAll((sections) =>
    sections.map((section) => ({
      title: section.querySelector("h2").innerText,
      facts: Object.fromEntries([...section.querySelectorAll("dl div")].map((row) => [row.children[0].innerText, row.children[1].innerText])),
      // The default of a border is none: it is there when the policy let the style in.
      border: getComputedStyle(section).borderLeftWidth,
    })),
  );
  return { page, context, trouble, regions };
}

test("with the regions there it says how they stand, in its own style, and nothing is refused", async () => {
  const { page, context, trouble, regions } = await see("up");
  assert.equal(await page.title(), "scanvault: state");
  assert.deepEqual(regions.map(({ title }) => title), ["Region a primary", "Region b secondary"]);
  const [first, second] = regions.map(({ facts }) => facts);
  assert.deepEqual([first.Health, first.Vault, first.Release, first.Epoch], ["up", "sealed", "0.1.0", "7"]);
  assert.deepEqual([second.Health, second.Vault], ["standby", "unsealed"]);
  assert.match(first["Last told"], /^\d+ s ago$/);
  assert.deepEqual(regions.map(({ border }) => border), ["8px", "8px"]);
  assert.deepEqual(trouble, []);
  assert.equal(await page.locator("script, link, img, form, [style]").count(), 0);
  await context.close();
});

test("with no region in reach it loads all the same, on a small screen too", async () => {
  const { page, context, trouble, regions } = await see("down", { viewport: { width: 320, height: 640 } });
  assert.deepEqual(regions.map(({ facts }) => [facts.Health, facts.Vault, facts["Last answer"]]), [["doubtful", "unknown", "never"], ["doubtful", "unknown", "never"]]);
  assert.deepEqual(regions.map(({ border }) => border), ["8px", "8px"]);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "nothing is cut off");
  assert.deepEqual(trouble, []);
  await context.close();
});

test("a style that is not that one is refused, so the hash is what lets it in", async () => {
  const { page, context } = await see("up");
  const refused = page.evaluate(() => new Promise((said) => document.addEventListener("securitypolicyviolation", (event) => said(event.violatedDirective))));
  await page.evaluate(() => document.head.append(Object.assign(document.createElement("style"), { textContent: "main{display:none}" })));
  assert.match(await refused, /^style-src/);
  assert.equal(await page.locator("main").isVisible(), true);
  await context.close();
});
