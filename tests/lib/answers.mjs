// A client that sends exactly what it is told to, and what every answer of the edge must have. Shared by the tests of
// the edge alone and by those of the whole.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";

export const PROBLEM = "application/problem+json";
export const BASIC_CHALLENGE = 'Basic realm="scanvault", charset="UTF-8"';
export const API_POLICY = "default-src 'none'; frame-ancestors 'none'";
/** With development's addition: the sandbox's bank has no TLS. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "frame-src 'self' https: http://127.0.0.1:*; form-action 'self' https: http://127.0.0.1:*; base-uri 'none'; " +
  "frame-ancestors 'none'";
export const FRAMED_POLICY =
  "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/**
 * One request over a connection of its own, and the answer with everything checked that every answer must have.
 * `host` is sent in place of the address; a header with an array is sent once per element.
 */
export async function ask(base, path, { method = "GET", headers = {}, body, chunked = false } = {}) {
  const { hostname, port } = new URL(base);
  const sent = { ...headers };
  if (chunked) sent["transfer-encoding"] = "chunked";
  else if (body !== undefined) sent["content-length"] ??= Buffer.byteLength(body);
  const answer = await new Promise((done, failed) => {
    const request = httpRequest({ hostname, port, path, method, headers: sent, agent: false }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", failed);
      response.on("end", () =>
        done({ status: response.statusCode, reason: response.statusMessage, headers: response.headers, raw: response.rawHeaders, body: Buffer.concat(chunks) }),
      );
    });
    request.on("error", failed);
    request.end(body);
  });
  assertHardened(answer);
  return answer;
}

/** What every answer must have, whoever made it and whatever went wrong. */
export function assertHardened({ status, headers, raw }) {
  const exact = {
    "strict-transport-security": "max-age=63072000; includeSubDomains; preload",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": headers["content-security-policy"] === FRAMED_POLICY ? "SAMEORIGIN" : "DENY",
  };
  for (const [name, value] of Object.entries(exact)) assert.equal(headers[name], value, `${status} ${name}`);
  assert.match(headers["scanvault-request-id"], /^[0-9a-f]{32}$/);
  assert.match(headers["content-security-policy"], /^default-src 'none'; /);
  if (!/^public, max-age=/.test(headers["cache-control"])) assert.equal(headers["cache-control"], "no-store");
  const names = (raw ?? []).filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  assert.deepEqual(names, [...new Set(names)], "a header twice");
}

/** The whole problem document, its status and its headers. */
export function assertProblem(answer, status, code, detail, more = {}) {
  const { headers } = answer;
  assert.equal(answer.status, status, answer.body.toString());
  assert.equal(headers["content-type"], PROBLEM);
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers["content-security-policy"], API_POLICY);
  const document = JSON.parse(answer.body);
  const title = document.title;
  assert.ok(title.length > 0);
  assert.deepEqual(document, {
    type: `urn:scanvault:problem:${code}`,
    title,
    status,
    code,
    detail,
    requestId: headers["scanvault-request-id"],
  });
  for (const name of ["www-authenticate", "allow", "retry-after"]) {
    assert.equal(headers[name], more[name], name);
  }
}

/** `Basic …` with a password of the right form for an account; the same seed gives the same password. */
export function basic(user, seed = "seed") {
  return `Basic ${Buffer.from(`${user}:${apiPassword(seed)}`).toString("base64")}`;
}

/** sv_ + 43 base62 digits of 32 bytes + 6 base62 digits of a checksum, written from its description. */
export function apiPassword(seed) {
  const body = `sv_${base62(createHash("sha256").update(seed).digest(), 43)}`;
  const sum = createHash("sha256").update(`scanvault api password v1${body}`).digest().subarray(0, 4);
  return body + base62(sum, 6);
}

function base62(bytes, digits) {
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  let number = BigInt(`0x${bytes.toString("hex")}`);
  let text = "";
  for (let place = 0; place < digits; place += 1, number /= 62n) text = alphabet[Number(number % 62n)] + text;
  return text;
}
