// What the edge answers by itself. The origin is down throughout: none of this may need it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { inflateSync } from "node:zlib";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";
import { ask, assertProblem, logOf, startEdge } from "./harness.mjs";
import { startOrigin } from "./origin-stub.mjs";

const QR = "/pluto/public/qr/0123456789";
const WEEK = "public, max-age=604800, stale-while-revalidate=2592000";

let edge, dev;

before(async () => {
  const origin = await startOrigin();
  await origin.close();
  const kenya = { EMV_COUNTRY: "KE", EMV_CURRENCY: "404", EMV_NAME: "Duka la Mjini", EMV_CITY: "Nairobi" };
  edge = await startEdge(origin, { dev: {}, all: { LOG: "all" }, kenya });
  dev = edge.urls.dev;
});
after(() => edge?.close());

function assertImage(answer, type, name) {
  const { status, headers, body } = answer;
  assert.equal(status, 200);
  const expected = {
    "content-type": type,
    "content-length": String(body.length),
    "content-disposition": `inline; filename="${name}"`,
    "cache-control": WEEK,
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "x-robots-tag": "noindex",
  };
  for (const [header, value] of Object.entries(expected)) assert.equal(headers[header], value, header);
  assert.match(headers.etag, /^"[^",]+"$/);
}

test("a PNG of the size that was asked for, black on white", async () => {
  for (const [path, name, side] of [
    [QR, "0123456789.png", 400],
    ["/public/qr/0123456789.png?size=512&unknown=1", "0123456789.png", 512],
    ["/pluto/public/stpqr/0123456789?colorCode=1", "0123456789.png", 400],
    ["/pluto/public/zimswitch/9876543210?plain", "9876543210.png", 400],
  ]) {
    const answer = await ask(dev, path);
    assertImage(answer, "image/png", name);
    const { body } = answer;
    assert.equal(body.subarray(0, 8).toString("latin1"), "\x89PNG\r\n\x1a\n");
    assert.deepEqual([body.readUInt32BE(16), body.readUInt32BE(20)], [side, side], path);
    const data = inflateSync(imageData(body));
    assert.ok(data.length >= side * (1 + side / 8), "every row is there");
  }
});

