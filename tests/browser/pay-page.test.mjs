// The pay page in a real browser against a scripted server that opens what it receives.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CARD, CODE, PAN, fillCard, launch, openPage, serve, waitFor } from "./harness.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const PAID = [200, { state: "paid", transactionId: 81234 }];
const DECLINED = [200, { state: "declined", transactionId: 81234, reason: "bank", message: "What the page does not show" }];
const DECLINED_TEXT = "Your bank declined the payment. You were not charged. Please use another card or ask your bank.";

/** Runs `body` with a server and a tab; whatever it did, the console stayed clean and no card was sent in clear. */
function scene(name, options, body) {
  test(name, async (t) => {
    const site = await serve(options.site);
    const tab = await openPage(browser, site, options.tab);
    t.after(async () => { await tab.context.close(); await site.close(); });
    await body({ ...tab, site });
    const expected = options.expected ?? [];
    assert.deepEqual(tab.trouble.filter((line) => !expected.some((pattern) => pattern.test(line))), []);
    for (const request of site.requests) {
      const sent = JSON.stringify(request).replace(/[^\w]/g, "");
      assert.ok(!sent.includes(PAN) && !/Thandi/i.test(sent), `in clear: ${request.method} ${request.url}`);
    }
  });
}

const pay = (page) => page.locator("#pay").click();
const posts = (site) => site.requests.filter((request) => request.method === "POST").length;

scene("paid: the sealed card is complete and bound to the page", {}, async ({ page, site, main }) => {
  site.onPay = () => PAID;
  assert.equal(await page.title(), "Pay Demo Shop");
  assert.equal(await page.locator("#pay").innerText(), "Pay ZAR\u00a010.00");
  await fillCard(page);
  const [attempt, expires] = await main.evaluate((element) => [element.dataset.attempt, element.dataset.attemptExpires]);
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.posts.length, 1);
  assert.deepEqual(site.posts[0].card, {
    attempt, code: CODE, amount: 1000, currency: "ZAR", expires: Number(expires), pan: PAN, exp: "1230", csc: "123", name: "Thandi Nkosi",
  });
  assert.equal(site.posts[0].header.kid, "page-1");
  assert.deepEqual(Object.keys(JSON.parse(site.requests.find((r) => r.method === "POST").body)), ["sealed", "browser"]);
  assert.match(await main.innerText(), /Paid\. Thank you\.[^]*Transaction\s+81234/);
  assert.deepEqual(await page.locator("input").evaluateAll((inputs) => inputs.map((input) => input.value)), ["", "", "", "", "", ""]);
  assert.equal(await page.locator("#card").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Paid. Thank you.");
});

scene("the short address leads to the same page", { tab: { path: `/Q/${CODE}` } }, async ({ page, site }) => {
  site.onPay = () => PAID;
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.requests.find((request) => request.method === "POST").url, `/pluto/public/pay/${CODE}`);
});

scene("declined, then paid: what was typed stays, the CVC goes, the attempt is new", {}, async ({ page, site }) => {
  site.onPay = () => (site.posts.length === 1 ? DECLINED : PAID);
  await fillCard(page);
  await pay(page);
  await waitFor(page, "declined");
  assert.equal(await page.locator("#notice").innerText(), DECLINED_TEXT);
  assert.deepEqual(await page.locator("input:visible").evaluateAll((inputs) => inputs.map((input) => input.value)),
    ["4111 1111 1111 1111", "12 / 30", "", "Thandi Nkosi"]);
  assert.equal(await page.evaluate(() => document.activeElement.id), "cvc");
  await page.keyboard.type("456");
  await page.keyboard.press("Enter");
  await waitFor(page, "paid");
  assert.deepEqual(site.posts.map(({ card }) => card.csc), ["123", "456"]);
  assert.notEqual(site.posts[0].card.attempt, site.posts[1].card.attempt);
  assert.equal(posts(site), 2);
});

