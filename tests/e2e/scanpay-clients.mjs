// What Scanpay's published client libraries put on the wire and hold an answer against, written from what is public of
// them: none is in a package registry that this machine's tests may use (the Node one is only on GitHub). Nothing of
// theirs is copied; where they differ, each has its own row here.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request } from "node:https";

/** The ways in which they ask. */
export const CLIENTS = {
  node: { type: "application/json", typeOnGet: true, headers: { "x-sdk": `nodejs-1.3.0/${process.version}` } },
  go: { type: "application/json; charset=UTF-8", typeOnGet: false, headers: { "x-sdk": "GO-1.1.0", "user-agent": "Go-http-client/1.1", "accept-encoding": "gzip" } },
  php: { type: "application/json", typeOnGet: true, headers: { "x-sdk": "PHP-2.1.0/8.2.0", accept: "*/*" } },
  // The documentation's own example: `curl -u … --data-binary …`, which calls everything a form.
  curl: { type: "application/x-www-form-urlencoded", typeOnGet: false, headers: { "user-agent": "curl/8.5.0", accept: "*/*" } },
  ruby: { type: "application/json", typeOnGet: true, headers: { "x-scanpay-sdk": "Ruby-1.0.0", accept: "*/*" } },
  dotnet: { type: "application/json", typeOnGet: true, headers: { "x-sdk": ".NET-0.1.0", "accept-encoding": "gzip", expect: "100-continue" } },
  woocommerce: { type: "application/json", typeOnGet: true, headers: { "x-shop-plugin": "WC-2.4.0/9.0.0; PHP-8.2.0", accept: "*/*", "x-cardholder-ip": "192.0.2.1" } },
};

/** 32 random bytes in base64 without its padding. */
export const idempotencyKey = () => randomBytes(32).toString("base64").replace("=", "");

/** A client of one shop. `apikey` is `25:secret`, sent whole as the Basic credential. */
export class ScanpayClient {
  constructor({ kind, base, ca, apikey }) {
    Object.assign(this, { how: CLIENTS[kind], base: new URL(base), ca, apikey });
  }

  /** Status, reason phrase, headers and text. */
  raw(path, data, headers = {}) {
    const body = data === undefined ? undefined : JSON.stringify(data);
    const sent = { ...this.how.headers, authorization: `Basic ${Buffer.from(this.apikey).toString("base64")}`, ...headers };
    if (body !== undefined || this.how.typeOnGet) sent["content-type"] = this.how.type;
    if (body !== undefined) sent["content-length"] = Buffer.byteLength(body);
    const { hostname, port } = this.base;
    const options = { hostname, port, path, method: body === undefined ? "GET" : "POST", headers: sent, ca: this.ca, agent: false };
    return new Promise((done, failed) => {
      const asked = request(options, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => done({ status: response.statusCode, reason: response.statusMessage, headers: response.headers, text: Buffer.concat(chunks).toString() }));
      });
      asked.on("error", failed);
      asked.setTimeout(20_000, () => asked.destroy(new Error("20 s")));
      asked.end(body);
    });
  }

  /** As they do: an idempotency key without `Idempotency-Status: OK` is a failure to be tried again under the same key. */
  async ask(path, data, { key } = {}) {
    const answer = await this.raw(path, data, key ? { "idempotency-key": key } : {});
    if (key && answer.headers["idempotency-status"] !== "OK") throw new TryAgain(answer);
    if (answer.status !== 200) {
      assert.ok(answer.text.endsWith("\n") && answer.text.split("\n").length === 2 && Buffer.byteLength(answer.text) <= 512, "one line");
      throw new Final(answer);
    }
    const value = JSON.parse(answer.text);
    assert.ok(typeof value === "object" && value !== null && !Array.isArray(value));
    return value;
  }

  async newUrl(data, options) {
    const { url } = await this.ask("/v1/new", data, options);
    assert.ok(url.startsWith("https") && new URL(url).href === url, url);
    return url;
  }

  async seq(after) {
    const page = await this.ask(`/v1/seq/${after}`);
    assert.ok(Number.isInteger(page.seq) && Array.isArray(page.changes));
    const isEmpty = page.changes.length === 0;
    assert.ok((isEmpty && page.seq <= after) || (!isEmpty && page.seq > after), `${after} ${page.seq}`);
    return page;
  }

  async charge(id, data, options) {
    const charge = await this.ask(`/v1/subscribers/${id}/charge`, data, options);
    assert.ok(charge.type === "charge" && Number.isInteger(charge.id) && typeof charge.totals.authorized === "string");
    return charge;
  }

  async renew(id, data) {
    const { url } = await this.ask(`/v1/subscribers/${id}/renew`, data);
    assert.ok(url.startsWith("https"));
    return url;
  }

  act(name, id, data, options) {
    return this.ask(`/v1/transactions/${id}/${name}`, data, options);
  }
}

class Refused extends Error {
  constructor(answer) {
    super(answer.text.trimEnd());
    this.answer = answer;
  }
}
/** The server did not promise anything: the same call again, under the same key. */
export class TryAgain extends Refused {}
/** The answer. A new attempt has a new key. */
export class Final extends Refused {}

/** A shop's own books, kept by the reference's rule: a change is applied when its revision is higher, and only upward. */
export class Books {
  seq = 0;
  rows = new Map();

  async follow(client) {
    for (;;) {
      const { seq, changes } = await client.seq(this.seq);
      if (changes.length === 0) return this;
      for (const change of changes) {
        if (change.error) continue;
        const key = `${change.type === "subscriber" ? "subscriber" : "transaction"} ${change.id}`;
        if ((this.rows.get(key)?.rev ?? 0) < change.rev) this.rows.set(key, change);
      }
      this.seq = seq;
    }
  }
  transaction(id) {
    return this.rows.get(`transaction ${id}`);
  }
  subscribers() {
    return [...this.rows.values()].filter(({ type }) => type === "subscriber");
  }
}
