// What the page shows: its state, its texts in the page's language, the receipt. Everything foreign is put in as text.

import { LANGUAGES, chooseLanguage, fill, loadTexts, regional } from "./languages.js";
import { formatAmount } from "./typed.js";

const BROWSER = globalThis.navigator.languages ?? [globalThis.navigator.language];
const byId = (id) => document.getElementById(id);

/** The page in the language that fits; `main` is its one element with data. */
export async function createView(main) {
  const view = new View(main);
  const address = new URLSearchParams(globalThis.location.search).get("lang");
  const language = chooseLanguage({ address, request: main.dataset.language, browser: BROWSER });
  view.texts = await loadTexts("en");
  await view.speak(language);
  view.startMenu();
  return view;
}

class View {
  /** What the script wrote where, so that another language can write it again: element → [text key, values]. */
  #said = new Map();
  /** Called when the language has changed. */
  onLanguage = () => {};

  constructor(main) {
    this.main = main;
    this.language = "en";
  }

  // --- Texts ---

  text(key, values) {
    return fill(this.texts[key] ?? "", typeof values === "function" ? values() : values);
  }

  /** Writes a text into an element, for good; an empty key empties it. */
  say(element, key, values) {
    this.#said.set(element, [key, values]);
    const text = key ? this.text(key, values) : "";
    // Only when it changes: whatever is written into an alert is read out.
    if (element.textContent !== text) element.textContent = text;
  }

  money(minor) {
    const { exponent, currency } = this.main.dataset;
    return formatAmount(minor, Number(exponent), currency, this.language);
  }

  /** Changes the language of everything; stays as it is when the texts do not come. */
  async speak(language) {
    const texts = await loadTexts(language);
    if (!texts) return this.#showMenu();
    Object.assign(this, { texts, language });
    document.documentElement.lang = language;
    for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
    for (const element of document.querySelectorAll("[data-label]")) element.ariaLabel = texts[element.dataset.label];
    for (const [element, [key, values]] of this.#said) this.say(element, key, values);
    byId("expiry").placeholder = texts.expiryPlaceholder;
    const { merchant, amountMinor } = this.main.dataset;
    document.title = this.text(merchant ? "titlePay" : "title", { merchant });
    if (amountMinor) byId("total").textContent = this.money(Number(amountMinor));
    this.#showItems();
    this.#showMenu();
    return this.onLanguage();
  }

  startMenu() {
    const menu = byId("language");
    menu.replaceChildren(...Object.entries(LANGUAGES).map(([language, name]) => {
      const option = new Option(name, language);
      option.lang = language;
      return option;
    }));
    this.#showMenu();
    byId("languages").hidden = false;
    menu.addEventListener("change", () => {
      // In the address, so that a reload and a copied link keep it.
      const address = new URL(globalThis.location.href);
      address.searchParams.set("lang", menu.value);
      globalThis.history.replaceState(globalThis.history.state, "", address);
      void this.speak(menu.value);
    });
  }

  #showMenu() {
    byId("language").value = this.language;
  }

  /** The rows of a payment link: what each is, and its total. */
  #showItems() {
    const rows = JSON.parse(this.main.dataset.items || "[]").map(({ name, quantity, totalMinor }) => {
      const [row, what, total] = ["li", "bdi", "span"].map((tag) => document.createElement(tag));
      what.textContent = quantity > 1 ? this.text("itemCount", { quantity, name }) : name;
      total.textContent = this.money(totalMinor);
      row.append(what, total);
      return row;
    });
    byId("items").replaceChildren(...rows);
    byId("items").hidden = rows.length === 0;
  }

  // --- States ---

  /** The words of pay.css: `state` is the page's, `reason` the panel to show. */
  show(state, reason = "") {
    const { main } = this;
    Object.assign(main.dataset, { state, reason });
    this.note("");
    this.status("");
    for (const fieldset of main.querySelectorAll("fieldset")) fieldset.disabled = state === "paying";
    // Not `disabled`: a button would lose the keyboard's focus. Whoever takes the click refuses by itself.
    for (const button of main.querySelectorAll("form button")) button.setAttribute("aria-disabled", String(state === "paying"));
    const panel = reason ? main.querySelector(`[data-panel="${reason}"]`) : null;
    panel?.querySelector("h2")?.focus();
  }

  /** Told at once: what went wrong. */
  note(key, values) {
    this.say(byId("notice"), key, values);
  }

  /** Told when there is time: what is going on. */
  status(key) {
    this.say(byId("status"), key);
  }

  // --- The receipt ---

  /** `seen`: when this page learned of it, null when that was long after. */
  receipt({ transactionId, amountMinor, seen }) {
    const { merchant, reference } = this.main.dataset;
    const dates = () => new Intl.DateTimeFormat(regional(this.language, BROWSER), { dateStyle: "long", timeStyle: "short" });
    const rows = {
      amount: Number.isSafeInteger(amountMinor) && amountMinor > 0 ? () => this.money(amountMinor) : null,
      merchant: merchant ? () => merchant : null,
      reference: reference ? () => reference : null,
      time: seen ? () => dates().format(seen) : null,
      number: transactionId === undefined ? null : () => String(transactionId),
    };
    const write = () => {
      for (const [name, value] of Object.entries(rows)) {
        byId(`receipt-${name}`).textContent = value?.() ?? "";
        byId(`receipt-${name}`).parentElement.hidden = !value;
      }
    };
    write();
    byId("receipt").hidden = Object.values(rows).every((value) => !value);
    byId("print").hidden = byId("receipt").hidden;
    const before = this.onLanguage;
    this.onLanguage = () => { before(); write(); };
  }
}
