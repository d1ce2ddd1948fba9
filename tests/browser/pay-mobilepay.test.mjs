// MobilePay in a real browser: the button, the way there and back, and every outcome. The wallet is another origin.

import assert from "node:assert/strict";
import { CODE, fillCard, waitFor } from "./harness.mjs";
import { scenes } from "./scene.mjs";

const scene = scenes();
const WALLET = { order: { wallet: "mobilepay", currency: "DKK" } };
const button = (page) => page.getByRole("button", { name: "Pay with MobilePay" });
const toWallet = (site) => (body) => [200, { state: "redirect", transactionId: 81234, url: `${site.bank.origin}/wallet?attempt=${body.attempt}` }];
const WAITING = [200, { state: "waiting" }];
const PAID = [200, { state: "paid", transactionId: 81234, paidAtMs: Date.UTC(2026, 4, 17, 10, 30) }];

scene("there and back: asked for with the phone number, waited for, paid", { site: WALLET }, async ({ page, site, main }) => {
  site.onWallet = toWallet(site);
  await page.locator("#phone").fill("12 34 56 78");
  const attempt = await main.getAttribute("data-attempt");
  await button(page).click();
  await page.waitForURL(/\/wallet/);
  assert.deepEqual(site.bodies, [{ attempt, amountMinor: 1000, phone: "+4512345678" }]);
  site.view = { state: "busy", reason: "elsewhere" };
  site.onState = () => (site.asked.length < 3 ? WAITING : PAID);
  await page.getByRole("link", { name: "Back" }).click();
  await page.locator("[data-panel=waiting]").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Waiting for MobilePay");
  await waitFor(page, "paid");
  assert.match(await main.innerText(), /DKK\s10\.00[^]*Demo Shop[^]*order-7[^]*17 May 2026[^]*81234/);
  assert.ok(site.asked.every((asked) => asked === attempt));
  assert.ok(!page.url().includes("attempt="), "a paid page is no longer asked about by its address");
  await page.reload();
  await waitFor(page, "paid");
  assert.match(await main.innerText(), /81234/);
});

scene("keyboard: Enter in the phone field is MobilePay, not the card", { site: WALLET }, async ({ page, site }) => {
  site.onWallet = toWallet(site);
  await button(page).waitFor();
  await page.locator("#pay:enabled").waitFor();
  await page.locator("#phone").press("Enter");
  await page.waitForURL(/\/wallet/);
  assert.deepEqual(Object.keys(site.bodies[0]), ["attempt", "amountMinor"], "the number is optional");
});

scene("the language that the payer chose goes along", { site: WALLET, tab: { path: `/Q/${CODE}?lang=da` } }, async ({ page, site }) => {
  site.onWallet = toWallet(site);
  await page.locator("#pay-wallet:enabled").waitFor();
  await page.locator("#pay-wallet").click();
  await page.waitForURL(/\/wallet/);
  assert.equal(site.bodies[0].language, "da");
});

for (const [path, wallet, id] of [["?go=mobilepay", "mobilepay", "pay-wallet"], ["?go=mobilepay", "", ""], ["?go=applepay", "mobilepay", ""]]) {
  const options = { site: { order: { wallet, currency: "DKK" } }, tab: { path: `/Q/${CODE}${path}` } };
  scene(`a link that says ${path}${wallet ? "" : ", without MobilePay"}: ${id ? "the button has the focus" : "nothing"}, and nothing is asked`, options, async ({ page, site }) => {
    await page.locator("#pay:enabled").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), id);
    assert.deepEqual(site.bodies, []);
  });
}

const CAME_BACK = [
  ["rejected", [200, { state: "declined", transactionId: 1, reason: "cancelled" }], "declined", /was cancelled/],
  ["declined", [200, { state: "declined", transactionId: 1, reason: "bank" }], "declined", /bank declined/],
  ["lost, but not charged", [200, { state: "unknown", transactionId: 1, mayRetry: true }], "declined", /you may try again/],
  ["not known", [200, { state: "unknown", transactionId: 1, mayRetry: false }], "busy", /Not confirmed: do not pay again yet/],
  ["never used", [200, { state: "none" }], "ready", /Pay with MobilePay/],
  ["no answer", [404, {}], "busy", /Not confirmed[^]*Check the payment/],
  ["open there", [200, { state: "redirect", transactionId: 1, url: "https://wallet.example/7" }], "busy", /Waiting for MobilePay[^]*Open MobilePay again/],
];
for (const [name, answer, state, text] of CAME_BACK) {
  const options = { site: { ...WALLET, onState: () => answer }, tab: { path: `/Q/${CODE}?attempt=attempt-0` }, expected: [/status of 404/] };
  scene(`back: ${name}`, options, async ({ page, site, main }) => {
    await waitFor(page, state);
    await page.waitForFunction((source) => new RegExp(source).test(document.querySelector("main").innerText), text.source);
    assert.equal(await main.getAttribute("data-state"), state);
    assert.equal(site.asked[0], "attempt-0");
    if (state === "declined" || state === "ready") {
      assert.ok(!page.url().includes("attempt="));
      site.onWallet = toWallet(site);
      await button(page).click();
      await page.waitForURL(/\/wallet/);
    }
  });
}

