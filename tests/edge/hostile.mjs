// Hostile requests drawn from a seed: any method, path, header, query and body, spelled as no client library would.

import { gzipSync } from "node:zlib";
import { ATTACKS } from "./attacks.mjs";

const ROUTES = [
  ["GET", "/pluto/public/qr/0123456789"], ["GET", "/pluto/public/stpqr/0123456789.svg"], ["GET", "/pluto/public/monitor"],
  ["GET", "/Q/0123456789"], ["GET", "/pluto/public/pay/0123456789/state?attempt=1"], ["POST", "/pluto/public/pay/0123456789"],
  ["POST", "/pluto/public/3ds/challenge/81234"], ["GET", "/pluto/public/assets/pay.js"], ["POST", "/pluto/code/create"],
  ["GET", "/pluto/code/0123456789"], ["PUT", "/pluto/code/0123456789/amount"], ["DELETE", "/pluto/purchase/81234"],
  ["POST", "/pluto/purchase/81234/refund"], ["GET", "/authentication/login-challenges?identity=merchant-25&clientChallenge=AAAA"],
  ["POST", "/authentication/login"], ["POST", "/v1/new"], ["GET", "/v1/seq/0"], ["POST", "/v1/transactions/1/capture"],
  ["POST", "/pluto/remote/x/y"], ["GET", "/pluto/internal/vault/key"], ["GET", "/pluto/internal/region"], ["GET", "/"],
];
/** What the runtime takes at all; it answers any other method by itself. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "SEARCH"];
const TYPES = ["application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "application/xml", "application/json, text/html", ""];
const HEADERS = ["Content-Encoding", "Idempotency-Key", "If-None-Match", "Cookie", "X-Forwarded-For", "Forwarded", "Accept", "Range", "Referer", "Origin", "User-Agent", "Signature", "Signature-Input", "Content-Digest", "Scanvault-Credential", "Scanvault-Host", "CF-Connecting-IP", "TE", "Via", "X-HTTP-Method-Override", "X-Original-URL", "Expect", "Accept-Encoding"];
const PIECES = ["%00", "%2e%2e", "%2f", "%5c", "..", "//", "/./", ";", "\\", "%", "%zz", "%c0%ae", "~", ":", "|", "'", "\"", "<", ">", "{", "}", "^", "`", "[", "]", "?", "&", "=", "&&", "\x80", "\xff"];

/** Far below the 128 KiB of a head that the runtime takes. */
const SHORT_HEAD_BYTES = 100_000;

/** Draws requests: {bytes, toHead, isClean}. What is not clean is no HTTP, or too long, and the runtime may answer it by itself. */
export class Hostile {
  #state;

  /** `rights` are values of Authorization that hold, so that some of it gets further. */
  constructor(seed, rights) {
    this.#state = seed | 0;
    this.rights = rights;
  }

  next() {
    if (this.below(25) === 0) return this.#unclean();
    let [method, path] = this.oneOf(ROUTES);
    if (this.below(6) === 0) method = this.oneOf(METHODS);
    if (this.below(3) === 0) path = this.#path(path);
    if (this.below(3) === 0) path = this.#query(path);
    const headers = [["Host", "127.0.0.1"], ...this.#credential(), ...this.#headers()];
    const body = this.#body(method, headers);
    const head = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const bytes = Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n`, "latin1"), body]);
    return { bytes, toHead: method === "HEAD", isClean: head.length < SHORT_HEAD_BYTES };
  }

  #path(path) {
    const at = 1 + this.below(path.length);
    return this.oneOf([
      () => path.slice(0, at) + this.oneOf(PIECES) + path.slice(at),
      () => path.slice(0, at),
      () => `${path}/${this.#attack(/[\s\x00-\x1f]/g)}`,
      () => `/${this.text(URL_BYTES, 60)}`,
      () => `/${"a".repeat(this.below(1200))}`,
      () => path.toUpperCase(),
      () => path.replace(/\d+/, () => String(this.below(2 ** 31))),
      () => `/../../${path}`,
    ])();
  }

