// The attack list in every position of a request: refused by a rule, or harmless, and why. The result is a table of
// position by category, printed and asserted: in each cell every text ends in one of the ways that its position allows.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertHardened, basic, startEdge } from "./harness.mjs";
import { ATTACKS, CATEGORIES } from "./attacks.mjs";
import { Wire, isRuntimesOwn } from "../lib/raw.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";

const JSON_TYPE = "application/json";
const AUTHORIZATION = `Authorization: ${basic("25")}\r\n`;
const bytes = (text) => Buffer.from(text, "utf8").toString("latin1");
/** In a line of HTTP nothing may end the line: what would is the business of smuggling.test.mjs. */
const inLine = (text) => bytes(text).replace(/[\0\r\n]/g, " ");
const inTarget = (text) => inLine(text).replace(/ /g, "+");
const get = (target, ...headers) => `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers.join("")}\r\n`;
const post = (target, type, body, ...headers) =>
  `POST ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${AUTHORIZATION}${headers.join("")}Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body, "latin1")}\r\n\r\n${body}`;

/** What was forwarded carries the text nowhere. */
const dropped = (seen, text) => !JSON.stringify([seen.url, seen.names, seen.headers]).includes(JSON.stringify(inLine(text)).slice(1, -1));
/** It arrives as the data that it was, byte for byte, under our signature. */
const asBody = (seen, text, sent) => seen.body.toString("latin1") === sent;

/**
 * Per position: how it is sent, and in which ways it may end. A way is a rule of the log, `runtime` (no HTTP; no worker
 * saw it), or `data`, with the proof that it is no more than that.
 */
const POSITIONS = {
  "path segment": { send: (text) => get(`/pluto/code/${inTarget(text)}`, AUTHORIZATION), ends: ["path-form", "query-name", "query-form", "not-found", "data"],
    data: (seen) => /^\/pluto\/(code\/[A-Za-z0-9._~:-]+|code\/create)$/.test(seen.url) },
  "path segment, encoded": { send: (text) => get(`/pluto/code/${encodeURIComponent(text)}`, AUTHORIZATION), ends: ["path-form", "data"],
    data: (seen) => /^\/pluto\/code\/[A-Za-z0-9._~:-]+$/.test(seen.url) },
  "file name of an asset": { send: (text) => get(`/pluto/public/assets/${encodeURIComponent(text)}`), ends: ["path-form", "data"],
    data: (seen) => /^\/pluto\/public\/assets\/[A-Za-z0-9._~:-]+$/.test(seen.url) },
  "query name": { send: (text) => get(`/pluto/code/0123456789?${encodeURIComponent(text)}=1`, AUTHORIZATION), ends: ["query-name"] },
  "query name, raw": { send: (text) => get(`/pluto/code/0123456789?${inTarget(text)}`, AUTHORIZATION), ends: ["query-name", "query-form"] },
  "query value": { send: (text) => get(`/pluto/public/pay/0123456789/state?attempt=${encodeURIComponent(text)}`), ends: ["data"],
    data: (seen, text) => new URLSearchParams(seen.url.split("?")[1]).get("attempt") === text },
  "query value, raw": { send: (text) => get(`/pluto/public/pay/0123456789/state?attempt=${inTarget(text)}`), ends: ["data", "query-name", "query-form"],
    data: (seen) => seen.url.startsWith("/pluto/public/pay/0123456789/state?attempt") },
  "query of an image": { send: (text) => get(`/pluto/public/qr/0123456789?size=${encodeURIComponent(text)}`), ends: ["bad-request"] },
  "unknown query of an image": { send: (text) => get(`/pluto/public/qr/0123456789?x=${encodeURIComponent(text)}`), ends: ["image"] },
  "Authorization": { send: (text) => get("/pluto/code/0123456789", `Authorization: Basic ${inLine(text)}\r\n`), ends: ["bad-credentials", "bad-request", "invalid-jwt"] },
  "user of Basic": { send: (text) => get("/pluto/code/0123456789", `Authorization: Basic ${Buffer.from(`${text}:x`).toString("base64")}\r\n`), ends: ["bad-credentials"] },
  "Content-Type": { send: (text) => post("/pluto/code/create", inLine(text), "{}"), ends: ["media-type"] },
  "Content-Encoding": { send: (text) => post("/pluto/code/create", JSON_TYPE, "{}", `Content-Encoding: ${inLine(text)}\r\n`), ends: ["content-coding"] },
  "Idempotency-Key": { send: (text) => post("/pluto/code/create", JSON_TYPE, "{}", `Idempotency-Key: ${inLine(text)}\r\n`), ends: ["data", "header-form"],
    data: (seen, text) => seen.headers["idempotency-key"] === inLine(text).trim() },
  "If-None-Match": { send: (text) => get("/pluto/public/qr/0123456789", `If-None-Match: ${inLine(text)}\r\n`), ends: ["image"] },
  "Accept": { send: (text) => get("/pluto/public/pay/0123456789/state", `Accept: ${inLine(text)}\r\n`), ends: ["data"], data: dropped },
  "the client's address": { send: (text) => get("/Q/0123456789", `CF-Connecting-IP: ${inLine(text)}\r\n`), ends: ["data"],
    data: (seen) => seen.headers["scanvault-client"] === "unknown" },
  "Host": { send: (text) => `GET /pluto/code/0123456789 HTTP/1.1\r\nHost: ${inLine(text)}\r\n\r\n`, ends: ["runtime", "https-required", "address"] },
  "User-Agent": { send: (text) => get("/Q/0123456789", `User-Agent: ${inLine(text)}\r\n`), ends: ["data"], data: dropped },
  "Cookie": { send: (text) => get("/Q/0123456789", `Cookie: ${inLine(text)}\r\n`), ends: ["data"], data: dropped },
  "Scanvault-Credential": { send: (text) => get("/Q/0123456789", `Scanvault-Credential: ${inLine(text)}\r\n`), ends: ["data"],
    data: (seen) => seen.headers["scanvault-credential"] === "none" },
  "name of a header": { send: (text) => get("/Q/0123456789", `${inLine(text)}: 1\r\n`), ends: ["runtime", "data"], data: dropped },
  "JSON value": { send: (text) => post("/pluto/code/create", JSON_TYPE, bytes(JSON.stringify({ description: text }))), ends: ["data"], data: asBody },
  "JSON name": { send: (text) => post("/pluto/code/create", JSON_TYPE, bytes(JSON.stringify({ [text]: 1 }))), ends: ["data"], data: asBody },
  "raw body": { send: (text) => post("/pluto/code/create", JSON_TYPE, bytes(text)), ends: ["data"], data: asBody },
  "form value": { send: (text) => post("/pluto/public/3ds/challenge/81234", "application/x-www-form-urlencoded", `cres=${encodeURIComponent(text)}`), ends: ["data"], data: asBody },
  "form name": { send: (text) => post("/pluto/public/3ds/challenge/81234", "application/x-www-form-urlencoded", `${encodeURIComponent(text)}=1`), ends: ["data"], data: asBody },
  "body of a bare route": { send: (text) => post("/pluto/code/0123456789/block", JSON_TYPE, bytes(text)).replace(/^POST/, "PUT"), ends: ["no-body"] },
};

