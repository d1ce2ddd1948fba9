// Which language the page speaks, and its texts. English is always there; the others are fetched when they are wanted.

import en from "./text-en.js";

/** The languages, each by its own name. */
export const LANGUAGES = { en: "English", da: "Dansk", sv: "Svenska", no: "Norsk", de: "Deutsch", fr: "Français" };
const ALIASES = { nb: "no", nn: "no" };

/** A language of ours for a tag such as "de-AT" or "nb", or null. */
export function languageOf(tag) {
  const primary = String(tag ?? "").toLowerCase().split(/[-_]/)[0];
  const language = ALIASES[primary] ?? primary;
  return Object.hasOwn(LANGUAGES, language) ? language : null;
}

/**
 * What the address says (the menu writes it there) stands above what the merchant asked for, and that above the browser:
 * the payer knows best.
 */
export function chooseLanguage({ address, request, browser }) {
  for (const tag of [address, request, ...browser]) {
    const language = languageOf(tag);
    if (language) return language;
  }
  return "en";
}

/** The browser's own variant of a language ("en-GB" of "en"), for dates. */
export function regional(language, browser) {
  return browser.find((tag) => languageOf(tag) === language) ?? language;
}

/** The texts of a language, or null when they cannot be fetched. */
export async function loadTexts(language) {
  if (language === "en") return en;
  try {
    return (await import(`./text-${language}.js`)).default;
  } catch {
    return null;
  }
}

/** Puts values in for `{name}`. A name without a value stays empty. */
export const fill = (text, values = {}) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