scene("lost, but certainly not charged: the shopper may pay again with a new attempt", {}, async ({ page, site }) => {
  const lost = [200, { state: "unknown", transactionId: 81234, message: "…", mayRetry: true }];
  site.onPay = () => (site.posts.length === 1 ? lost : PAID);
  await fillCard(page);
  await pay(page);
  await waitFor(page, "declined");
  assert.equal(await page.locator("#notice").innerText(), "The bank did not answer. The payment was not made; you may try again.");
  await page.keyboard.type("456");
  await page.keyboard.press("Enter");
  await waitFor(page, "paid");
  assert.notEqual(site.posts[0].card.attempt, site.posts[1].card.attempt);
  assert.equal(posts(site), 2);
});

for (const [reason, text] of [["card", /cannot be used here/], ["csc", /security code is not right/], ["expiry", /expiry date is not right/],
  ["scheme", /does not take this kind/], ["bank", /bank declined/], ["three_d_secure", /could not confirm that it is you/], ["later", /try again later/],
  ["cancelled", /was cancelled/], ["<img src=x onerror=alert(1)>", /The payment was declined/], ["constructor", /The payment was declined/], [undefined, /The payment was declined/]]) {
  scene(`declined (${reason}): our own words, never the server's`, {}, async ({ page, site }) => {
    site.onPay = () => [200, { state: "declined", reason, message: "<img src=x onerror=alert(1)>" }];
    await fillCard(page);
    await pay(page);
    await waitFor(page, "declined");
    const told = await page.locator("#notice").innerText();
    assert.match(told, text);
    assert.match(told, /You were not charged/);
    assert.equal(await page.locator("img").count(), 0);
    assert.equal(await page.locator("#number").inputValue(), "4111 1111 1111 1111");
    assert.equal(await page.locator("#cvc").inputValue(), "");
  });
}

const OPENED = [
  [{ state: "expired", reason: "expired", status: 410 }, /has ended/, 0],
  [{ state: "expired", reason: "blocked", status: 410 }, /has stopped this payment request/, 1],
  [{ state: "expired", reason: "suspended", status: 410 }, /cannot take payments now/, 0],
  [{ state: "expired", reason: "unknown-code", status: 404 }, /do not know this code/, 0],
  [{ state: "busy", reason: "elsewhere", status: 409 }, /Being paid right now/, 1],
  [{ state: "busy", reason: "sealed", status: 503 }, /paused for a moment/, 1],
  [{ state: "paid", reason: "already" }, /has already been paid/, 0],
];
for (const [view, text, links] of OPENED) {
  // Chromium reports the status of the document itself; that is the one line allowed.
  scene(`opens as ${view.state}: ${view.reason}`, { site: { view }, expected: [/Failed to load resource.*(404|409|410|503)/] }, async ({ page, main }) => {
    await page.locator("#languages").waitFor(); // the script has begun
    assert.match(await main.innerText(), text);
    assert.equal(await page.locator(".form").isVisible(), false);
    assert.equal(await page.locator("a:visible").count(), links);
    assert.equal(await page.locator("#merchant").isVisible(), !["unknown-code", "suspended"].includes(view.reason));
  });
}

scene("busy when opened: the retry link brings the form", { site: { view: { state: "busy", reason: "elsewhere" } } }, async ({ page, site }) => {
  site.view = { state: "ready" };
  site.onPay = () => PAID;
  await page.locator("a:visible").click();
  await waitFor(page, "ready");
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
});

const REFUSED = [
  ["used meanwhile", 409, { state: "paid", reason: "already" }, "paid", /already been paid/],
  ["being paid elsewhere", 409, { state: "busy", reason: "elsewhere" }, "busy", /Being paid right now/],
  ["expired meanwhile", 410, { state: "expired", reason: "expired" }, "expired", /has ended/],
  ["attempt no longer valid", 409, { state: "ready" }, "declined", /not made and you were not charged/],
  ["refused as malformed", 400, { state: "ready" }, "declined", /not made and you were not charged/],
  ["throttled", 429, { state: "ready" }, "declined", /wait a minute/],
];
for (const [name, status, view, state, text] of REFUSED) {
  scene(`refused on pay: ${name}`, { expected: [/status of (400|409|410|429)/] }, async ({ page, site, main }) => {
    site.onPay = () => { site.view = view; return [status, { detail: "…" }]; };
    await fillCard(page);
    await pay(page);
    await waitFor(page, state);
    assert.match(await main.innerText(), text);
    assert.equal(posts(site), 1);
    assert.equal(await page.locator("#cvc").inputValue(), "");
  });
}