test("an SVG, that can do nothing when it is opened as a page", async () => {
  for (const path of [`${QR}.svg`, "/pluto/public/stpqr/0123456789.svg?size=256"]) {
    const answer = await ask(dev, path);
    assertImage(answer, "image/svg+xml; charset=utf-8", "0123456789.svg");
    assert.equal(answer.headers["content-security-policy"], "default-src 'none'; sandbox; frame-ancestors 'none'");
    const known = await ask(dev, path, { headers: { "if-none-match": answer.headers.etag } });
    assert.deepEqual([known.status, known.headers["content-security-policy"]], [304, "default-src 'none'; sandbox; frame-ancestors 'none'"]);
    assert.match(answer.body.toString(), /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"[^]*<\/svg>\s*$/);
    assert.doesNotMatch(answer.body.toString(), /<style|style=|<script|href=/);
  }
});

test("what is in it, as another decoder reads it", async () => {
  const wasmBinary = readFileSync(createRequire(import.meta.url).resolve("zxing-wasm/reader/zxing_reader.wasm"));
  prepareZXingModule({ overrides: { wasmBinary } });
  const read = async (url, query) => {
    const symbols = await readBarcodes((await ask(url, `${QR}?${query}`)).body, { formats: ["QRCode"] });
    return symbols.map(({ bytes }) => Buffer.from(bytes).toString());
  };
  const { dev, kenya } = edge.urls;
  assert.deepEqual(await read(dev, ""), ["HTTPS://PAY.EXAMPLE/Q/0123456789"]);
  assert.deepEqual(await read(dev, "payload=code"), ["0123456789"]);
  const template = "000201" + "2626" + "0008za.co.mp" + "01100123456789" + "52040000";
  assert.deepEqual(await read(dev, "payload=emv"), [checked(`${template}53037105802ZA5911Scan to Pay6006Online`)]);
  assert.deepEqual(await read(kenya, "payload=emv"), [checked(`${template}53034045802KE5913Duka la Mjini6007Nairobi`)]);
});

/** With the checksum of EMV QRCPS-MPM (object 63): CRC-16 with polynomial 1021 and start FFFF, over its own tag and length too. */
function checked(payload) {
  let crc = 0xffff;
  for (const byte of Buffer.from(`${payload}6304`)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return `${payload}6304${crc.toString(16).toUpperCase().padStart(4, "0")}`;
}

test("the same request gives the same bytes and tag; another one gives others", async () => {
  const [first, second, buster, other] = await Promise.all(
    [QR, QR, `${QR}?cachebuster=7`, `${QR}?size=512`].map((path) => ask(dev, path)),
  );
  assert.deepEqual([second.headers.etag, second.body], [first.headers.etag, first.body]);
  assert.equal(buster.headers.etag, first.headers.etag);
  assert.notEqual(other.headers.etag, first.headers.etag);
});

// An edge keeps 256 of them. A target of more than 256 bytes is never kept: what it gets is drawn anew.
test("of more images than are kept every code has its own, however they come back", async () => {
  const codes = Array.from({ length: 600 }, (_, n) => String(1_000_000_000 + 7_919 * n));
  const all = (order, query) => inTens(order, (code) => ask(dev, `/pluto/public/qr/${code}${query}`));
  const ofAnswer = ({ status, headers, body }) => ({ status, etag: headers.etag, name: headers["content-disposition"], body });
  const drawn = new Map((await all(codes, `?anew=${"x".repeat(256)}`)).map((answer, n) => [codes[n], ofAnswer(answer)]));
  assert.equal(new Set([...drawn.values()].map(({ body }) => body.toString("base64"))).size, codes.length);
  for (const order of [codes, codes.toReversed(), codes]) {
    const answers = await all(order, "");
    assert.deepEqual(answers.map(ofAnswer), order.map((code) => drawn.get(code)));
  }
});

async function inTens(all, step) {
  const done = [];
  for (let at = 0; at < all.length; at += 10) done.push(...(await Promise.all(all.slice(at, at + 10).map(step))));
  return done;
}

test("HEAD tells what GET would, without the body", async () => {
  const whole = await ask(dev, QR);
  const head = await ask(dev, QR, { method: "HEAD" });
  assert.deepEqual([head.status, head.body.length], [200, 0]);
  for (const name of ["etag", "content-type", "content-length", "cache-control", "content-disposition"]) {
    assert.equal(head.headers[name], whole.headers[name], name);
  }
});

test("who has the image gets 304 with the same validators", async () => {
  const { etag } = (await ask(dev, QR)).headers;
  for (const list of [etag, `"other", ${etag}`, `W/${etag}`, "*"]) {
    for (const method of ["GET", "HEAD"]) {
      const answer = await ask(dev, QR, { method, headers: { "if-none-match": list } });
      assert.deepEqual([answer.status, answer.body.length, answer.headers.etag], [304, 0, etag], list);
      assert.equal(answer.headers["cache-control"], WEEK);
      assert.equal(answer.headers["access-control-allow-origin"], "*");
    }
  }
  assert.equal((await ask(dev, QR, { headers: { "if-none-match": '"other"' } })).status, 200);
});

test("what is out of bounds is told which rule, and is not cached", async () => {
  for (const [path, detail] of [
    ["/pluto/public/qr/012345678", "code must be ten digits"],
    ["/pluto/public/qr/0123456789.gif", "format must be png, svg or datauri, and agree with the suffix"],
    [`${QR}?size=63`, "size must be 64 to 2048"],
    [`${QR}?size=2049`, "size must be 64 to 2048"],
    [`${QR}?margin=3`, "margin must be 4 to 16"],
    [`${QR}?size=100&size=100`, "a parameter is given twice"],
  ]) {
    assertProblem(await ask(dev, path), 400, "bad-request", detail);
  }
  // A bad request stays one for whoever claims to have its answer.
  const tag = (await ask(dev, `${QR}?size=640&payload=emv&ecc=H&margin=16`)).headers.etag.replace(".640.", ".128.");
  for (const query of ["size=1", "size=64", "size=128&payload=emv&ecc=H&margin=16"]) {
    for (const known of ["*", tag]) {
      const answer = await ask(dev, `${QR}?${query}`, { headers: { "if-none-match": known } });
      assert.deepEqual([answer.status, answer.headers["cache-control"]], [400, "no-store"], `${query} ${known}`);
    }
  }
});

/** The compressed rows of a PNG: its IDAT chunks (RFC 2083 §4.1.3). */
function imageData(png) {
  const parts = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return Buffer.concat(parts);
}

test("what is served to anybody has a line in the log only where all have one", async () => {
  const known = (await ask(dev, QR)).headers.etag;
  const asked = (base) => [
    ask(base, QR),
    ask(base, QR, { headers: { "if-none-match": known } }),
    ask(base, "/pluto/public/monitor"),
    ask(base, `${QR}?size=1`),
  ];
  const [quiet, all] = await Promise.all([dev, edge.urls.all].map((base) => Promise.all(asked(base))));
  assert.deepEqual(quiet.map(({ status }) => status), [200, 304, 200, 400]);
  assert.deepEqual((await logOf(edge, all)).map(({ status }) => status), [200, 304, 200, 400]);
  const [refused] = await logOf(edge, quiet.slice(3));
  assert.deepEqual([refused.status, refused.rule], [400, "bad-request"]);
  // Its line is the last that was written, and those before it have none.
  const text = edge.logs.join("\n");
  for (const { headers } of quiet.slice(0, 3)) assert.ok(!text.includes(headers["scanvault-request-id"]));
});
