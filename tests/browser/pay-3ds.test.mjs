// 3-D Secure in a real browser: the method, the challenge, and everything that can go wrong with either. The bank is
// another origin.

import assert from "node:assert/strict";
import { CARD, fillCard, waitFor } from "./harness.mjs";
import { scenes } from "./scene.mjs";

const scene = scenes();
const PAID = [200, { state: "paid", transactionId: 81234 }];
const FAILED = [200, { state: "declined", transactionId: 81234, reason: "three_d_secure" }];
const pay = (page) => page.locator("#pay").click();
const bankButton = (page) => page.frameLocator("#challenge iframe").locator("button");
const step = (site, state, path) => [200, {
  state, transactionId: 81234, url: `${site.bank.origin}/${path}`, ...(state === "method" ? { data: "bWV0aG9k" } : { creq: "Y3JlcQ" }),
}];

/** From here on the page's time goes by `runFor` only. A busy browser may take longer than the second that it is ahead. */
async function pauseClock(page) {
  for (;;) {
    const at = await page.evaluate(() => Date.now() + 1000);
    const isLate = await page.clock.pauseAt(at).then(() => false, (error) => /to the past/.test(error.message) || Promise.reject(error));
    if (!isLate) return;
  }
}

/** Answers the posts of a payment one after another. */
function answers(site, ...list) {
  site.onPay = () => list[site.posts.length - 1];
}

scene("method, challenge, paid: the card is sealed anew each time, for one attempt", {}, async ({ page, site, main }) => {
  answers(site, step(site, "method", "method"), step(site, "challenge", "challenge"), PAID);
  await fillCard(page);
  await pay(page);
  await bankButton(page).waitFor();
  assert.equal(await page.locator("iframe").count(), 1, "the method's frame is gone");
  assert.equal(await main.getAttribute("data-state"), "paying");
  assert.equal(await page.locator("#cvc").inputValue(), "123", "kept for the authorisation after the challenge");
  await bankButton(page).click();
  await waitFor(page, "paid");
  assert.deepEqual(site.posts.map(({ card }) => card.csc), ["123", "123", "123"]);
  assert.equal(new Set(site.posts.map(({ card }) => card.attempt)).size, 1);
  assert.equal(new Set(site.posts.map(({ header }) => header.epk.x)).size, 3, "sealed with a key of its own each time");
  assert.deepEqual(site.bodies.map(({ after }) => after), [undefined, "method", "challenge"]);
  const { windowSize, javaEnabled, userAgent, language } = site.bodies[0].browser;
  assert.deepEqual([windowSize, javaEnabled, language], ["05", false, "en-GB"]);
  assert.match(userAgent, /Chrome/);
  const fields = site.bank.requests.map(({ url, body }) => [url, body]);
  assert.deepEqual(fields, [["/method", "threeDSMethodData=bWV0aG9k"], ["/challenge", "creq=Y3JlcQ"]]);
  assert.equal(await page.locator("iframe").count(), 0);
  assert.deepEqual(await page.locator("input").evaluateAll((inputs) => inputs.map((input) => input.value)), ["", "", "", "", "", ""]);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Paid. Thank you.");
});

scene("frictionless after the method", {}, async ({ page, site }) => {
  answers(site, step(site, "method", "method"), PAID);
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.posts.length, 2);
});

scene("challenge without a method, declined: the form is back, only the CVC is gone", {}, async ({ page, site }) => {
  answers(site, step(site, "challenge", "challenge"), FAILED);
  await fillCard(page);
  await pay(page);
  await bankButton(page).click();
  await waitFor(page, "declined");
  assert.match(await page.locator("#notice").innerText(), /could not confirm that it is you/);
  assert.deepEqual(await page.locator("#card input").evaluateAll((inputs) => inputs.map((input) => input.value)),
    ["4111 1111 1111 1111", "12 / 30", "", "Thandi Nkosi"]);
  assert.equal(await page.locator("dialog").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.id), "cvc");
});

