// 3-D Secure and MobilePay for merchants of a stand, and a shopper's way through both without a browser: what its page
// would post, and what the bank's and the wallet's pages are answered.

import { readFileSync, writeFileSync } from "node:fs";
import { fetchPatiently } from "../lib/patient.mjs";
import { CARD, pageData, payPath, seal } from "./shopper.mjs";

const JSON_TYPE = { "content-type": "application/json" };
const FORM_TYPE = { "content-type": "application/x-www-form-urlencoded" };
/** What a page tells of its browser. */
const BROWSER = {
  language: "da-DK", colorDepth: 24, screenHeight: 844, screenWidth: 390, timeZoneMinutes: -60, javaEnabled: false,
  userAgent: "kills", accept: "*/*", windowSize: "05",
};
/** The last four digits are the card's script. The gateway takes these cards for PROVEN only with an authentication. */
export const FRICTIONLESS = { ...CARD, pan: "4200000000000003" };
export const CHALLENGED = { ...CARD, pan: "4200000000000070" };
export const CHALLENGED_AT_ONCE = { ...CARD, pan: "4200000000000170" };
export const NOT_THEIRS = { ...CARD, pan: "4200000000000071" };
export const PROVEN = 40416;

/** The merchant's cards are asked for 3-D Secure: by the merchant's rule, or where an issuer wants it. */
export async function giveBank(stand, name, rule) {
  await keep(stand, name, "3dsecure", {
    apiKey: read(stand, "threedsecure/api-key.txt"), acquirerBin: { visa: "438309", mastercard: "526571" }, acquirerMerchantId: "000000003000001",
    mcc: "5411", merchantCountryCode: "208", merchantName: "Demo Shop", requestorUrl: "https://shop.example",
  });
  await stand.cli(["account", "set", name, "--3d-secure", rule]);
}

/** The merchant offers MobilePay. */
export async function giveWallet(stand, name) {
  const [clientId, clientSecret, subscriptionKey] = ["client-id", "client-secret", "subscription-key"].map((file) => read(stand, `mobilepay/${file}.txt`));
  await keep(stand, name, "mobilepay", {
    clientId, clientSecret, subscriptionKey, pspId: "psp-1", merchantSerialNumber: "123456",
    allowedCardTypes: ["VISA_DEBIT", "VISA_CREDIT", "MC_CREDIT", "MC_DEBIT"],
  });
}

function read(stand, file) {
  return readFileSync(stand.ground.at("credentials", file), "utf8").trim();
}

async function keep(stand, name, party, credentials) {
  const file = stand.at(`${party}.json`);
  writeFileSync(file, JSON.stringify(credentials), { mode: 0o600 });
  await stand.cli(["account", "credentials", name, party, file]);
}

/** One shopper at the page of a code, with the one attempt that the page was given. */
export class Visit {
  /** `ask(method, path, headers, body)` is the shopper's way to the origin; a body is JSON, or text. */
  constructor(ask, code) {
    Object.assign(this, { ask, code, path: payPath(code) });
  }

  /** Whether the page can be paid. */
  async open() {
    this.page = await this.ask("GET", this.path);
    this.data = pageData(this.page.body);
    return this.page.status === 200 && this.data.state === "ready";
  }

  /** Pays with a card, and does what its bank asks for. What the page is answered at the end; `undefined` for a problem. */
  async pay(card = CARD) {
    let answer = await this.post(card);
    for (let steps = 0; steps < 4 && ["method", "challenge"].includes(answer?.state); steps += 1) {
      await this.toBank(answer);
      answer = await this.post(card, answer.state);
    }
    return answer;
  }

  /** The card, sealed anew. `after`: what the page has just done for the bank. */
  async post(card, after) {
    const sealed = await seal(this, card);
    const answer = await this.ask("POST", this.path, JSON_TYPE, { sealed, browser: BROWSER, ...(after && { after }) });
    return this.read(answer);
  }

  read(answer) {
    this.status = answer.status;
    this.said = answer.status === 200 ? JSON.parse(answer.body) : undefined;
    if (answer.status !== 200) this.problem = answer.body.toString();
    return this.said;
  }

  /** Posts to the bank's page, and to us what that page posts. */
  async toBank({ state, url, data, creq }) {
    const sent = state === "method" ? { threeDSMethodData: data } : { creq };
    const bank = fetchPatiently(url, { method: "POST", body: new URLSearchParams(sent) });
    const page = await bank.then((answer) => answer.text()).catch(() => "");
    const action = /action="([^"]+)"/.exec(page)?.[1];
    if (!action) return; // the bank has its own trouble: nothing is answered
    const fields = [...page.matchAll(/name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]);
    await this.ask("POST", new URL(action).pathname, FORM_TYPE, String(new URLSearchParams(fields)));
  }

  /** Chooses MobilePay: where the payer is sent. */
  async toWallet() {
    const answer = this.read(await this.ask("POST", `${this.path}/mobilepay`, JSON_TYPE, { attempt: this.data.attempt }));
    this.landing = answer?.url;
    return answer;
  }

  /** Presses a button in the wallet's app; it answers when the card callback has its answer, or none. */
  async press(outcome = "approve") {
    const answer = await fetchPatiently(this.landing, { method: "POST", body: new URLSearchParams({ outcome }), redirect: "manual" });
    await answer.arrayBuffer();
  }

  /** How the payment stands, to a payer who has come back. */
  async state() {
    return this.read(await this.ask("GET", `${this.path}/state`, {}, undefined, `attempt=${this.data.attempt}`));
  }
}
