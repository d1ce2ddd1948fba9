// MobilePay as a shopper meets it: the real page in real Chromium, the real edge and origin, the sandbox's app.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { launch } from "../browser/harness.mjs";
import { KINDS } from "./databases.mjs";
import { READY, SANDBOX, World, freePorts } from "./world.mjs";

class WorldWithWallet extends World {
  async start() {
    const { wallet, callbacks } = await freePorts("wallet", "callbacks");
    this.wallet = `127.0.0.1:${wallet}`;
    this.originSettings = {
      SCANVAULT_MOBILEPAY_URL: `http://${this.wallet}`,
      SCANVAULT_CALLBACK_LISTEN: `127.0.0.1:${callbacks}`,
      SCANVAULT_CALLBACK_URL: `https://localhost:${callbacks}`,
    };
    await super.start();
  }

  startSandbox() {
    const folders = ["--state-dir", this.at("sandbox"), "--credentials", this.at("credentials")];
    const party = ["--mobilepay", this.wallet, "--mobilepay-ca", this.at("ca/ca.pem"), "--no-rate-limits"];
    return this.children.start("sandbox", [SANDBOX, "serve", "--listen", new URL(this.sandbox).host, ...folders, ...party], { ready: READY });
  }

  /** A merchant in kroner who offers MobilePay. */
  async walletMerchant(name) {
    const merchant = await this.merchant(name, { args: ["--display-name", "Demo Shop", "--currency", "DKK"] });
    const read = (file) => readFileSync(this.at(`credentials/mobilepay/${file}.txt`), "utf8").trim();
    const [clientId, clientSecret, subscriptionKey] = ["client-id", "client-secret", "subscription-key"].map(read);
    this.secrets.add("MobilePay's client secret", clientSecret);
    const credentials = {
      clientId, clientSecret, subscriptionKey, pspId: "psp-1", merchantSerialNumber: "123456",
      allowedCardTypes: ["VISA_DEBIT", "VISA_CREDIT", "MC_CREDIT", "MC_DEBIT"],
    };
    const file = this.at("mobilepay.json");
    writeFileSync(file, JSON.stringify(credentials), { mode: 0o600 });
    await this.cli("account", "credentials", name, "mobilepay", file);
    return merchant;
  }
}

for (const kind of KINDS) {
  describe(kind, () => {
    let world;
    let browser;
    let merchant;
    before(async () => {
      world = new WorldWithWallet(kind);
      await world.start();
      await world.init();
      await world.unseal();
      merchant = await world.walletMerchant("merchant-25");
      browser = await launch();
    });
    after(async () => {
      await browser?.close();
      await world?.close();
    });

    /** A tab that has gone from the page to the wallet. */
    async function atTheWallet(amount, phone = "") {
      const { code, codeUrl } = await world.code(merchant, amount);
      const page = await (await browser.newContext({ locale: "da-DK", viewport: { width: 390, height: 844 } })).newPage();
      const trouble = [];
      page.on("pageerror", (error) => trouble.push(String(error)));
      // Chromium reports the status of the document itself: a code that is being paid is a 409.
      const isStatus = (message) => /status of 409/.test(message.text()) && message.location().url.includes("attempt=");
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type()) && message.location().url.startsWith(world.edge) && !isStatus(message)) trouble.push(message.text());
      });
      await page.goto(codeUrl);
      await page.locator("#pay-wallet:enabled").waitFor();
      await page.locator("#phone").fill(phone);
      await page.getByRole("button", { name: "Betal med MobilePay" }).click();
      await page.waitForURL((url) => url.host === world.wallet);
      return { page, code, trouble };
    }

    test("approved: there with the phone number, back, and paid once", { timeout: 90_000 }, async () => {
      const { page, code, trouble } = await atTheWallet("12.34", "12 34 56 78");
      assert.equal(await page.locator("input[name=phoneNumber]").inputValue(), "4512345678");
      await page.getByRole("button", { name: "Approve" }).click();
      await page.waitForSelector("main[data-state=paid]", { timeout: 30_000 });
      assert.match(await page.locator("#receipt").innerText(), /12,34\sDKK[^]*Demo Shop/);
      const view = await world.query(merchant, code);
      assert.equal(view.codeState, "Used");
      assert.match(await page.locator("#receipt-number").innerText(), new RegExp(`^${view.transactionId}$`));
      assert.deepEqual(await world.booked(view.transactionId), ["authorization 1234 DKK", "capture 1234 DKK"]);
      await page.reload();
      await page.locator("#receipt").waitFor();
      assert.deepEqual(trouble, []);
    });

    test("rejected: told so, nothing booked, and MobilePay pays with the next try", { timeout: 90_000 }, async () => {
      const { page, code, trouble } = await atTheWallet("23.45");
      await page.getByRole("button", { name: "Reject" }).click();
      await page.waitForSelector("main[data-state=declined]", { timeout: 30_000 });
      assert.match(await page.locator("#notice").innerText(), /Betalingen blev annulleret/);
      await page.getByRole("button", { name: "Betal med MobilePay" }).click();
      await page.waitForURL((url) => url.host === world.wallet);
      await page.getByRole("button", { name: "Approve" }).click();
      await page.waitForSelector("main[data-state=paid]", { timeout: 30_000 });
      assert.equal((await world.query(merchant, code)).codeState, "Used");
      assert.deepEqual(trouble, []);
    });

    test("the browser's way back without an answer: the page waits, and shows the way there again", { timeout: 60_000 }, async () => {
      const { page } = await atTheWallet("34.56");
      await page.goBack();
      await page.locator("[data-panel=waiting]").waitFor();
      assert.match(await page.locator("main").innerText(), /Venter på MobilePay/);
      await page.locator("#to-wallet").click();
      await page.waitForURL((url) => url.host === world.wallet);
      await page.getByRole("button", { name: "Approve" }).click();
      await page.waitForSelector("main[data-state=paid]", { timeout: 30_000 });
    });
  });
}