for (const [name, state, shown, text] of [
  ["paid", [200, { state: "paid", transactionId: 81234 }], "paid", /Paid\. Thank you/],
  ["under way", [200, { state: "unknown", transactionId: 81234, mayRetry: false }], "busy", /Not confirmed: do not pay again yet/],
  ["not told", [503, {}], "busy", /Not confirmed: do not pay again yet/],
]) {
  scene(`refused because the browser has sent it twice by itself: the first is ${name}`, { expected: [/status of (409|503)/] }, async ({ page, site, main }) => {
    site.onPay = () => { site.view = { state: "busy", reason: "elsewhere" }; return [409, {}]; };
    site.onState = () => state;
    await fillCard(page);
    await pay(page);
    await waitFor(page, shown);
    assert.match(await main.innerText(), text);
    assert.equal(site.asked[0], site.posts[0].card.attempt);
    assert.equal(posts(site), 1);
  });
}

scene("503 sealed: told so, nothing typed is lost but the CVC, and paid later", { expected: [/status of 503/] }, async ({ page, site }) => {
  site.onPay = () => { site.view = { state: "busy", reason: "sealed" }; return [503, {}, { "retry-after": "30" }]; };
  await fillCard(page);
  await pay(page);
  await waitFor(page, "busy");
  assert.match(await page.locator("main").innerText(), /paused for a moment[^]*No payment was made/);
  site.view = { state: "ready" };
  site.onPay = () => PAID;
  await page.locator("a:visible").click();
  await waitFor(page, "ready");
  assert.equal(await page.locator("#number").inputValue(), "4111 1111 1111 1111");
  await page.locator("#cvc").fill("123");
  await pay(page);
  await waitFor(page, "paid");
});

const UNANSWERED = [
  ["network cut", (_, context) => context.cut()],
  ["answer cut in the middle", (_, context) => { context.request.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"state\""); return context.cut(); }],
  ["503 of an edge that lost its origin", () => [503, { detail: "unknown, retry with the same key" }, { "retry-after": "5" }]],
  ["502", () => [502, {}]],
  ["outcome unknown", () => [200, { state: "unknown", message: "…" }]],
  ["a step without an address", () => [200, { state: "challenge", transactionId: 1, creq: "x" }]],
  ["a step at an address that is none", () => [200, { state: "method", transactionId: 1, url: "javascript:alert(1)", data: "x" }]],
  ["steps without an end", (_, context) => [200, { state: "method", transactionId: 1, url: `${context.bank}/method`, data: "x" }]],
  ["outcome unknown for good", () => [200, { state: "unknown", message: "…", mayRetry: false }]],
  ["garbage", () => [200, ["?"]]],
  ["null", () => [200, null]],
];
for (const [name, answer] of UNANSWERED) {
  scene(`no clear answer (${name}): one POST, says not to pay again, checks by GET`, { expected: [/Failed to load resource/] }, async ({ page, site, main }) => {
    site.onPay = (card, context) => answer(card, { ...context, bank: site.bank.origin });
    site.onState = () => [404, {}];
    await fillCard(page);
    await pay(page);
    await waitFor(page, "busy");
    assert.match(await main.innerText(), /Not confirmed: do not pay again yet/);
    assert.equal(await page.locator("#cvc").inputValue(), "");
    site.onState = () => [200, { state: "unknown", transactionId: 81234, mayRetry: false }];
    await page.locator("a:visible").click();
    await page.locator("[role=alert]", { hasText: "Still not confirmed" }).waitFor();
    site.onState = () => [200, { state: "paid", transactionId: 81234 }];
    await page.locator("a:visible").click().catch(() => {}); // it asks by itself too
    await waitFor(page, "paid");
    assert.match(await main.innerText(), /81234/);
    assert.ok(site.asked.every((attempt) => attempt === site.posts[0].card.attempt));
    assert.equal(site.posts.length, name === "steps without an end" ? 4 : 1);
    assert.equal(await page.locator("#number").inputValue(), "");
  });
}

