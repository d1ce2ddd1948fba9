// Six languages: complete tables, the choice of one, and every state in each of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CODE, assetModule, fillCard, readAsset, template, waitFor } from "./harness.mjs";
import { scenes } from "./scene.mjs";

const scene = scenes();
const { LANGUAGES, chooseLanguage, fill, languageOf, loadTexts } = await assetModule("languages.js");
const TABLES = Object.fromEntries(await Promise.all(Object.keys(LANGUAGES).map(async (language) => [language, await loadTexts(language)])));
const spoken = (page, language) => page.waitForFunction((wanted) => document.documentElement.lang === wanted, language);

test("the texts of the page and of the English table are the same", () => {
  const marked = [...template.matchAll(/data-text="(\w+)"[^>]*>([^<]*)</g)];
  assert.ok(marked.length >= 60, `${marked.length}`);
  assert.equal(marked.length, template.split("data-text=").length - 1);
  for (const [, name, text] of marked) assert.equal(text, TABLES.en[name], name);
});

test("every language has the same keys and the same values to fill in, and no text is left in English", () => {
  const names = Object.keys(TABLES.en);
  const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
  // Words that are the same in these languages.
  const shared = { da: ["what", "reference"], sv: [], no: ["what"], de: [], fr: ["receiptNumber"] };
  for (const [language, table] of Object.entries(TABLES)) {
    assert.deepEqual(Object.keys(table), names, language);
    for (const [name, text] of Object.entries(table)) {
      assert.ok(text.trim() === text && text.length > 0, `${language} ${name}`);
      assert.deepEqual(values(text), values(TABLES.en[name]), `${language} ${name}`);
      assert.ok(!/[<>"]|\.\.\.| {2}/.test(text), `${language} ${name}: ${text}`);
      if (language !== "en" && name !== "itemCount" && !shared[language].includes(name)) assert.notEqual(text, TABLES.en[name], `${language} ${name}`);
    }
  }
});

test("every text is used, and every text that is asked for is there", () => {
  const scripts = ["pay", "view", "fields", "wire", "typed", "frames"].map((name) => readAsset(`${name}.js`)).join("\n");
  for (const name of Object.keys(TABLES.en)) {
    const used = template.includes(`data-text="${name}"`) || template.includes(`data-label="${name}"`) || new RegExp(`["'.]${name}\\b`).test(scripts);
    assert.ok(used, `${name} is used nowhere`);
  }
  for (const [, name] of scripts.matchAll(/(?:say\([^,]+, |note\(|status\(|text\(|#decline\()"(\w+)"/g)) assert.ok(name in TABLES.en, name);
});

test("the choice: the address, then the request, then the browser, then English", () => {
  const choose = (address, request, ...browser) => chooseLanguage({ address, request, browser });
  assert.equal(choose(null, "", "fi-FI", "nb-NO", "da"), "no");
  assert.equal(choose(null, "sv", "da"), "sv");
  assert.equal(choose("de", "sv", "da"), "de");
  assert.equal(choose("xx", "", "fr-CA"), "fr");
  assert.equal(choose(null, "", "ja"), "en");
  for (const [tag, language] of [["DA", "da"], ["nn-NO", "no"], ["de_AT", "de"], ["english", null], ["__proto__", null], ["constructor", null], ["", null], [undefined, null]]) {
    assert.equal(languageOf(tag), language, tag);
  }
  assert.equal(fill("{a} {b} {a}", { a: "$&", b: "{a}" }), "$& {a} $&");
});

for (const [language, expected] of [["da-DK", ["da", "Betal 10,00 DKK", "Kortnummer"]], ["sv-SE", ["sv", "Betala 10,00 DKK", "Kortnummer"]],
  ["nb-NO", ["no", "Betal 10,00 DKK", "Kortnummer"]], ["de-DE", ["de", "10,00 DKK zahlen", "Kartennummer"]], ["fr-FR", ["fr", "Payer 10,00 DKK", "Numéro de carte"]],
  ["fi-FI", ["en", "Pay DKK 10.00", "Card number"]]]) {
  scene(`a browser that speaks ${language}`, { site: { order: { currency: "DKK" } }, tab: { locale: language } }, async ({ page }) => {
    await page.locator("#pay:enabled").waitFor();
    const [lang, button, label] = expected;
    assert.equal(await page.locator("html").getAttribute("lang"), lang);
    assert.equal((await page.locator("#pay").innerText()).replace(/\s/g, " "), button);
    assert.equal(await page.getByLabel(label).count(), 1);
    assert.equal((await page.locator("#total").innerText()).replace(/\s/g, " "), button.replace(/^\D*?(?=DKK|\d)| zahlen$/g, ""));
    assert.equal(await page.locator("#language").inputValue(), lang);
  });
}

scene("the request's language stands above the browser's, the payer's choice above both and over a reload", { site: { order: { language: "sv" } }, tab: { locale: "da-DK" } }, async ({ page, site }) => {
  await spoken(page, "sv");
  await page.locator("#number").fill("4111");
  await page.locator("#language").focus();
  await page.keyboard.type("Deu"); // by keyboard
  await spoken(page, "de");
  assert.equal(await page.locator("#number").inputValue(), "4111", "what was typed stays");
  assert.equal(await page.title(), "An Demo Shop zahlen");
  await page.reload();
  await spoken(page, "de");
  await page.goto(`${site.origin}/Q/${CODE}?lang=fr`);
  await spoken(page, "fr");
});

scene("what the script has said is said again in the new language", { site: { order: { items: [{ name: "Kaffe", quantity: 2, totalMinor: 1000 }] } } }, async ({ page, site, main }) => {
  site.onPay = () => [200, site.posts.length === 1 ? { state: "declined", reason: "csc", transactionId: 1 } : { state: "paid", transactionId: 81234 }];
  await fillCard(page, { number: "4111111111111112", expiry: "1230", cvc: "123", name: "Thandi Nkosi" });
  await page.locator("#pay").click();
  await waitFor(page, "declined");
  await page.locator("#pay").click();
  await page.locator("#language").selectOption("fr");
  await spoken(page, "fr");
  assert.equal(await page.locator("#notice").innerText(), TABLES.fr.declinedCsc);
  assert.equal(await page.locator("#cvc-error").innerText(), TABLES.fr.cvcError);
  assert.equal(await page.locator("#number-hint").innerText(), TABLES.fr.numberHint);
  assert.equal(await page.locator("#expiry").getAttribute("placeholder"), "MM / AA");
  assert.match(await page.locator("#items").innerText(), /2 × Kaffe\s+10,00\sZAR/);
  await page.locator("#cvc").fill("123");
  await page.locator("#pay").click();
  await waitFor(page, "paid");
  assert.match(await page.locator("#receipt").innerText(), /Reçu[^]*10,00\sZAR/);
  await page.locator("#language").selectOption("da");
  await spoken(page, "da");
  assert.match(await page.locator("#receipt").innerText(), /Kvittering[^]*10,00\sZAR[^]*kl\./);
  assert.doesNotMatch(await main.innerText(), /Payé|Reçu/);
});

scene("a language that cannot be fetched leaves the page as it is", { expected: [/text-de\.js|Failed to (load|fetch)/] }, async ({ page, main }) => {
  await page.locator("#pay:enabled").waitFor();
  await page.route("**/text-de.js", (route) => route.abort());
  await page.locator("#language").selectOption("de");
  await page.waitForFunction(() => document.querySelector("#language").value === "en");
  assert.match(await main.innerText(), /Card number/);
});
