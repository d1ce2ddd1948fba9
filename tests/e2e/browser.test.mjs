// One payment as a shopper makes it: the real page in real Chromium, through the real edge, to the book. How the page
// looks and behaves otherwise is tests/browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { launch } from "../browser/harness.mjs";
import { onBothDatabases } from "./both.mjs";
import { CARD } from "./shopper.mjs";

onBothDatabases((at) => {
  test("a card typed into the page that the QR leads to is charged once, and left the browser sealed only", { timeout: 60_000 }, async () => {
    const { world } = at;
    const merchant = await world.merchant("merchant-25", { args: ["--display-name", "Demo Shop"] });
    const { code, codeUrl } = await world.code(merchant, "12.34");
    world.secrets.addCard(CARD);
    const browser = await launch();
    try {
      const page = await (await browser.newContext()).newPage();
      const sent = [];
      const trouble = [];
      page.on("request", (request) => sent.push(`${request.method()} ${request.url()} ${JSON.stringify(request.headers())} ${request.postData() ?? ""}`));
      page.on("pageerror", (error) => trouble.push(String(error)));
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && trouble.push(message.text()));
      assert.equal((await page.goto(codeUrl)).status(), 200);
      await page.waitForSelector("main[data-state=ready]");
      for (const [field, value] of [["cc-number", CARD.pan], ["cc-exp", `${CARD.exp.slice(0, 2)}/${CARD.exp.slice(2)}`], ["cc-csc", CARD.csc], ["cc-name", CARD.name]]) {
        await page.locator(`[autocomplete="${field}"]`).fill(value);
      }
      await page.locator("#pay").click();
      await page.waitForSelector("main[data-state=paid]", { timeout: 20_000 });
      assert.deepEqual(trouble, []);
      assert.equal(sent.filter((text) => text.startsWith("POST")).length, 1);
      assert.deepEqual(world.secrets.foundIn(Buffer.from(sent.join("\n"))), [], "nothing of the card in any request");
    } finally {
      await browser.close();
    }
    const view = await world.query(merchant, code);
    assert.equal(view.codeState, "Used");
    assert.deepEqual(await world.booked(view.transactionId), ["authorization 1234 ZAR", "capture 1234 ZAR"]);
    assert.equal((await world.transaction(merchant, view.transactionId)).status, "SUCCESS");
    assert.equal((await world.book()).length, 2);
  });
});