scene("declined while the page still said busy: the form comes by itself", { site: WALLET }, async ({ page, site }) => {
  site.view = { state: "busy", reason: "elsewhere" };
  site.onState = () => { site.view = { state: "ready" }; return [200, { state: "declined", transactionId: 1, reason: "cancelled" }]; };
  await page.goto(`${site.origin}/Q/${CODE}?attempt=attempt-0`);
  await waitFor(page, "declined");
  site.onPay = () => PAID;
  await fillCard(page);
  await page.locator("#pay").click();
  await waitFor(page, "paid");
  assert.equal(site.posts[0].card.currency, "DKK");
});

const NOT_TAKEN = [
  ["declined", [200, { state: "declined", transactionId: 1, reason: "later" }], "declined", /try again later/],
  ["throttled", [429, {}], "declined", /wait a minute/],
  ["an address that is none", [200, { state: "redirect", transactionId: 1, url: "javascript:alert(1)" }], "busy", /Not confirmed/],
  ["no answer", [502, {}], "busy", /Not confirmed/],
];
for (const [name, answer, state, text] of NOT_TAKEN) {
  scene(`asked for: ${name}`, { site: WALLET, expected: [/status of (429|502|404)/] }, async ({ page, site, main }) => {
    site.onWallet = () => answer;
    site.onState = () => [404, {}];
    await page.locator("#pay:enabled").waitFor();
    await button(page).click();
    await waitFor(page, state);
    assert.match(await main.innerText(), text);
    assert.equal(site.bodies.length, 1);
  });
}

scene("not offered, not shown", {}, async ({ page }) => {
  await page.locator("#pay:enabled").waitFor();
  assert.equal(await page.locator("#wallet").isVisible(), false);
  assert.equal(await page.locator("#phone").isVisible(), false);
});

scene("the amount that is typed counts for MobilePay too; a wrong number is said", { site: { order: { ...WALLET.order, amountMinor: "" } } }, async ({ page, site }) => {
  site.onWallet = toWallet(site);
  await page.locator("#pay:enabled").waitFor();
  await button(page).click();
  assert.match(await page.locator("#amount-error").innerText(), /Enter an amount such as 12\.00/);
  await page.locator("#amount").fill("7,50");
  await page.locator("#phone").fill("12");
  await button(page).click();
  assert.match(await page.locator("#phone-error").innerText(), /Enter a phone number/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "phone");
  assert.equal(site.bodies.length, 0);
  await page.locator("#phone").fill("+4687654321");
  await button(page).click();
  await page.waitForURL(/\/wallet/);
  assert.deepEqual([site.bodies[0].amountMinor, site.bodies[0].phone], [750, "+4687654321"]);
});

scene("the browser's way back asks how it stands; a hidden page does not ask", { site: WALLET }, async ({ page, site }) => {
  site.onWallet = toWallet(site);
  site.onState = () => WAITING;
  await page.locator("#pay:enabled").waitFor();
  await button(page).click();
  await page.waitForURL(/\/wallet/);
  site.view = { state: "busy", reason: "elsewhere" };
  await page.goBack();
  await page.locator("[data-panel=waiting]").waitFor();
  const hide = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  await page.waitForTimeout(500); // what was under way has been answered
  const asked = site.asked.length;
  await page.waitForTimeout(2500);
  assert.equal(site.asked.length, asked);
  site.onState = () => PAID;
  await hide(false);
  await waitFor(page, "paid");
  assert.equal(site.asked.length, asked + 1);
});

scene("asking ends: after ten minutes the payer is told where it stands", { site: { ...WALLET, onState: () => WAITING }, tab: { clock: true, path: `/Q/${CODE}?attempt=attempt-0` } }, async ({ page, site }) => {
  await page.locator("[data-panel=waiting]").waitFor();
  // A turn in which the browser had no time to hear an answer is lost.
  for (let turn = 0; turn < 200; turn += 1) {
    await page.clock.runFor(15000);
    if (await page.locator("#notice").innerText()) break;
  }
  assert.match(await page.locator("#notice").innerText(), /Still not confirmed/);
  const asked = site.asked.length;
  assert.ok(asked > 30 && asked < 60, `${asked} times`);
  await page.clock.runFor(60000);
  assert.equal(site.asked.length, asked);
});
