// The fields of the page: reading them, saying what is wrong with them, and helping while they are typed into.

import { amountProblem, decimalOf, groupNumber, isPast, luhn, onlyDigits, parseAmount, parseExpiry, parsePhone } from "./typed.js";

const IDS = ["amount", "phone", "number", "expiry", "cvc", "name"];
const byId = (id) => document.getElementById(id);

/** `onAmount` is called when the amount that is typed has changed. */
export function createFields(view, onAmount) {
  const { main } = view;
  const field = Object.fromEntries(IDS.map((id) => [id, byId(id)]));

  listen();
  // The payer may pay less: what was asked for is where they start.
  if (isPartial() && !field.amount.value) field.amount.value = decimalOf(asked(), exponent());
  return { field, amountMinor, readAmount, readCard, readPhone, wipeSecrets, wipeAll, focusFirst };

  function exponent() {
    return Number(main.dataset.exponent);
  }
  /** What was asked for in minor units; null: the payer says. */
  function asked() {
    return main.dataset.amountMinor === "" ? null : Number(main.dataset.amountMinor);
  }
  function isPartial() {
    return main.dataset.partial === "yes" && asked() !== null;
  }
  function isTyped() {
    return asked() === null || isPartial();
  }

  function listen() {
    field.number.addEventListener("input", () => { regroup(field.number); hintNumber(true); });
    field.number.addEventListener("blur", () => hintNumber(false));
    field.expiry.addEventListener("input", (event) => spaceExpiry(field.expiry, event));
    field.cvc.addEventListener("input", () => { field.cvc.value = onlyDigits(field.cvc.value); });
    field.amount.addEventListener("input", onAmount);
    for (const input of Object.values(field)) input.addEventListener("input", () => mark(input, ""));
    // A page that comes back from the browser's cache brings its fields along.
    globalThis.addEventListener("pagehide", wipeSecrets);
  }

  /** What will be paid as it stands now, or null. */
  function amountMinor() {
    return isTyped() ? parseAmount(field.amount.value, exponent()) : asked();
  }

  /** What will be paid, or null after the field was marked. */
  function readAmount() {
    const minor = amountMinor();
    return report({ amount: isTyped() ? amountProblem(minor, exponent(), asked()) : "" }) ? minor : null;
  }

  /** Amount and card, or null after the wrong fields were marked and the first one focused. */
  function readCard() {
    const amount = amountMinor();
    const pan = onlyDigits(field.number.value);
    const exp = parseExpiry(field.expiry.value);
    const csc = field.cvc.value.trim();
    const name = field.name.value.trim();
    const wrong = {
      amount: isTyped() ? amountProblem(amount, exponent(), asked()) : "",
      number: /^\d{12,19}$/.test(pan) ? "" : "numberError",
      expiry: !exp ? "expiryError" : isPast(exp, new Date()) ? "expiryPast" : "",
      cvc: /^\d{3,4}$/.test(csc) ? "" : "cvcError",
      name: name ? "" : "nameError",
    };
    return report(wrong) ? { amount, card: { pan, exp, csc, name } } : null;
  }

  /** "+45…" or "", or null after the field was marked. */
  function readPhone() {
    const phone = parsePhone(field.phone.value, main.dataset.currency);
    return report({ phone: phone === null ? "phoneError" : "" }) ? phone : null;
  }

  function report(wrong) {
    for (const [id, key] of Object.entries(wrong)) mark(field[id], key);
    const first = Object.keys(wrong).find((id) => wrong[id]);
    if (first) field[first].focus();
    return !first;
  }

  function mark(input, key) {
    const example = () => ({
      example: decimalOf(12 * 10 ** exponent(), exponent()), most: asked() === null ? "" : view.money(asked()),
    });
    view.say(byId(`${input.id}-error`), key, example);
    if (key) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }

  function hintNumber(typing) {
    const digits = onlyDigits(field.number.value);
    const doubtful = digits.length >= (typing ? 16 : 12) && !luhn(digits);
    view.say(byId("number-hint"), doubtful ? "numberHint" : "");
  }

  function wipeSecrets() {
    field.cvc.value = "";
  }
  function wipeAll() {
    for (const input of Object.values(field)) input.value = "";
    view.say(byId("number-hint"), "");
  }
  function focusFirst() {
    const first = field.number.value ? field.cvc : isTyped() ? field.amount : field.number;
    first.focus();
  }
}

/** Writes the groups and keeps the caret behind the same digit. */
function regroup(input) {
  const before = onlyDigits(input.value.slice(0, input.selectionStart)).length;
  const grouped = groupNumber(onlyDigits(input.value).slice(0, 19));
  if (grouped === input.value) return;
  input.value = grouped;
  let caret = 0;
  for (let seen = 0; seen < before && caret < grouped.length; caret += 1) if (grouped[caret] !== " ") seen += 1;
  input.setSelectionRange(caret, caret);
}

/** "0829" and "8/29" become "08 / 29" while typing; deleting is left alone. */
function spaceExpiry(input, event) {
  if (event.inputType?.startsWith("delete") || input.selectionStart !== input.value.length) return;
  // Many type the slash that is already there.
  input.value = input.value.replace(/\s*\/[\s/]*/, " / ");
  const whole = parseExpiry(input.value);
  const started = /^(?:([2-9])|(0[1-9]|1[0-2])|(0?[1-9]|1[0-2])\s*\/\s*)$/.exec(input.value.trimStart());
  if (whole && input.value.length >= 4) input.value = `${whole.slice(0, 2)} / ${whole.slice(2)}`;
  else if (started) input.value = `${(started[1] ?? started[2] ?? started[3]).padStart(2, "0")} / `;
}
