// 3-D Secure as a shopper meets it: the real page in real Chromium, the real edge and origin, the sandbox's bank.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { launch } from "../browser/harness.mjs";
import { KINDS } from "./databases.mjs";
import { EXPIRY } from "./shopper.mjs";
import { READY, SANDBOX, World, freePorts } from "./world.mjs";

/** The last four digits are the card's script: any version, a method page that answers, a challenge with buttons; or none. */
const MANUAL = "4200000000000072";
const FRICTIONLESS = "4200000000000003";
/** With this amount the gateway takes these cards only when an authentication comes with them. */
const PROVEN = "404.16";

class WorldWithBank extends World {
  async start() {
    this.bank = `127.0.0.1:${(await freePorts("bank")).bank}`;
    this.originSettings = { SCANVAULT_3DSECURE_URL: `http://${this.bank}` };
    await super.start();
  }

  startSandbox() {
    const folders = ["--state-dir", this.at("sandbox"), "--credentials", this.at("credentials")];
    const command = [SANDBOX, "serve", "--listen", new URL(this.sandbox).host, ...folders, "--threedsecure", this.bank];
    return this.children.start("sandbox", command, { ready: READY });
  }

  /** A merchant whose cards are asked for 3-D Secure, always. */
  async provenMerchant(name) {
    const merchant = await this.merchant(name, { args: ["--display-name", "Demo Shop"] });
    const apiKey = readFileSync(this.at("credentials/threedsecure/api-key.txt"), "utf8").trim();
    this.secrets.add("3dsecure.io's key", apiKey);
    const credentials = {
      apiKey, acquirerBin: { visa: "438309", mastercard: "526571" }, acquirerMerchantId: "000000003000001", mcc: "5411",
      merchantCountryCode: "208", merchantName: "Demo Shop", requestorUrl: "https://shop.example",
    };
    const file = this.at("3dsecure.json");
    writeFileSync(file, JSON.stringify(credentials), { mode: 0o600 });
    await this.cli("account", "credentials", name, "3dsecure", file);
    await this.cli("account", "set", name, "--3d-secure", "required");
    return merchant;
  }
}

/** A tab at the page of a code, with everything noted that must not happen. */
async function visit(browser, url) {
  const page = await (await browser.newContext({ locale: "da-DK", viewport: { width: 390, height: 844 } })).newPage();
  const trouble = [];
  const sent = [];
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && trouble.push(message.text()));
  page.on("request", (request) => sent.push(`${request.method()} ${request.url()} ${request.postData() ?? ""}`));
  await page.goto(url);
  await page.locator("#pay:enabled").waitFor();
  return { page, trouble, sent };
}

async function typeCard(page, pan) {
  for (const [id, text] of [["number", pan], ["expiry", EXPIRY], ["cvc", "987"], ["name", "Zephyrine Okonkwo"]]) await page.locator(`#${id}`).fill(text);
  await page.locator("#pay").click();
}

for (const kind of KINDS) {
  describe(kind, () => {
    let world;
    let browser;
    let merchant;
    before(async () => {
      world = new WorldWithBank(kind);
      await world.start();
      await world.init();
      await world.unseal();
      merchant = await world.provenMerchant("merchant-25");
      world.secrets.addCard({ pan: MANUAL, exp: EXPIRY, csc: "987", name: "Zephyrine Okonkwo" });
      browser = await launch();
    });
    after(async () => {
      await browser?.close();
      await world?.close();
    });
    const bankSays = (page, what) => page.frameLocator("#challenge iframe").getByRole("button", { name: what, exact: true });

    test("a challenge that is approved is paid once; the card was sealed anew for each step", { timeout: 90_000 }, async () => {
      const { code, codeUrl } = await world.code(merchant, PROVEN);
      const { page, trouble, sent } = await visit(browser, codeUrl);
      await typeCard(page, MANUAL);
      await bankSays(page, "Approve").click();
      await page.waitForSelector("main[data-state=paid]", { timeout: 30_000 });
      assert.match(await page.locator("#receipt").innerText(), /404,16\sZAR[^]*Demo Shop/);
      assert.deepEqual(trouble, []);
      const posts = sent.filter((text) => text.startsWith("POST") && text.includes("sealed"));
      assert.deepEqual(posts.map((text) => /"after":"(\w+)"/.exec(text)?.[1]), [undefined, "method", "challenge"]);
      assert.deepEqual(world.secrets.foundIn(Buffer.from(sent.join("\n"))), [], "nothing of the card in any request");
      const view = await world.query(merchant, code);
      assert.equal(view.codeState, "Used");
      assert.deepEqual(await world.booked(view.transactionId), ["authorization 40416 ZAR", "capture 40416 ZAR"]);
    });

    test("frictionless: no dialog is seen", { timeout: 60_000 }, async () => {
      const { code, codeUrl } = await world.code(merchant, PROVEN);
      const { page, trouble } = await visit(browser, codeUrl);
      await typeCard(page, FRICTIONLESS);
      await page.waitForSelector("main[data-state=paid]", { timeout: 30_000 });
      assert.deepEqual(trouble, []);
      assert.equal((await world.query(merchant, code)).codeState, "Used");
    });

    for (const [how, act] of [["declined at the bank", (page) => bankSays(page, "Decline").click()], ["cancelled at the bank", (page) => bankSays(page, "Cancel").click()],
      ["given up on the page", async (page) => { await page.locator("#give-up").click(); await page.locator("#give-up-yes").click(); }]]) {
      test(`${how}: not charged, what was typed stays, and the code is paid with the next try`, { timeout: 90_000 }, async () => {
        const { code, codeUrl } = await world.code(merchant, PROVEN);
        const { page, trouble } = await visit(browser, codeUrl);
        await typeCard(page, MANUAL);
        await bankSays(page, "Approve").waitFor();
        const before = (await world.book()).length;
        await act(page);
        await page.waitForSelector("main[data-state=declined]", { timeout: 30_000 });
        assert.equal((await world.book()).length, before, "nothing was asked of the acquirer");
        assert.equal(await page.locator("#cvc").inputValue(), "");
        assert.match(await page.locator("#number").inputValue(), /0072$/);
        await page.locator("#cvc").fill("987");
        await page.locator("#pay").click();
        await bankSays(page, "Approve").click();
        await page.waitForSelector("main[data-state=paid]", { timeout: 30_000 });
        assert.equal((await world.query(merchant, code)).codeState, "Used");
        assert.deepEqual(trouble, []);
      });
    }

    test("a reload during the challenge says that nothing was charged so far", { timeout: 60_000 }, async () => {
      const { codeUrl } = await world.code(merchant, PROVEN);
      const { page } = await visit(browser, codeUrl);
      await typeCard(page, MANUAL);
      await bankSays(page, "Approve").waitFor();
      await page.reload();
      await page.locator("[data-panel=interrupted]").waitFor();
      assert.match(await page.locator("main").innerText(), /Betalingen blev afbrudt/);
    });
  });
}