let origin, edge;

before(async () => {
  origin = await startOrigin();
  origin.respond = (seen, response) => answerJson(seen, response);
  edge = await startEdge(origin, { dev: { CLIENT_ADDRESS: "cf-connecting-ip", RATE_LIMITS: "off" } });
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

/** How one text in one position ended. */
async function endOf(position, text) {
  origin.requests.length = 0;
  const sent = POSITIONS[position].send(text);
  const wire = new Wire(edge.urls.dev);
  wire.write(sent);
  wire.end();
  const answers = await wire.answers();
  assert.equal(answers.length, 1, `${position}: ${text}`);
  const [answer] = answers;
  if (isRuntimesOwn(answer)) return "runtime";
  assertHardened(answer);
  assert.ok(answer.status < 500, `${position}: ${text} was answered ${answer.status}`);
  if (text.length > 6) assert.ok(!answer.body.includes(text), `${position}: ${text} comes back`);
  if (answer.status >= 400) {
    assert.equal(origin.requests.length, 0, `${position}: ${text} was forwarded`);
    return `refused ${answer.headers["scanvault-request-id"]}`;
  }
  if (origin.requests.length === 0) return String(answer.headers["content-type"] ?? "").startsWith("image/") ? "image" : "answered";
  const [seen] = origin.requests;
  assert.equal(seen.refusal, undefined);
  const body = sent.slice(sent.indexOf("\r\n\r\n") + 4);
  assert.ok(POSITIONS[position].data?.(seen, text, body), `${position}: ${text} became ${seen.method} ${seen.url} ${JSON.stringify(seen.headers)}`);
  return "data";
}

/** The rule that each refusal has in the log. */
async function rules(ids) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const lines = edge.logs.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
    const found = new Map(lines.map(({ requestId, rule }) => [requestId, rule]));
    if (ids.every((id) => found.has(id))) return found;
    assert.ok(Date.now() < deadline, "log lines are missing");
    await new Promise((turn) => setImmediate(turn));
  }
}

test("every attack in every position is refused by a rule or is no more than data", { timeout: 120_000 }, async (t) => {
  const cells = [];
  for (const position of Object.keys(POSITIONS)) {
    const ends = [];
    for (const { category, text } of ATTACKS) ends.push({ position, category, text, end: await endOf(position, text) });
    cells.push(...ends);
  }
  const byId = await rules(cells.flatMap(({ end }) => (end.startsWith("refused ") ? [end.slice(8)] : [])));
  for (const cell of cells) if (cell.end.startsWith("refused ")) cell.end = byId.get(cell.end.slice(8));
  for (const { position, text, end } of cells) {
    assert.ok(POSITIONS[position].ends.includes(end), `${position}: ${JSON.stringify(text)} ended as ${end}`);
  }
  for (const [position, { ends }] of Object.entries(POSITIONS)) {
    const found = new Set(cells.filter((cell) => cell.position === position).map(({ end }) => end));
    assert.ok([...found].every((end) => ends.includes(end)), position);
  }
  t.diagnostic(`${cells.length} = ${ATTACKS.length} texts in ${Object.keys(POSITIONS).length} positions`);
  for (const line of table(cells)) t.diagnostic(line);
  // The runtime's own lines may repeat a host that is none; ours repeat nothing.
  const ours = edge.logs.filter((line) => line.startsWith("{")).join("\n");
  for (const { text } of ATTACKS.filter(({ text }) => text.length > 6)) assert.ok(!ours.includes(text), `logged: ${text}`);
});

/** One line a position: in each category, how many ended how. */
function table(cells) {
  return Object.keys(POSITIONS).map((position) => {
    const columns = CATEGORIES.map((category) => {
      const ends = {};
      for (const cell of cells) if (cell.position === position && cell.category === category) ends[cell.end] = (ends[cell.end] ?? 0) + 1;
      return `${category}: ${Object.entries(ends).map(([end, count]) => `${count} ${end}`).join(", ")}`;
    });
    return `${position} | ${columns.join(" | ")}`;
  });
}
