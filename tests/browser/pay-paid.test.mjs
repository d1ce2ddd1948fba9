// After paying: the receipt, the way back to the shop, paper; and what a payer may change of the amount.

import assert from "node:assert/strict";
import { fillCard, waitFor } from "./harness.mjs";
import { scenes } from "./scene.mjs";

const scene = scenes();
const pay = (page) => page.locator("#pay").click();
const paid = (site, more = {}) => () => [200, { state: "paid", transactionId: 81234, returnUrl: `${site.bank.origin}/shop`, ...more }];

for (const [locale, texts] of [["en-GB", [/Amount\s+ZAR\s10\.00/, /Paid to\s+Demo Shop/, /Reference\s+order-7/, /Time\s+\d+ \w+ 20\d\d/, /Transaction\s+81234/, "Back to the shop"]],
  ["da-DK", [/Beløb\s+10,00\sZAR/, /Betalt til\s+Demo Shop/, /Reference\s+order-7/, /Tidspunkt\s+\d+\. \w+ 20\d\d/, /Transaktion\s+81234/, "Tilbage til butikken"]]]) {
  for (const viewport of [{ width: 320, height: 568 }, { width: 1280, height: 800 }]) {
    scene(`${locale} at ${viewport.width} px: the receipt says all of it, and a link leads back`, { tab: { locale, viewport } }, async ({ page, site }) => {
      site.onPay = paid(site);
      await fillCard(page);
      await pay(page);
      await waitFor(page, "paid");
      const receipt = await page.locator("#receipt").innerText();
      for (const text of texts.slice(0, -1)) assert.match(receipt, text);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      assert.equal(await page.locator("#stay").isVisible(), false, "nothing happens by itself");
      await page.getByRole("link", { name: texts.at(-1) }).click();
      await page.waitForURL(/\/shop$/);
    });
  }
}

scene("taken back by itself, where the merchant asked for it", { site: { order: { follow: "yes" } } }, async ({ page, site }) => {
  site.onPay = paid(site);
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
  assert.match(await page.locator("#going").innerText(), /taken back to the shop in a moment/);
  await page.waitForURL(/\/shop$/, { timeout: 20000 });
});

scene("… unless the payer stays; a reload shows the receipt again and stays too", { site: { order: { follow: "yes" } }, tab: { clock: true } }, async ({ page, site }) => {
  site.onPay = paid(site);
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
  await page.getByRole("button", { name: "Stay on this page" }).click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "to-shop");
  await page.clock.runFor(30000);
  assert.equal(await page.locator("#going").innerText(), "");
  const receipt = await page.locator("#receipt").innerText();
  Object.assign(site, { view: { state: "paid", reason: "already" }, onState: paid(site) });
  await page.reload();
  await page.locator("#receipt").waitFor();
  assert.equal(await page.locator("#receipt").innerText(), receipt, "with the time of then");
  await page.clock.runFor(30000);
  await waitFor(page, "paid");
  assert.equal(site.posts.length, 1);
});

for (const url of ["javascript:alert(1)", "data:text/html,x", "", 7, undefined]) {
  scene(`no way back to ${JSON.stringify(url)}`, { site: { order: { follow: "yes" } } }, async ({ page, site }) => {
    site.onPay = paid(site, { returnUrl: url });
    await fillCard(page);
    await pay(page);
    await waitFor(page, "paid");
    assert.equal(await page.locator("#return").isVisible(), false);
    assert.equal(await page.locator("a:visible").count(), 0);
  });
}

scene("on paper: the receipt, dark on light, and nothing to press", { tab: { colorScheme: "dark" } }, async ({ page, site }) => {
  site.onPay = paid(site);
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.locator("button:visible, a:visible, select:visible").count(), 0);
  assert.match(await page.locator("main").innerText(), /Demo Shop[^]*Receipt[^]*81234/);
  const colours = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector("#receipt-number")).color]);
  assert.deepEqual(colours, ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]);
});

scene("the payer may pay less, never more, and is charged what they typed", { site: { order: { partial: "yes", amountMinor: 5000 } } }, async ({ page, site, main }) => {
  site.onPay = paid(site);
  await fillCard(page);
  assert.equal(await page.locator("#amount").inputValue(), "50.00", "the whole amount to begin with");
  assert.match(await main.innerText(), /You may pay less than the whole amount/);
  for (const [text, told] of [["50.01", /no more than ZAR\s50\.00/], ["0", /Enter an amount such as 12\.00/], ["", /Enter an amount/]]) {
    await page.locator("#amount").fill(text);
    await pay(page);
    assert.match(await page.locator("#amount-error").innerText(), told);
    assert.equal(await page.evaluate(() => document.activeElement.id), "amount");
  }
  await page.locator("#amount").fill("20");
  assert.equal(await page.locator("#pay").innerText(), "Pay ZAR\u00a020.00");
  await pay(page);
  await waitFor(page, "paid");
  assert.deepEqual(site.posts.map(({ card }) => card.amount), [2000]);
  assert.match(await page.locator("#receipt").innerText(), /ZAR\s20\.00/);
});

scene("an amount without decimals", { site: { order: { amountMinor: "", currency: "JPY", exponent: 0 } } }, async ({ page, site }) => {
  site.onPay = paid(site);
  await fillCard(page);
  await page.locator("#amount").fill("1.5");
  await pay(page);
  assert.match(await page.locator("#amount-error").innerText(), /such as 12$/);
  await page.locator("#amount").fill("1500");
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.posts[0].card.amount, 1500);
  assert.match(await page.locator("#receipt").innerText(), /JPY\s1,500/);
});

scene("going offline is said before anything is pressed, and taken back", {}, async ({ page, context }) => {
  await page.locator("#pay:enabled").waitFor();
  await context.setOffline(true);
  await page.locator("#notice", { hasText: "You are offline" }).waitFor();
  await context.setOffline(false);
  await page.waitForFunction(() => document.querySelector("#notice").textContent === "");
});

scene("hostile names of rows are text", { site: { order: { items: [{ name: "<img src=x onerror=alert(1)>", quantity: 3, totalMinor: 900 }, { name: "", quantity: 1, totalMinor: 100 }] } } }, async ({ page }) => {
  await page.locator("#items li").first().waitFor();
  assert.match(await page.locator("#items").innerText(), /3 × <img src=x onerror=alert\(1\)>/);
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.locator("#items").getAttribute("aria-label"), "What you are paying for");
});

scene("a card that is only kept: nothing to pay, and told so", { site: { order: { amountMinor: 0, keeps: "yes" } } }, async ({ page, site, main }) => {
  site.onPay = () => [200, { state: "paid", transactionId: 81234 }];
  await fillCard(page);
  assert.equal(await page.locator("#pay").innerText(), "Save the card");
  assert.equal(await page.locator("#total").isVisible(), false);
  assert.match(await main.innerText(), /Your card is saved, so that this shop can charge it later/);
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.posts[0].card.amount, 0);
  assert.match(await main.innerText(), /Nothing was charged now/);
  assert.doesNotMatch(await page.locator("#receipt").innerText(), /0\.00/);
  await page.locator("#language").selectOption("sv");
  await page.getByText("Kortet är sparat.").waitFor();
});