scene("no clear answer: the page asks by itself, and takes what it is told", { expected: [/Failed to load resource/] }, async ({ page, site }) => {
  site.onPay = (_, context) => context.cut();
  site.onState = () => [200, { state: site.asked.length < 2 ? "none" : "declined", reason: "bank" }];
  await fillCard(page);
  await pay(page);
  await waitFor(page, "busy");
  await waitFor(page, "declined");
  assert.equal(await page.locator("#notice").innerText(), DECLINED_TEXT);
  site.onPay = () => PAID;
  await page.locator("#cvc").fill("123");
  await pay(page);
  await waitFor(page, "paid");
  assert.notEqual(site.posts[0].card.attempt, site.posts[1].card.attempt);
});

scene("network cut, nothing recorded: the shopper pays again with the same attempt", { expected: [/Failed to load resource/] }, async ({ page, site, main }) => {
  site.onPay = (_, context) => context.cut();
  await fillCard(page);
  await pay(page);
  await waitFor(page, "busy");
  site.offline = true;
  await page.locator("a:visible").click();
  await page.locator("#notice", { hasText: "There is no answer" }).waitFor();
  site.offline = false;
  await page.locator("a:visible").click();
  await waitFor(page, "ready");
  assert.match(await main.innerText(), /No payment is recorded here/);
  site.onPay = () => PAID;
  await page.locator("#cvc").fill("123");
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.posts[0].card.attempt, site.posts[1].card.attempt);
});

scene("network cut, then the same attempt is refused: never called not charged", { expected: [/Failed to load resource/] }, async ({ page, site, main }) => {
  site.onPay = (_, context) => context.cut();
  await fillCard(page);
  await pay(page);
  await waitFor(page, "busy");
  await page.locator("a:visible").click();
  await waitFor(page, "ready");
  site.onPay = () => [409, {}];
  await page.locator("#cvc").fill("123");
  await pay(page);
  await waitFor(page, "busy");
  assert.match(await main.innerText(), /Not confirmed: do not pay again yet/);
});

scene("double click, Enter and script: one POST", {}, async ({ page, site }) => {
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  site.onPay = async () => { await held; return PAID; };
  await fillCard(page);
  await page.locator("#pay").dblclick();
  await waitFor(page, "paying");
  assert.equal(await page.locator("#pay").innerText(), "Paying…");
  await page.keyboard.press("Enter");
  await page.evaluate(() => { document.querySelector("#card").requestSubmit(); document.querySelector("#pay").click(); });
  release();
  await waitFor(page, "paid");
  assert.equal(posts(site), 1);
});

scene("offline before paying: nothing is sent", {}, async ({ page, context, site, main }) => {
  await fillCard(page);
  await context.setOffline(true);
  await pay(page);
  await waitFor(page, "declined");
  assert.match(await main.innerText(), /This payment was not sent/);
  await context.setOffline(false);
  assert.equal(posts(site), 0);
});

scene("an attempt that ran out is replaced before paying", { site: { lifetime: -1 } }, async ({ page, site }) => {
  site.onPay = () => PAID;
  site.lifetime = 300;
  await fillCard(page);
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.posts[0].card.attempt, "attempt-2");
});

scene("a changed amount is shown before it is paid", { site: { lifetime: -1 } }, async ({ page, site }) => {
  site.lifetime = 300;
  site.order.amountMinor = 2000;
  await fillCard(page);
  await pay(page);
  await page.locator("#pay", { hasText: "Pay ZAR\u00a020.00" }).waitFor();
  await waitFor(page, "ready");
  assert.equal(posts(site), 0);
});

