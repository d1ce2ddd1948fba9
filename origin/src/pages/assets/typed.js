// What was typed, read. Pure: no document, no clock of its own.

/** The most that can be asked for, in major units: 9,999,999.99 in any currency. */
const MAX_MINOR_AT_EXPONENT_2 = 999999999;

/** Minor units of "12.50" or "12,50"; null when it is no amount of that currency. */
export function parseAmount(text, exponent) {
  const match = /^(\d{1,12})(?:[.,](\d+))?$/.exec(text.replace(/[\s\u00a0\u202f]/g, ""));
  if (!match || (match[2] ?? "").length > exponent) return null;
  const minor = Number(match[1] + (match[2] ?? "").padEnd(exponent, "0"));
  return minor > 0 ? minor : null;
}

/** "10.00" of 1000 minor units: plain, for machines and for fields. */
export function decimalOf(minor, exponent) {
  const digits = String(minor).padStart(exponent + 1, "0");
  const cut = digits.length - exponent;
  return `${digits.slice(0, cut)}${exponent > 0 ? "." : ""}${digits.slice(cut)}`;
}

/** "10,00 DKK" as the language writes it. The code and no sign: "kr" is the money of three countries. */
export function formatAmount(minor, exponent, currency, language) {
  const digits = { minimumFractionDigits: exponent, maximumFractionDigits: exponent };
  try {
    const format = new Intl.NumberFormat(language, { style: "currency", currency, currencyDisplay: "code", ...digits });
    return format.format(decimalOf(minor, exponent));
  } catch {
    return `${decimalOf(minor, exponent)} ${currency}`; // a currency that the browser cannot read
  }
}

/**
 * The text key of what is wrong with an amount, or "". `most` is what was asked for when the payer may pay less, else null.
 */
export function amountProblem(minor, exponent, most) {
  if (minor === null) return "amountError";
  if (most !== null && minor > most) return "amountAboveAsked";
  return minor * 100 > MAX_MINOR_AT_EXPONENT_2 * 10 ** exponent ? "amountTooBig" : "";
}

/** "MMYY" of "8/29", "08 / 29", "08/2029"; null when it is no month and year. */
export function parseExpiry(text) {
  const match = /^\s*(\d{1,2})\s*[/.\- ]\s*(?:20)?(\d{2})\s*$/.exec(text) ?? /^\s*(\d{2})(?:20)?(\d{2})\s*$/.exec(text);
  if (!match) return null;
  const month = match[1].padStart(2, "0");
  return month >= "01" && month <= "12" ? month + match[2] : null;
}

/** Whether a card of that expiry no longer works. */
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

/** Country code and length of a national number without its trunk zero, by the currency of where MobilePay is. */
const COUNTRIES = { DKK: ["45", 8, 8], NOK: ["47", 8, 8], SEK: ["46", 7, 9], EUR: ["358", 6, 10] };

/** "+4512345678" of a number as people write it, "" of nothing, null when it is no phone number. */
export function parsePhone(text, currency) {
  const written = text.replace(/[\s\u00a0().\-/]/g, "");
  if (written === "") return "";
  const international = /^(?:\+|00)([1-9]\d{6,14})$/.exec(written);
  if (international) return `+${international[1]}`;
  const [country, least, most] = COUNTRIES[currency] ?? [];
  const national = /^0?([1-9]\d*)$/.exec(written)?.[1];
  if (!country || !national || national.length < least || national.length > most) return null;
  return `+${country}${national}`;
}

/** The digits of a text. */
export const onlyDigits = (text) => text.replace(/\D/g, "");
