// The pay page. Card data leaves this file in one shape only: sealed to the vault's key (sealCard).
// One rule stands above comfort: a payment is sent at most once, and what is not known is said.

// Every text of the page. A language is one more table here; the English ones that stand in
// pay.html too (data-text) are held equal by a test.
export const TEXTS = {
  en: {
    heading: "Secure payment",
    payingTo: "You are paying",
    what: "For",
    reference: "Reference",
    details: "Payment details",
    amount: "Amount",
    number: "Card number",
    expiry: "Expiry date",
    cvc: "Security code",
    name: "Name on card",
    assurance: "Your card details are encrypted in your browser before they leave it.",
    paidTitle: "Paid. Thank you.",
    paidText: "The payment is complete. You can close this page.",
    expiredTitle: "This payment request has ended",
    expiredText: "It can no longer be paid. Please ask the shop for a new code.",
    unknownCodeTitle: "We do not know this code",
    unknownCodeText: "Please scan the code again, or ask the shop for a new one.",
    elsewhereTitle: "Being paid right now",
    elsewhereText: "Someone has started to pay this on another screen. If that was not you, try again in a minute.",
    sealedTitle: "Payments are paused for a moment",
    sealedText: "No payment was made. Please try again in a minute.",
    unconfirmedTitle: "Not confirmed: do not pay again yet",
    unconfirmedText: "We did not get an answer about your payment. It may have gone through. Check first, before you pay again here or elsewhere.",
    insecureTitle: "This connection is not secure",
    insecureText: "Your browser cannot encrypt your card details here, so you cannot pay on this page. Open it with an address that starts with https, or use another browser.",
    retry: "Try again",
    check: "Check the payment",
    // From here on only the script says it.
    pay: "Pay {amount}",
    paying: "Paying…",
    receipt: "Transaction {id}",
    amountError: "Enter an amount such as {example}",
    amountTooBig: "This amount is too large",
    numberError: "Enter the 12 to 19 digits of your card number",
    numberHint: "Please check the number again: one digit may be wrong.",
    expiryError: "Enter month and year, such as 08 / 29",
    expiryPast: "This card has expired",
    cvcError: "Enter the 3 or 4 digits of the security code",
    nameError: "Enter the name that is on the card",
    declined: "Your card was declined. You were not charged. Please check the details or use another card.",
    refused: "The payment was not made and you were not charged. Please check the details and try again.",
    throttled: "Too many tries. You were not charged. Please wait a minute and try again.",
    notSent: "There is no connection. This payment was not sent. Please try again.",
    notSealed: "Your browser could not encrypt your card details. This payment was not sent.",
    notRecorded: "No payment is recorded here. Look into your bank's app too: if it shows no payment, you can pay now.",
    stillUnconfirmed: "Still not confirmed. Please check again in a minute, or ask the shop whether it was paid.",
    stillNoAnswer: "There is no answer. Please check your connection and try again in a moment.",
  },
};

const MAX_MINOR_AT_EXPONENT_2 = 999999999;
// Longer than the server's own deadline for an acquirer: giving up earlier would only create doubt.
const POST_DEADLINE_MS = 60000;
const LOOK_DEADLINE_MS = 15000;

// --- Sealing: JWE compact, ECDH-ES direct, A256GCM (RFC 7516, RFC 7518 §4.6) ----------------------

/** Seals `card` (any JSON value) to the public P-256 key `jwk`. Works in browsers and in Node. */
export async function sealCard(jwk, card) {
  const subtle = globalThis.crypto.subtle;
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const { kty, crv, x, y } = jwk;
  const theirs = await subtle.importKey("jwk", { kty, crv, x, y }, curve, false, []);
  const ours = await subtle.generateKey(curve, true, ["deriveBits"]);
  const epk = await subtle.exportKey("jwk", ours.publicKey);

  const header = base64url(utf8(JSON.stringify({
    alg: "ECDH-ES", enc: "A256GCM", kid: jwk.kid,
    epk: { kty: "EC", crv: "P-256", x: epk.x, y: epk.y },
    typ: "scanvault-card+json",
  })));
  const secret = new Uint8Array(await subtle.deriveBits({ name: "ECDH", public: theirs }, ours.privateKey, 256));
  const key = await subtle.importKey("raw", await concatKdf(secret), "AES-GCM", false, ["encrypt"]);
  const iv = globalThis.crypto.getRandomValues(new Uint8Array(12));
  const plain = utf8(JSON.stringify(card));
  const gcm = { name: "AES-GCM", iv, additionalData: utf8(header), tagLength: 128 };
  const sealed = new Uint8Array(await subtle.encrypt(gcm, key, plain));
  secret.fill(0);
  plain.fill(0);
  // The second part, the encrypted key, is empty: the agreed key is used directly.
  return [header, "", base64url(iv), base64url(sealed.slice(0, -16)), base64url(sealed.slice(-16))].join(".");
}

