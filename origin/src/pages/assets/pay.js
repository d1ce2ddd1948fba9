// The pay page. One rule stands above comfort: a payment is sent at most once, and what is not known is said.

import { forget, recall, remember } from "./attempt.js";
import { browserOf, windowSize } from "./browser.js";
import { createFields } from "./fields.js";
import { runChallenge, runMethod } from "./frames.js";
import { languageOf } from "./languages.js";
import { poll } from "./poll.js";
import { sealCard } from "./seal.js";
import { createView } from "./view.js";
import { askState, look, safeUrl, send } from "./wire.js";

/** An attempt is replaced when less of its time is left: a bank's challenge may take ten minutes. */
const LEAST_LEFT_MS = 11 * 60 * 1000;
/** The method, the challenge, and one of each to spare: a server that asks for more is not followed. */
const MAX_STEPS = 4;
const RETURN_AFTER_MS = 8000;

const byId = (id) => document.getElementById(id);
const isForm = (state) => state === "ready" || state === "paying" || state === "declined";

class PayPage {
  #underway = false;
  /** The payment that was sent and has no outcome yet, else null: {attempt, by, amountMinor}. */
  #open = null;
  #stopPolling = () => {};

  constructor(main, view) {
    Object.assign(this, { main, view, payUrl: `/pluto/public/pay/${main.dataset.code}` });
    this.fields = createFields(view, () => this.#label());
  }

  start() {
    const { main, view } = this;
    view.onLanguage = () => this.#label();
    this.#label();
    if (isForm(main.dataset.state) && !globalThis.crypto?.subtle) return view.show("busy", "insecure");
    byId("card").addEventListener("submit", (event) => this.#begin(event, () => this.#payByCard()));
    byId("wallet").addEventListener("submit", (event) => this.#begin(event, () => this.#payByWallet()));
    // The links work without this script too; with it, what was typed survives.
    for (const link of main.querySelectorAll(".retry")) link.addEventListener("click", (event) => this.#check(event));
    byId("print").addEventListener("click", () => { this.#stay(); globalThis.print(); });
    byId("stay").addEventListener("click", () => { this.#stay(); byId("to-shop").focus(); });
    globalThis.addEventListener("offline", () => { if (!this.#underway && isForm(main.dataset.state)) view.note("offline"); });
    globalThis.addEventListener("online", () => { if (!this.#underway && isForm(main.dataset.state)) view.note(""); });
    // Back from a wallet by the browser's own button: the page is as it was left, the payment is not.
    globalThis.addEventListener("pageshow", (event) => { if (event.persisted) globalThis.location.reload(); });
    for (const id of ["pay", "pay-wallet"]) byId(id).disabled = false;
    const kept = recall();
    // A shop whose payer has chosen MobilePay says so in the link. Nothing is asked for until they press the button.
    const isChosen = new URLSearchParams(globalThis.location.search).get("go") === "mobilepay" && main.dataset.wallet !== "";
    if (!kept && isChosen && isForm(main.dataset.state)) byId("pay-wallet").focus();
    return kept ? this.#resume(kept) : undefined;
  }

  // --- Paying ---

  async #begin(event, pay) {
    event.preventDefault();
    if (this.#underway || !isForm(this.main.dataset.state)) return;
    this.#underway = true;
    try {
      await pay();
    } finally {
      this.#underway = false;
    }
  }

  async #payByCard() {
    const typed = this.fields.readCard();
    if (!typed) return undefined;
    this.#show("paying");
    this.view.status("paying");
    const payment = await this.#prepare("card", typed.amount);
    if (!payment) return undefined;
    const answer = await this.#steps(payment, typed);
    typed.card = null; // the CVC is gone from memory, whatever the outcome
    return this.#conclude(answer, payment);
  }

  /** Posts the card, and again after each thing that the bank wants first; answers the last answer. */
  async #steps(payment, { amount, card }) {
    const { code, currency, attemptExpires, key } = this.main.dataset;
    const sealedOver = { attempt: payment.attempt, code, amount, currency, expires: Number(attemptExpires), ...card };
    const browser = browserOf(globalThis);
    let after;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      let sealed;
      try {
        sealed = await sealCard(JSON.parse(key), sealedOver);
      } catch {
        return { kind: "unsent", text: "notSealed" };
      }
      if (!after) remember(payment);
      payment.after = after;
      const answer = await send(this.payUrl, { sealed, browser, ...(after && { after }) });
      if (!(await this.#bankSteps(answer, browser.windowSize))) return answer;
      after = answer.kind;
      this.view.status("paying");
    }
    return { kind: "silent" };
  }

  /** Does what the bank wants first; false when that is nothing. */
  async #bankSteps(answer, size) {
    if (answer.kind !== "method" && answer.kind !== "challenge") return false;
    const url = safeUrl(answer.url, globalThis.location.href);
    if (!url) return false;
    if (answer.kind === "method") {
      this.view.status("checkingCard");
      await runMethod({ url, data: answer.data });
    } else {
      await runChallenge({ url, creq: answer.creq }, { size, title: this.view.text("challengeFrame") });
      byId("pay").focus();
    }
    return true;
  }

  async #payByWallet() {
    const amount = this.fields.readAmount();
    const phone = amount === null ? null : this.fields.readPhone();
    if (phone === null) return undefined;
    this.#show("paying");
    this.view.status("openingWallet");
    const payment = await this.#prepare("mobilepay", amount);
    if (!payment) return undefined;
    remember(payment);
    const language = languageOf(new URLSearchParams(globalThis.location.search).get("lang")); // chosen: kept on the way back
    const body = { attempt: payment.attempt, amountMinor: amount, ...(phone && { phone }), ...(language && { language }) };
    const answer = await send(`${this.payUrl}/mobilepay`, body);
    const url = answer.kind === "redirect" ? safeUrl(answer.url, globalThis.location.href) : null;
    if (!url) return this.#conclude(answer, payment);
    this.#waitForWallet(payment, url);
    return globalThis.location.assign(url);
  }

  /** The attempt to pay with, or null after the page has said why there is none. Nothing has been sent then. */
  async #prepare(by, amountMinor) {
    if (globalThis.navigator.onLine === false) return this.#decline("notSent");
    // Pages are left open: an attempt that ran out, or soon will, is replaced before anything is sent.
    if (this.#leftMs() < (this.#open ? 0 : LEAST_LEFT_MS)) {
      const view = await look(this.payUrl);
      if (!view) return this.#decline("notSent");
      if (view.state !== "ready") return this.#enter(view);
      if (!this.#adopt(view)) return null;
    }
    return { attempt: this.main.dataset.attempt, by, amountMinor };
  }

  // --- What came of it ---

  async #conclude(answer, payment) {
    this.fields.wipeSecrets();
    switch (answer.kind) {
      case "paid": return this.#paid(answer, { ...payment, paidAtMs: Date.now() });
      case "declined": case "lost": return this.#failed(answer);
      case "unsent": return this.#decline(answer.text);
      case "refused": return this.#refused(answer.status, payment);
      case "unavailable": return this.#unavailable(payment);
      default: return this.#doubt(payment);
    }
  }

  /** Over, and nothing was charged. */
  #failed({ text, reason }) {
    this.#settled();
    this.#spend();
    this.#decline(text, reason === "cancelled" ? byId("pay") : this.fields.field.cvc);
  }

  /** An edge may answer 503 for an origin that it lost: only the page's word makes it a sealed vault. */
  async #unavailable(payment) {
    const isFirst = !this.#open && !payment.after;
    if (!isFirst || (await look(this.payUrl))?.reason !== "sealed") return this.#doubt(payment);
    forget();
    return this.#show("busy", "sealed");
  }

  /** This POST was not taken: the page says how the code stands now. */
  async #refused(status, payment) {
    // After a step that was taken, or one without an answer, only the attempt's state tells.
    if (payment.after) return this.#doubt(payment);
    const wasOpen = this.#open;
    // A browser may have sent it twice by itself: then it is our own payment that is in the way of this one.
    const own = status === 409 && !wasOpen ? await askState(this.payUrl, payment.attempt) : { kind: "none" };
    if (own?.kind !== "none") return this.#doubt(payment);
    if (!wasOpen) {
      forget();
      this.#spend();
      if (![404, 409, 410].includes(status)) {
        return this.#decline(status === 429 ? "throttled" : "refused", this.fields.field.cvc);
      }
    }
    const view = await look(this.payUrl);
    if (wasOpen && view?.state !== "paid") return this.#doubt(wasOpen);
    if (view && (wasOpen || view.state !== "ready")) return this.#enter(view);
    if (!view) return this.#show(status === 409 ? "busy" : "expired", status === 409 ? "elsewhere" : "expired");
    return this.#decline("refused", this.fields.field.cvc);
  }

  /** Sent, and no answer: said as it is, and asked about. */
  #doubt(payment) {
    this.#open = payment;
    this.#show("busy", "unconfirmed");
    this.#follow(payment);
    return null;
  }

  #waitForWallet(payment, url) {
    this.#open = payment;
    this.#show("busy", "waiting");
    byId("to-wallet").hidden = !url;
    if (url) byId("to-wallet").href = url;
    this.#follow(payment);
  }

  /** Asks how the payment stands until that is known. */
  #follow(payment) {
    this.#stopPolling();
    this.#stopPolling = poll(async () => {
      if (this.#underway) return false;
      const answer = await askState(this.payUrl, payment.attempt);
      return this.#open === payment && !this.#underway && answer !== null && this.#told(answer, payment);
    }, () => { if (this.#open === payment) this.view.note("stillUnconfirmed"); });
  }

  /** Goes by what the server says of the open payment; false when it is still open. */
  #told(answer, payment) {
    if (answer.kind === "paid") this.#paid(answer, payment);
    else if (answer.kind === "declined" || answer.kind === "lost") void this.#backToForm(answer);
    else {
      if (answer.kind === "unknown" && this.main.dataset.reason !== "unconfirmed") this.#show("busy", "unconfirmed");
      return false;
    }
    return true;
  }

  /** Declined, as the state says: the code may still be locked for a moment, or the page have no attempt yet. */
  async #backToForm(answer) {
    this.#settled();
    this.#spend();
    const view = await look(this.payUrl);
    if (view?.state === "ready" && !this.#adopt(view)) return;
    if (view && view.state !== "ready") this.#show(view.state, view.reason);
    else this.#show("declined");
    this.view.note(answer.text);
  }

  /** The page was opened with a payment under way: before a reload, or on the way back from a wallet. */
  async #resume(payment) {
    const [state, reason] = [this.main.dataset.state, this.main.dataset.reason];
    const byWallet = payment.by === "mobilepay";
    this.#open = payment;
    this.#show("busy", byWallet ? "waiting" : "unconfirmed");
    const answer = await askState(this.payUrl, payment.attempt);
    if (this.#open !== payment || (answer && this.#told(answer, payment))) return undefined;
    switch (answer?.kind) {
      case "none":
        this.#settled();
        return this.#show(state, reason);
      case "method": case "challenge":
        this.#show("busy", "interrupted"); // the card is gone with the old page; so the bank cannot be asked
        return this.#follow(payment);
      case "waiting": case "redirect":
        if (byWallet) return this.#waitForWallet(payment, answer.url && safeUrl(answer.url, globalThis.location.href));
        this.#show("busy", "interrupted");
        return this.#follow(payment);
      default:
        this.#doubt(payment);
        return answer ? undefined : this.view.note("stillNoAnswer");
    }
  }

  // --- Looking again, at a shopper's wish: the retry links ---

  async #check(event) {
    event.preventDefault();
    if (this.#underway) return;
    this.#underway = true;
    this.view.note("");
    try {
      if (this.#open) await this.#checkPayment(this.#open);
      else await this.#checkCode();
    } finally {
      this.#underway = false;
    }
  }

  async #checkCode() {
    const view = await look(this.payUrl);
    if (!view) return this.view.note("stillNoAnswer");
    if (view.state !== "ready") return this.#show(view.state, view.reason);
    if (!this.#adopt(view)) return undefined;
    this.#show("ready");
    return this.fields.focusFirst();
  }

  async #checkPayment(payment) {
    const answer = await askState(this.payUrl, payment.attempt);
    if (answer && this.#told(answer, payment)) return undefined;
    if (answer && answer.kind !== "none") return this.view.note("stillUnconfirmed");
    // Nothing is known of the attempt: the page may know more.
    const view = await look(this.payUrl);
    if (!view) return this.view.note("stillNoAnswer");
    if (view.state === "paid") return this.#enter(view);
    if (!answer || view.state !== "ready") return this.view.note("stillUnconfirmed");
    // An attempt that still runs is kept: if the lost POST arrives after all, the server takes only one of the two.
    if (this.#leftMs() <= 0 && !this.#adopt(view)) return undefined;
    this.#stopPolling();
    this.#show("ready");
    this.view.note("notRecorded");
    return this.fields.focusFirst();
  }

  // --- Small things ---

  /** Takes over a new attempt. When the merchant changed what is paid, the shopper must see it first. */
  #adopt(view) {
    const { main } = this;
    const same = ["amountMinor", "currency", "exponent", "merchant", "partial"].every((name) => view[name] === main.dataset[name]);
    if (!same) globalThis.location.reload();
    else for (const name of ["attempt", "attemptExpires", "key"]) main.dataset[name] = view[name];
    return same;
  }

  /** Shows what the server says, but never calls an open outcome a failed one. */
  #enter(view) {
    if (this.#open && view.state !== "paid") return this.#doubt(this.#open);
    if (view.state === "paid") this.#settled();
    this.#show(view.state, view.reason);
    return null;
  }

  /** The outcome of what was sent is known. */
  #settled() {
    this.#stopPolling();
    this.#open = null;
    forget();
  }

  /** The attempt may be used up: the next payment fetches a new one. */
  #spend() {
    this.main.dataset.attemptExpires = "0";
  }

  #leftMs() {
    return Number(this.main.dataset.attemptExpires) * 1000 - Date.now();
  }

  /** `payment.shown`: this receipt was here before, and is opened again. */
  #paid({ transactionId, returnUrl, paidAtMs }, { amountMinor, attempt, by, shown, ...known }) {
    this.#stopPolling();
    this.#open = null;
    const { partial, amountMinor: asked, follow } = this.main.dataset;
    const amount = amountMinor ?? (asked && partial !== "yes" ? Number(asked) : undefined);
    const at = paidAtMs ?? known.paidAtMs;
    this.view.receipt({ transactionId, amountMinor: amount, seen: at ? new Date(at) : null });
    this.#show("paid", "paid");
    if (amount === 0) this.view.say(byId("paid-text"), "kept");
    forget();
    remember({ attempt, by, amountMinor: amount, paidAtMs: at, shown: true });
    const url = returnUrl ? safeUrl(returnUrl, globalThis.location.href) : null;
    if (!url) return;
    byId("to-shop").href = url;
    byId("return").hidden = false;
    if (follow !== "yes" || shown) return this.#stay();
    this.view.say(byId("going"), "goingBack");
    this.leaving = setTimeout(() => globalThis.location.assign(url), RETURN_AFTER_MS);
  }

  #stay() {
    clearTimeout(this.leaving);
    this.view.say(byId("going"), "");
    byId("stay").hidden = true;
  }

  #decline(key, focused = byId("pay")) {
    this.#show("declined");
    this.view.note(key);
    focused.focus();
    return null;
  }

  #show(state, reason = "") {
    if (state === "paid" || state === "expired") this.fields.wipeAll();
    this.view.show(state, reason);
    this.#label();
  }

  #label() {
    const minor = this.fields.amountMinor();
    const paying = this.main.dataset.state === "paying";
    const key = paying ? "paying" : minor === null ? "payAny" : minor === 0 ? "keep" : "pay";
    this.view.say(byId("pay"), key, () => ({ amount: minor === null ? "" : this.view.money(minor) }));
  }
}

const main = document.querySelector("main");
new PayPage(main, await createView(main)).start();