  #query(path) {
    const name = this.oneOf(["size", "margin", "ecc", "payload", "attempt", "identity", "clientChallenge", "x", "__proto__", "attempt[]", ""]);
    const value = this.oneOf([() => this.#attack(/[\s\x00-\x1f#]/g), () => this.text(URL_BYTES, 80), () => String(this.below(5000)), () => "q".repeat(this.below(6000)), () => ""])();
    return `${path}${path.includes("?") ? "&" : "?"}${name}=${value}`;
  }

  #credential() {
    const value = this.oneOf([
      () => undefined,
      () => this.oneOf(this.rights),
      () => this.oneOf(this.rights),
      () => `Basic ${this.bytes(60).toString("base64")}`,
      () => `Basic ${Buffer.from(`merchant-${this.below(1e6)}:sv_${this.text(WORD_BYTES, 50)}`).toString("base64")}`,
      () => `Bearer ${this.text(WORD_BYTES, 40)}.${this.text(WORD_BYTES, 40)}.${this.text(WORD_BYTES, 40)}`,
      () => this.oneOf(this.rights).replace(/.$/, () => this.oneOf([..."AZaz09_-="])),
      () => `${this.oneOf(this.rights)}, ${this.oneOf(this.rights)}`,
      () => this.#attack(/[\x00\r\n]/g),
      () => `Basic ${"A".repeat(this.below(9000))}`,
    ])();
    return value === undefined ? [] : [["Authorization", value]];
  }

  #headers() {
    const count = this.below(40) === 0 ? this.below(150) : this.below(6);
    const list = [];
    for (let n = 0; n < count; n += 1) {
      const name = this.below(3) > 0 ? this.oneOf(HEADERS) : `X-${this.text(WORD_BYTES, 12).replaceAll("_", "-")}`;
      const value = this.oneOf([() => this.#attack(/[\x00\r\n]/g), () => this.text(VISIBLE_BYTES, 60), () => `203.0.${this.below(256)}.${this.below(256)}`, () => `2001:db8:${this.below(65536).toString(16)}::1`, () => "v".repeat(this.below(60) === 0 ? this.below(40_000) : 20)])();
      list.push([name, value]);
    }
    if (this.below(2) === 0) list.push(["CF-Connecting-IP", `198.51.${this.below(256)}.${this.below(256)}`]);
    // Read once, and once alone: a second one is the runtime's to refuse.
    return list.filter(([name], at) => name !== "CF-Connecting-IP" || list.findIndex(([other]) => other === name) === at);
  }

  #body(method, headers) {
    if (["GET", "HEAD"].includes(method) ? this.below(10) > 0 : this.below(8) === 0) {
      if (method !== "GET" && method !== "HEAD") headers.push(["Content-Length", "0"]);
      return Buffer.alloc(0);
    }
    if (this.below(5) > 0) headers.push(["Content-Type", this.below(2) === 0 ? TYPES[0] : this.oneOf(TYPES)]);
    const body = this.#content();
    if (this.below(4) > 0) {
      headers.push(["Content-Length", String(body.length)]);
      return body;
    }
    headers.push(["Transfer-Encoding", "chunked"]);
    const parts = [];
    for (let at = 0; at < body.length; ) {
      const size = Math.min(body.length - at, 1 + this.below(2000));
      parts.push(Buffer.from(`${size.toString(16)}\r\n`), body.subarray(at, at + size), Buffer.from("\r\n"));
      at += size;
    }
    return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
  }