/** RFC 7518 §4.6.2 with empty apu and apv: one round of SHA-256 gives the 256 bits. */
async function concatKdf(secret) {
  const parts = [uint32(1), secret, uint32(7), utf8("A256GCM"), uint32(0), uint32(0), uint32(256)];
  return globalThis.crypto.subtle.digest("SHA-256", Uint8Array.from(parts.flatMap((part) => [...part])));
}

const utf8 = (text) => new TextEncoder().encode(text);
const uint32 = (n) => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// --- What was typed (pure) -----------------------------------------------------------------------

/** Minor units of "12.50" or "12,50"; null when it is no amount of that currency. */
export function parseAmount(text, exponent) {
  const match = /^(\d{1,12})(?:[.,](\d+))?$/.exec(text.replace(/[\s\u00a0]/g, ""));
  if (!match || (match[2] ?? "").length > exponent) return null;
  const minor = Number(match[1] + (match[2] ?? "").padEnd(exponent, "0"));
  return minor > 0 ? minor : null;
}

/** "10.00 ZAR": the server writes amounts the same way. */
export function formatAmount(minor, exponent, currency) {
  const digits = String(minor).padStart(exponent + 1, "0");
  const cut = digits.length - exponent;
  return `${digits.slice(0, cut)}${exponent > 0 ? "." : ""}${digits.slice(cut)} ${currency}`;
}

/** "MMYY" of "8/29", "08 / 29", "08/2029"; null when it is no month and year. */
export function parseExpiry(text) {
  const match = /^\s*(\d{1,2})\s*[/.\- ]\s*(?:20)?(\d{2})\s*$/.exec(text) ?? /^\s*(\d{2})(?:20)?(\d{2})\s*$/.exec(text);
  if (!match) return null;
  const month = match[1].padStart(2, "0");
  return month >= "01" && month <= "12" ? month + match[2] : null;
}

export function isPast(mmyy, now) {
  const last = (2000 + Number(mmyy.slice(2))) * 12 + Number(mmyy.slice(0, 2));
  return last < now.getFullYear() * 12 + now.getMonth() + 1;
}

/** ISO/IEC 7812 check digit. A hint only: test cards need not have one. */
export function luhn(digits) {
  let sum = 0;
  [...digits].reverse().forEach((digit, i) => {
    const n = Number(digit) * (i % 2 ? 2 : 1);
    sum += n > 9 ? n - 9 : n;
  });
  return sum % 10 === 0;
}

/** Groups as they are printed on the card: 4-6-5 for 34 and 37, else fours. */
export function groupNumber(digits) {
  const sizes = /^3[47]/.test(digits) ? [4, 6, 5, 4] : [4, 4, 4, 4, 3];
  const groups = [];
  for (let at = 0; at < digits.length && sizes.length > 0;) {
    const size = sizes.shift();
    groups.push(digits.slice(at, at + size));
    at += size;
  }
  return groups.join(" ");
}

const onlyDigits = (text) => text.replace(/\D/g, "");

// --- The page --------------------------------------------------------------------------------------