scene("a method that never answers is given ten seconds", { tab: { clock: true } }, async ({ page, site }) => {
  answers(site, step(site, "method", "silent"), PAID);
  await fillCard(page);
  await pay(page);
  await page.waitForSelector("iframe", { state: "attached" });
  await pauseClock(page);
  await page.clock.runFor(4000); // and what the test has taken itself
  assert.equal(site.posts.length, 1);
  assert.equal(await page.locator("iframe").isVisible(), false);
  await page.clock.runFor(6000);
  await waitFor(page, "paid");
  assert.deepEqual(site.bodies.map(({ after }) => after), [undefined, "method"]);
  assert.equal(await page.locator("iframe").count(), 0);
});

scene("a challenge that never answers is given ten minutes, then the server is asked", { tab: { clock: true } }, async ({ page, site }) => {
  answers(site, step(site, "challenge", "silent"), FAILED);
  await fillCard(page);
  await pay(page);
  await page.locator("dialog").waitFor();
  await pauseClock(page);
  await page.clock.runFor(500000);
  assert.equal(site.posts.length, 1);
  await page.clock.runFor(101000);
  await waitFor(page, "declined");
  assert.equal(site.bodies[1].after, "challenge");
});

scene("the word of a foreign page, of a frame that is not the bank's, or of the page itself is not heard", {}, async ({ page, site }) => {
  answers(site, step(site, "challenge", "liar"), PAID);
  await fillCard(page);
  await pay(page);
  await page.frameLocator("#challenge iframe").getByText("Liar").waitFor();
  await page.evaluate(() => {
    for (const word of ["method", "challenge"]) globalThis.postMessage({ scanvault: word }, "*");
    const frame = document.createElement("iframe");
    frame.src = "/pluto/public/3ds/challenge/81234"; // our own framed page, in another frame
    document.body.append(frame);
    return new Promise((done) => { frame.onload = () => setTimeout(done, 200); });
  });
  assert.equal(site.posts.length, 1);
  assert.equal(await page.locator("dialog").isVisible(), true);
});

scene("the dialog: named, keyboard only, Escape asks, nothing behind it can be reached", {}, async ({ page, site }) => {
  answers(site, step(site, "challenge", "challenge"), [200, { state: "declined", transactionId: 1, reason: "cancelled" }]);
  await fillCard(page);
  await page.keyboard.press("Enter");
  await bankButton(page).waitFor();
  const dialog = page.getByRole("dialog", { name: "Confirm with your bank" });
  assert.equal(await dialog.count(), 1);
  assert.equal(await page.locator("#challenge iframe").getAttribute("title"), "Your bank’s page");
  assert.equal(await page.evaluate(() => document.activeElement.id), "challenge-title");
  const seen = new Set();
  for (let i = 0; i < 8; i += 1) {
    await page.keyboard.press("Tab");
    seen.add(await page.evaluate(() => document.activeElement.id || document.activeElement.localName));
  }
  seen.delete("body"); // where the browser's own bar would be
  assert.deepEqual([...seen].sort(), ["give-up", "iframe"]);
  await page.locator("#give-up").focus();
  await page.keyboard.press("Escape");
  assert.equal(await dialog.isVisible(), true);
  assert.equal(await page.evaluate(() => document.activeElement.id), "give-up-no");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#give-up-ask").isVisible(), false);
  assert.equal(await dialog.isVisible(), true);
  assert.equal(site.posts.length, 1);
  await page.locator("#give-up").click();
  await page.locator("#give-up-no").click();
  await bankButton(page).waitFor();
  await page.locator("#give-up").click();
  await page.locator("#give-up-yes").click();
  await waitFor(page, "declined");
  assert.equal(site.bodies[1].after, "challenge", "who gives up may have approved before: the server knows");
  assert.match(await page.locator("#notice").innerText(), /was cancelled/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "pay");
});

scene("given up after it was approved: paid is paid", {}, async ({ page, site }) => {
  answers(site, step(site, "challenge", "silent"), PAID);
  await fillCard(page);
  await pay(page);
  await page.locator("#give-up").click();
  await page.locator("#give-up-yes").click();
  await waitFor(page, "paid");
});