  #content() {
    const json = () => JSON.stringify({ merchantReference: this.#attack(), amount: this.below(9999) / 100, [this.#attack()]: null });
    return this.oneOf([
      () => Buffer.from(json()),
      () => Buffer.from(json()).subarray(0, this.below(60)),
      () => Buffer.from(`{"a":${"[".repeat(this.below(3000))}`),
      () => this.bytes(this.below(3000)),
      () => gzipSync(json()),
      () => Buffer.from(`cres=${encodeURIComponent(this.#attack())}&x=${this.text(URL_BYTES, 40)}`, "latin1"),
      () => Buffer.alloc(this.below(40) === 0 ? this.below(90_000) : 10, 120),
    ])();
  }

  /** No HTTP: framing, lines, hosts and methods that are none. */
  #unclean() {
    const hidden = "GET /Q/0666066606 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    const lines = (first, ...more) => `${first}\r\n${more.map((line) => `${line}\r\n`).join("")}\r\n`;
    const post = (...more) => lines("POST /pluto/public/pay/0123456789 HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", ...more);
    const text = this.oneOf([
      () => post("Content-Length: 5", "Transfer-Encoding: chunked") + `0\r\n\r\n${hidden}`,
      () => post(`Content-Length: ${this.oneOf(["-1", "+2", "0x2", "2, 2", "2\r\nContent-Length: 3", " ", "1e3"])}`) + `{}${hidden}`,
      () => post(`Transfer-Encoding:${this.oneOf([" xchunked", " gzip", "\tchunked", " \x0bchunked", " chunked, identity"])}`) + `2\r\n{}\r\n0\r\n\r\n${hidden}`,
      () => post("Transfer-Encoding: chunked") + `${this.oneOf(["-2", "0x2", "2;a=b", "2;\n", "FFFFFFFFFFFFFFFFFF", "", "zz"])}\r\n{}\r\n0\r\n\r\n${hidden}`,
      () => post(`Content-Length: ${10 + this.below(1000)}`) + "{}",
      () => post("Transfer-Encoding: chunked") + "2\r\n{}\r\n",
      () => lines("GET /Q/0123456789 HTTP/1.1", `Host: ${this.oneOf(["", "a b", "127.0.0.1@evil", "127.0.0.1/x", "[", "127.0.0.1\r\nHost: b", ":::"])}`) + hidden,
      () => lines(`${this.text(WORD_BYTES, 12).toUpperCase()} /Q/0123456789 HTTP/1.1`, "Host: 127.0.0.1"),
      () => lines(`GET ${this.oneOf(["http://127.0.0.1/Q/1", "*", "Q/1", "127.0.0.1:80", "https://a@b/"])} HTTP/1.1`, "Host: 127.0.0.1") + hidden,
      () => lines("GET /Q/0123456789 HTTP/1.1", "Host: 127.0.0.1", this.oneOf(["X-A", ": b", "X-A: \0", "X-A: b\rc", " X-A: b", "X-A: b\r\n c", "X A: b", "X-A: b\nX-B: c", "\x80: a"])) + hidden,
      () => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${this.text(ANY_BYTES, 100)}`,
      () => `\x16\x03\x01\x02\x00\x01\x00\x01\xfc${this.text(ANY_BYTES, 200)}\r\n\r\n`,
      () => `${this.text(ANY_BYTES, 400)}\r\n\r\n`,
      () => lines("GET /Q/0123456789 HTTP/1.1", "Host: 127.0.0.1", `X: ${"h".repeat(60_000 + this.below(100_000))}`),
    ])();
    return { bytes: Buffer.from(text, "latin1"), toHead: text.startsWith("HEAD"), isClean: false };
  }

  #attack(without = /$^/g) {
    return this.oneOf(ATTACKS).text.replace(without, "+").replace(/[^\x00-\xff]/g, (c) => Buffer.from(c).toString("latin1"));
  }
  text(alphabet, most) {
    let text = "";
    for (let left = 1 + this.below(most); left > 0; left -= 1) text += this.oneOf(alphabet);
    return text;
  }
  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
  oneOf(list) {
    return list[this.below(list.length)];
  }
  /** mulberry32 */
  below(n) {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * Math.max(1, n));
  }
}

const codes = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => String.fromCharCode(from + n));
const WORD_BYTES = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"];
const URL_BYTES = codes(33, 126).filter((c) => c !== "#");
const VISIBLE_BYTES = [...codes(32, 126), ...codes(160, 255)];
const ANY_BYTES = codes(0, 255);
