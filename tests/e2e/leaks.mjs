// Everything that must not be found in a log or a database, in every form that it might take there.

export class Secrets {
  #texts = new Map();
  #patterns = new Map();

  /** A secret's text, and its bytes where the text is an encoding of them. */
  add(name, text, bytes) {
    for (const form of formsOf(Buffer.from(text))) this.#texts.set(form, name);
    if (bytes) for (const form of formsOf(bytes)) this.#texts.set(form, name);
  }

  /** Every line but the first, which holds the algorithm and the begin of the public half. */
  addPem(name, pem) {
    const lines = pem.split("\n").filter((line) => line && !line.startsWith("-----"));
    lines.slice(1).filter((line) => line.length > 20).forEach((line) => this.add(name, line));
    const der = Buffer.from(lines.join(""), "base64");
    // Beyond the modulus and the public exponent: the private half, in any encoding of 24 bytes of it.
    for (let at = 320; at + 24 <= der.length; at += 24) this.add(name, der.subarray(at, at + 24).toString("latin1"), der.subarray(at, at + 24));
  }

  addIdentity(name, file) {
    this.add(name, file.match(/AGE-SECRET-KEY-1[0-9A-Z]+/)[0]);
  }

  /** With and without its dashes and prefix, in both cases. */
  addShare(name, text) {
    const symbols = text.replace(/^svshare1-/, "").replaceAll("-", "");
    for (const form of [text, symbols, text.toUpperCase(), symbols.toUpperCase()]) this.add(name, form);
  }

  addCard({ pan, csc, name, exp }) {
    this.add(`number ${pan}`, pan);
    for (const gap of [" ", "-"]) this.add(`number ${pan}`, pan.match(/.{4}/g).join(gap));
    // First six and last four may be shown (PCI DSS 3.4.1), side by side too; nothing between them.
    const shown = pan.slice(0, 6) + pan.slice(-4);
    // Zeros alone are no part of a card: an envelope's header has as many.
    const isTelling = (part) => part !== shown && /[^0]/.test(part);
    for (const part of [pan.slice(0, 10), pan.slice(6)].filter(isTelling)) this.add(`part of number ${pan}`, part);
    if (name) this.add(`name ${name}`, name);
    // Three digits stand everywhere: they are looked for beside a name that says what they are.
    this.#patterns.set(`security code ${csc}`, new RegExp(`(?:csc|cvc|cvv|security.?code)(?:%5d|some|[^a-z0-9]){0,10}${csc}\\b`, "i"));
    // Month and year in one piece, or beside their names.
    this.#patterns.set(`expiry ${exp}`, new RegExp(`(?:exp[a-z_]*)(?:%5d|some|[^a-z0-9]){0,10}(?:${exp}|${exp.slice(0, 2)}/${exp.slice(2)}|20${exp.slice(2)})\\b`, "i"));
  }

  /** The names of what was found. */
  foundIn(bytes) {
    const text = bytes.toString("latin1");
    const texts = [...this.#texts].filter(([form]) => text.includes(form)).map(([, name]) => name);
    const patterns = [...this.#patterns].filter(([, pattern]) => pattern.test(text)).map(([name]) => name);
    return [...new Set([...texts, ...patterns])];
  }
}

/** As it is, in hex, and in base64 at each of the three places that it can have in a longer text. */
export function formsOf(bytes) {
  const hex = bytes.toString("hex");
  const forms = new Set([bytes.toString("latin1"), hex, hex.toUpperCase()]);
  for (const offset of [0, 1, 2]) {
    const whole = Buffer.concat([Buffer.alloc(offset), bytes]);
    // Only the symbols that depend on nothing but these bytes.
    const from = Math.ceil((offset * 8) / 6);
    const to = Math.floor((whole.length * 8) / 6);
    for (const encoding of ["base64", "base64url"]) forms.add(whole.toString(encoding).slice(from, to));
  }
  return [...forms];
}