scene("the payer types the amount", { site: { order: { amountMinor: "" } } }, async ({ page, site }) => {
  site.onPay = () => PAID;
  await fillCard(page);
  for (const wrong of ["", "0", "1.005", "abc", "10000000"]) {
    await page.locator("#amount").fill(wrong);
    await pay(page);
    assert.notEqual(await page.locator("#amount-error").innerText(), "", wrong);
    assert.equal(await page.evaluate(() => document.activeElement.id), "amount");
  }
  await page.locator("#amount").fill("12,5");
  assert.equal(await page.locator("#pay").innerText(), "Pay ZAR\u00a012.50");
  await pay(page);
  await waitFor(page, "paid");
  assert.equal(site.posts[0].card.amount, 1250);
  assert.equal(posts(site), 1);
});

scene("wrong fields: named, tied to their errors, the first one focused, nothing sent", {}, async ({ page, site }) => {
  await fillCard(page, { number: "4111", expiry: "0120", cvc: "1", name: " " });
  await pay(page);
  assert.equal(await page.evaluate(() => document.activeElement.id), "number");
  for (const [id, text] of [["number", /12 to 19 digits/], ["expiry", /has expired/], ["cvc", /3 or 4 digits/], ["name", /on the card/]]) {
    const input = page.locator(`#${id}`);
    assert.equal(await input.getAttribute("aria-invalid"), "true");
    assert.ok((await input.getAttribute("aria-describedby")).split(" ").includes(`${id}-error`));
    assert.match(await page.locator(`#${id}-error`).innerText(), text);
  }
  await page.locator("#name").fill("A");
  assert.equal(await page.locator("#name").getAttribute("aria-invalid"), null);
  assert.equal(posts(site), 0);
});

scene("a wrong check digit is a hint and never blocks", {}, async ({ page, site }) => {
  site.onPay = () => PAID;
  await fillCard(page, { ...CARD, number: "4111111111111112" });
  assert.match(await page.locator("#number-hint").innerText(), /one digit may be wrong/);
  await pay(page);
  await waitFor(page, "paid");
});

scene("typing: groups, caret, slash of one's own", {}, async ({ page }) => {
  const number = page.locator("#number");
  await number.pressSequentially("4111-1111 1111111");
  assert.equal(await number.inputValue(), "4111 1111 1111 111");
  await number.evaluate((input) => input.setSelectionRange(2, 2));
  await page.keyboard.type("9");
  assert.equal(await number.inputValue(), "4191 1111 1111 1111");
  assert.equal(await number.evaluate((input) => input.selectionStart), 3);
  for (const [typed, shown] of [["08/29", "08 / 29"], ["829", "08 / 29"], ["8/2029", "08 / 29"], ["1/30", "01 / 30"], ["12 / 30", "12 / 30"], ["1130", "11 / 30"]]) {
    await page.locator("#expiry").fill("");
    await page.locator("#expiry").pressSequentially(typed);
    assert.equal(await page.locator("#expiry").inputValue(), shown, typed);
  }
});

scene("keyboard alone: tab through, pay with Enter", {}, async ({ page, site }) => {
  site.onPay = () => PAID;
  const order = [];
  await page.locator("#pay:enabled").waitFor();
  for (const text of ["", PAN, "1230", "123", "Thandi Nkosi", ""]) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => document.activeElement.id));
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none");
    await page.keyboard.type(text);
  }
  assert.deepEqual(order, ["language", "number", "expiry", "cvc", "name", "pay"]);
  await page.keyboard.press("Enter");
  await waitFor(page, "paid");
});

scene("every field has a label and the autocomplete of its kind", {}, async ({ page }) => {
  for (const [label, autocomplete] of [["Card number", "cc-number"], ["Expiry date", "cc-exp"], ["Security code", "cc-csc"], ["Name on card", "cc-name"]]) {
    assert.equal(await page.getByLabel(label).getAttribute("autocomplete"), autocomplete);
  }
  await page.locator("#pay:enabled").waitFor();
  assert.equal(await page.getByRole("button").count(), 1);
  assert.equal(await page.locator("input[name]").count(), 0);
});