function start() {
  const main = document.querySelector("main");
  const form = main.querySelector("form");
  const field = Object.fromEntries([...form.querySelectorAll("input")].map((input) => [input.id, input]));
  const byId = (id) => document.getElementById(id);
  const texts = TEXTS[document.documentElement.lang] ?? TEXTS.en;
  const button = byId("pay");
  const payUrl = `/pluto/public/pay/${main.dataset.code}`;
  let underway = false;
  // True from a POST without an answer until the server says how it ended.
  let unsure = false;

  if (texts !== TEXTS.en) {
    for (const element of main.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  }
  if (isForm(main.dataset.state) && !globalThis.crypto?.subtle) return show("busy", "insecure");
  listen();
  label();
  button.disabled = false;

  function listen() {
    form.addEventListener("submit", submit);
    field.number.addEventListener("input", () => { regroup(field.number); hintNumber(true); });
    field.number.addEventListener("blur", () => hintNumber(false));
    field.expiry.addEventListener("input", (event) => spaceExpiry(field.expiry, event));
    field.cvc.addEventListener("input", () => { field.cvc.value = onlyDigits(field.cvc.value); });
    field.amount.addEventListener("input", label);
    for (const input of Object.values(field)) input.addEventListener("input", () => mark(input, ""));
    // The links work without this script too; with it, what was typed survives.
    for (const link of main.querySelectorAll(".retry")) link.addEventListener("click", check);
  }

  async function submit(event) {
    event.preventDefault();
    if (underway || !isForm(main.dataset.state)) return;
    const typed = readForm();
    if (!typed) return;
    underway = true;
    try {
      await pay(typed);
    } finally {
      underway = false;
    }
  }

  async function pay(typed) {
    show("paying");
    if (globalThis.navigator.onLine === false) return decline(texts.notSent);
    // Pages are left open: an attempt that ran out is replaced before anything is sent.
    if (!isRunning()) {
      const view = await look();
      if (!view) return decline(texts.notSent);
      if (view.state !== "ready") return enter(view);
      if (!adopt(view)) return undefined;
    }
    const { attempt, code, currency, attemptExpires, key } = main.dataset;
    const card = { attempt, code, amount: typed.amount, currency, expires: Number(attemptExpires), ...typed.card };
    let sealed;
    try {
      sealed = await sealCard(JSON.parse(key), card);
    } catch {
      return decline(texts.notSealed);
    }
    return conclude(await post(sealed));
  }

  /** The one POST of a submit. Never repeated by itself: without an answer the outcome is unknown. */
  async function post(sealed) {
    try {
      const response = await fetch(payUrl, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify({ sealed }),
        cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
        signal: AbortSignal.timeout?.(POST_DEADLINE_MS),
      });
      const body = await response.json().catch(() => ({}));
      return { status: response.status, retryAfter: response.headers.has("retry-after"), body: body ?? {} };
    } catch {
      return { status: 0, body: {} };
    }
  }

  async function conclude({ status, retryAfter, body }) {
    field.cvc.value = "";
    if (status === 200 && body.state === "paid") return paid(body.transactionId);
    if (status === 200 && body.state === "declined") {
      unsure = false;
      spend();
      return decline(body.message || texts.declined, field.cvc);
    }
    // The bank gave no answer, and the origin has settled that nothing will be charged.
    if (status === 200 && body.state === "unknown" && body.mayRetry === true) {
      unsure = false;
      spend();
      return decline(body.message || texts.refused, field.cvc);
    }
    if (status >= 400 && status < 500) return refused(status);
    // An edge may answer 503 for an origin that it lost: only the page's word makes it a sealed vault.
    if (status === 503 && retryAfter && !unsure && (await look())?.reason === "sealed") return show("busy", "sealed");
    unsure = true;
    return show("busy", "unconfirmed");
  }

  /** This POST was not taken: the page says how the code stands now. */
  async function refused(status) {
    if (!unsure) spend();
    if (!unsure && ![404, 409, 410].includes(status)) {
      return decline(status === 429 ? texts.throttled : texts.refused, field.cvc);
    }
    const view = await look();
    // After an unanswered POST a refusal may mean that the first one was taken.
    if (unsure && !view) return show("busy", "unconfirmed");
    if (view && (unsure || view.state !== "ready")) return enter(view);
    if (!view && status === 409) return show("busy", "elsewhere");
    if (!view) return show("expired", "expired");
    return decline(texts.refused, field.cvc);
  }

  /** Looks at the page again, at a shopper's wish: the retry links. */
  async function check(event) {
    event.preventDefault();
    if (underway) return;
    underway = true;
    note("");
    const view = await look();
    underway = false;
    if (!view) return note(texts.stillNoAnswer);
    if (unsure && view.state !== "paid" && view.state !== "ready") return note(texts.stillUnconfirmed);
    if (view.state !== "ready") return show(view.state, view.reason);
    // While unsure, an attempt that still runs is kept: if the lost POST arrives after all, the
    // server takes only one of the two.
    if (!(unsure && isRunning()) && !adopt(view)) return undefined;
    show("ready");
    if (unsure) note(texts.notRecorded);
    return (field.number.value ? field.cvc : firstField()).focus();
  }

  /** How the server sees this code now, or null when it does not say. */
  async function look() {
    try {
      const response = await fetch(payUrl, {
        headers: { accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout?.(LOOK_DEADLINE_MS),
      });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const view = page.querySelector("main[data-state]")?.dataset;
      return view ? { ...view } : null;
    } catch {
      return null;
    }
  }

  /** Takes over a new attempt. When the merchant changed what is paid, the shopper must see it first. */
  function adopt(view) {
    const same = ["amountMinor", "currency", "exponent", "merchant"].every((name) => view[name] === main.dataset[name]);
    if (!same) globalThis.location.reload();
    else for (const name of ["attempt", "attemptExpires", "key"]) main.dataset[name] = view[name];
    return same;
  }

  /** Shows what the server says, but never calls an open outcome a failed one. */
  function enter(view) {
    if (unsure && view.state !== "paid") show("busy", "unconfirmed");
    else show(view.state, view.reason);
  }

  /** The attempt may be used up: the next submit fetches a new one. */
  function spend() {
    main.dataset.attemptExpires = "0";
  }

  function paid(transactionId) {
    if (transactionId !== undefined) byId("receipt").textContent = fill(texts.receipt, { id: transactionId });
    show("paid", "paid");
  }

  function decline(message, focused = button) {
    show("declined");
    note(message);
    focused.focus();
  }

  function note(message) {
    byId("notice").textContent = message;
  }

  function show(state, reason = "") {
    Object.assign(main.dataset, { state, reason });
    if (state === "paid" || state === "expired") form.reset();
    note("");
    byId("status").textContent = state === "paying" ? texts.paying : "";
    form.querySelector("fieldset").disabled = state === "paying";
    // Not `disabled`: the button would lose the keyboard's focus. `submit` refuses by itself.
    button.setAttribute("aria-disabled", String(state === "paying"));
    label();
    if (reason) main.querySelector(`[data-panel="${reason}"] h2`)?.focus();
  }

  function isRunning() {
    return Number(main.dataset.attemptExpires) * 1000 > Date.now();
  }

  function label() {
    const minor = amountMinor();
    const { exponent, currency, state } = main.dataset;
    const amount = minor === null ? "" : formatAmount(minor, Number(exponent), currency);
    button.textContent = state === "paying" ? texts.paying : fill(texts.pay, { amount }).trim();
  }

  function amountMinor() {
    const { amountMinor: given, exponent } = main.dataset;
    return given === "" ? parseAmount(field.amount.value, Number(exponent)) : Number(given);
  }

  // --- Fields ---

  /** What was typed, or null after the wrong fields were marked and the first one focused. */
  function readForm() {
    const amount = amountMinor();
    const pan = onlyDigits(field.number.value);
    const exp = parseExpiry(field.expiry.value);
    const csc = field.cvc.value.trim();
    const name = field.name.value.trim();
    const errors = {
      amount: amountError(amount),
      number: /^\d{12,19}$/.test(pan) ? "" : texts.numberError,
      expiry: !exp ? texts.expiryError : isPast(exp, new Date()) ? texts.expiryPast : "",
      cvc: /^\d{3,4}$/.test(csc) ? "" : texts.cvcError,
      name: name ? "" : texts.nameError,
    };
    for (const [id, message] of Object.entries(errors)) mark(field[id], message);
    const wrong = Object.keys(errors).find((id) => errors[id]);
    if (!wrong) return { amount, card: { pan, exp, csc, name } };
    field[wrong].focus();
    return null;
  }

  function amountError(minor) {
    const exponent = Number(main.dataset.exponent);
    if (minor === null) return fill(texts.amountError, { example: (12).toFixed(exponent) });
    // The limit is 9,999,999.99 in any currency.
    return minor * 100 > MAX_MINOR_AT_EXPONENT_2 * 10 ** exponent ? texts.amountTooBig : "";
  }

  function mark(input, message) {
    byId(`${input.id}-error`).textContent = message;
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }

  function hintNumber(typing) {
    const digits = onlyDigits(field.number.value);
    const doubtful = digits.length >= (typing ? 16 : 12) && !luhn(digits);
    byId("number-hint").textContent = doubtful ? texts.numberHint : "";
  }

  function firstField() {
    return main.dataset.amountMinor === "" ? field.amount : field.number;
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

const isForm = (state) => state === "ready" || state === "paying" || state === "declined";
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));

if (typeof document !== "undefined") start();