for (const [width, height, size] of [[320, 568, "05"], [390, 844, "05"], [1280, 800, "02"], [256, 500, "01"]]) {
  scene(`the challenge at ${width} × ${height}: window size ${size}, nothing scrolls sideways`, { tab: { viewport: { width, height } } }, async ({ page, site }) => {
    answers(site, step(site, "challenge", "challenge"), PAID);
    await fillCard(page);
    await pay(page);
    await bankButton(page).waitFor();
    assert.equal(site.bodies[0].browser.windowSize, size);
    const box = await page.locator("#challenge iframe").boundingBox();
    const least = { "05": [width, 300], "02": [390, 400], "01": [220, 400] }[size];
    assert.ok(box.width >= least[0] && box.height >= least[1], JSON.stringify(box));
    assert.ok(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
    await page.locator("#give-up").click();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector("dialog").scrollWidth <= innerWidth));
    await page.locator("#give-up-no").click();
    await bankButton(page).click();
    await waitFor(page, "paid");
  });
}

const RELOADED = [
  ["still with the bank", { state: "challenge", transactionId: 1, url: "https://x", creq: "x" }, "busy", /was interrupted[^]*not charged so far/],
  ["still waiting", { state: "waiting" }, "busy", /was interrupted/],
  ["being authorised", { state: "unknown", transactionId: 1, mayRetry: false }, "busy", /Not confirmed: do not pay again yet/],
  ["paid meanwhile", { state: "paid", transactionId: 81234 }, "paid", /Paid\. Thank you\.[^]*ZAR\s10\.00[^]*81234/],
  ["declined meanwhile", { state: "declined", transactionId: 1, reason: "bank" }, "declined", /bank declined/],
  ["never used", { state: "none" }, "ready", /Pay ZAR/],
];
for (const [name, answer, state, text] of RELOADED) {
  scene(`a reload during the challenge: ${name}`, {}, async ({ page, site, main }) => {
    answers(site, step(site, "challenge", "challenge"));
    await fillCard(page);
    await pay(page);
    await bankButton(page).waitFor();
    site.onState = () => [200, answer];
    await page.reload();
    await waitFor(page, state);
    assert.match(await main.innerText(), text);
    assert.equal(site.asked[0], site.posts[0].card.attempt);
    assert.equal(site.posts.length, 1, "nothing is sent again");
    assert.equal(await page.locator("#cvc").inputValue(), "");
  });
}

scene("interrupted, then freed: the form is back and pays", {}, async ({ page, site }) => {
  answers(site, step(site, "challenge", "challenge"), PAID);
  await fillCard(page);
  await pay(page);
  await bankButton(page).waitFor();
  site.view = { state: "busy", reason: "elsewhere" };
  site.onState = () => [200, site.asked.length < 3 ? { state: "waiting" } : { state: "declined", transactionId: 1, reason: "cancelled" }];
  await page.reload();
  await page.locator("[data-panel=interrupted]").waitFor();
  site.view = { state: "ready" };
  await waitFor(page, "declined");
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
  assert.notEqual(site.posts[0].card.attempt, site.posts[1].card.attempt);
});

scene("the answer after the challenge is lost: asked about, never sent again", { expected: [/Failed to load resource/] }, async ({ page, site }) => {
  site.onPay = (_, context) => (site.posts.length === 1 ? step(site, "challenge", "challenge") : context.cut());
  site.onState = () => [200, site.asked.length < 2 ? { state: "unknown", mayRetry: false } : { state: "paid", transactionId: 81234 }];
  await fillCard(page);
  await pay(page);
  await bankButton(page).click();
  await page.locator("[data-panel=unconfirmed]").waitFor();
  await waitFor(page, "paid");
  assert.equal(site.posts.length, 2);
});

scene("refused after the challenge: not called uncharged before the state says so", { expected: [/status of 409/] }, async ({ page, site }) => {
  answers(site, step(site, "challenge", "challenge"), [409, {}]);
  site.onState = () => [200, { state: "declined", transactionId: 1, reason: "later" }];
  await fillCard(page, { ...CARD, cvc: "1234" });
  await pay(page);
  await bankButton(page).click();
  await waitFor(page, "declined");
  assert.match(await page.locator("#notice").innerText(), /try again later/);
  assert.ok(site.asked.length >= 1);
});
