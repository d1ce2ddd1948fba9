// The shopper: headless Chromium on the page that the QR leads to.

import { DemoError } from "./children.mjs";

const FIELDS = { "cc-number": "pan", "cc-exp": "expiry", "cc-csc": "csc", "cc-name": "name" };

/** Pays as a person would, and returns what the page was answered. */
export async function payInBrowser(demo, card, { amountMinor, currency }) {
  const { chromium } = await import("playwright-core");
  demo.browser = await chromium.launch({ executablePath: process.env.CHROMIUM, env: demo.children.environment({}) });
  const notes = [];
  try {
    const page = await demo.browser.newPage();
    page.on("pageerror", (error) => notes.push(`page: ${error.message}`));
    page.on("console", (message) => message.type() === "error" && notes.push(`console: ${message.text()}`));
    const sent = [];
    page.on("request", (request) => sent.push(`${request.url()} ${request.postData() ?? ""}`));
    await open(page, demo.codeUrl, { amountMinor, currency });
    for (const [name, part] of Object.entries(FIELDS)) {
      await page.locator(`[autocomplete="${name}"]`).fill(card[part]);
    }
    const answered = page.waitForResponse((answer) => answer.request().method() === "POST", { timeout: 30_000 });
    await page.locator("#pay").click();
    const answer = await (await answered).json();
    await page.waitForSelector("main[data-state=paid]", { timeout: 30_000 });
    refuseClearText(sent, card);
    if (!answer.transactionId) throw new Error(`the answer names no transaction: ${JSON.stringify(answer)}`);
    return answer;
  } catch (error) {
    const state = await stateOf(demo.browser).catch(() => "unknown");
    const said = [error.message.split("\n")[0], `the page says: ${state}`, ...notes].join("\n  ");
    throw new DemoError(said, demo.origin.log);
  } finally {
    await demo.browser.close();
    demo.browser = undefined;
  }
}

async function open(page, url, { amountMinor, currency }) {
  const answer = await page.goto(url, { timeout: 20_000 });
  if (answer.status() !== 200) throw new Error(`the pay page answered ${answer.status()}`);
  const main = await page.waitForSelector("main[data-state=ready]", { timeout: 10_000 });
  const asks = `${await main.getAttribute("data-amount-minor")} ${await main.getAttribute("data-currency")}`;
  if (asks !== `${amountMinor} ${currency}`) throw new Error(`the pay page asks for ${asks}, not ${amountMinor} ${currency}`);
}

/** Card data leaves the browser sealed, or not at all. */
function refuseClearText(sent, card) {
  if (!sent.some((text) => text.includes('"sealed"'))) throw new Error("the page sent nothing sealed");
  if (sent.some((text) => text.includes(card.pan))) throw new Error("the page sent the card number in clear text");
}

async function stateOf(browser) {
  const page = browser.contexts()[0]?.pages()[0];
  const main = page?.locator("main");
  if (!main || (await main.count()) === 0) return "no <main>";
  return `${await main.getAttribute("data-state")}: ${(await main.innerText()).replace(/\s+/g, " ").slice(0, 300)}`;
}
