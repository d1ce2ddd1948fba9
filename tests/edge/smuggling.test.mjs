// Requests that two readers could take apart in two ways, byte by byte to the built wasm in real workerd. Behind each
// stands a second request: it is either answered as a request of its own, exactly once, or never seen. What the runtime
// refuses by itself (`!`) no worker sees; it closes the connection. The shapes are those of RFC 9112 §§2.2, 3, 5, 6, 7 and
// §11.2 and of the published classes of desync (CL.TE, TE.CL, TE.TE, CL.0, H2 upgrade).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertHardened, basic, startEdge } from "./harness.mjs";
import { Wire, isRuntimesOwn } from "../lib/raw.mjs";
import { startOrigin } from "./origin-stub.mjs";

const authorization = `Authorization: ${basic("25")}\r\n`;
const HIDDEN = "GET /Q/0666066606 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const LENGTH = HIDDEN.length;
const post = (headers, body) =>
  `POST /pluto/code/create HTTP/1.1\r\nHost: 127.0.0.1\r\n${authorization}Content-Type: application/json\r\n${headers}\r\n${body}`;
const get = (headers = "", line = "GET /Q/0123456789 HTTP/1.1", host = "Host: 127.0.0.1\r\n") => `${line}\r\n${host}${headers}\r\n`;
const CREATED = "POST /pluto/code/create {}";
const READ = "GET /Q/0123456789 ";
const NEXT = "GET /Q/0666066606 ";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const ONE = "2\r\n{}\r\n0\r\n\r\n";

/** What is sent, which statuses come back, and what reaches the origin. */
const SHAPES = {
  "as it should be": [post("Content-Length: 2\r\n", "{}") + HIDDEN, "200 200", [CREATED, NEXT]],
  // Two lengths.
  "CL.TE": [post(`Content-Length: 5\r\n${CHUNKED}`, `0\r\n\r\n${HIDDEN}`), "400 200", [NEXT]],
  "CL.TE, the length covers what is hidden": [post(`Content-Length: ${LENGTH + 5}\r\n${CHUNKED}`, `0\r\n\r\n${HIDDEN}`), "400 200", [NEXT]],
  "TE.CL": [post(`${CHUNKED}Content-Length: 4\r\n`, `${LENGTH.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`), "400", []],
  "two equal lengths": [post("Content-Length: 2\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "500!", []],
  "two lengths": [post(`Content-Length: 2\r\nContent-Length: ${LENGTH}\r\n`, `{}${HIDDEN}`), "500!", []],
  "a list of lengths": [post("Content-Length: 2, 2\r\n", `{}${HIDDEN}`), "500!", []],
  "a length with a sign": [post("Content-Length: +2\r\n", `{}${HIDDEN}`), "500!", []],
  "a negative length": [post("Content-Length: -2\r\n", `{}${HIDDEN}`), "500!", []],
  "a hexadecimal length": [post("Content-Length: 0x2\r\n", `{}${HIDDEN}`), "500!", []],
  "a length beyond all numbers": [post("Content-Length: 99999999999999999999\r\n", `{}${HIDDEN}`), "413", []],
  // How chunked is spelled.
  "TE.TE: xchunked": [post("Transfer-Encoding: xchunked\r\n", `0\r\n\r\n${HIDDEN}`), "500!", []],
  "TE.TE: gzip, chunked": [post("Transfer-Encoding: gzip, chunked\r\n", `0\r\n\r\n${HIDDEN}`), "500!", []],
  "TE.TE: identity": [post("Transfer-Encoding: identity\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "500!", []],
  "TE.TE: chunked, then identity": [post(`${CHUNKED}Transfer-Encoding: identity\r\n`, ONE + HIDDEN), "500!", []],
  "TE.TE: a vertical tab": [post("Transfer-Encoding: \x0bchunked\r\n", ONE + HIDDEN), "500!", []],
  "TE.TE: quoted": [post('Transfer-Encoding: "chunked"\r\n', ONE + HIDDEN), "500!", []],
  "TE.TE: folded": [post("Transfer-Encoding:\r\n chunked\r\n", `0\r\n\r\n${HIDDEN}`), "500!", []],
  "TE.TE: upper case is chunked": [post("Transfer-Encoding: CHUNKED\r\n", ONE + HIDDEN), "200 200", [CREATED, NEXT]],
  // Chunks.
  "a chunk extension": [post(CHUNKED, `2;a=b\r\n{}\r\n0\r\n\r\n${HIDDEN}`), "400", []],
  "a chunk extension that ends in a bare LF": [post(CHUNKED, `2;\n{}\r\n0\r\n\r\n${HIDDEN}`), "400", []],
  "a negative chunk": [post(CHUNKED, `-2\r\n{}\r\n0\r\n\r\n${HIDDEN}`), "400", []],
  "a chunk beyond all numbers": [post(CHUNKED, `10000000000000002\r\n{}\r\n0\r\n\r\n${HIDDEN}`), "400", []],
  "a chunk with a prefix": [post(CHUNKED, `0x2\r\n{}\r\n0\r\n\r\n${HIDDEN}`), "400", []],
  "a chunk that is longer than it says": [post(CHUNKED, `2\r\n{}XX0\r\n\r\n${HIDDEN}`), "400", []],
  "chunks that end in bare LF": [post(CHUNKED, `2\n{}\n0\n\n${HIDDEN}`), "200 200", [CREATED, NEXT]],
  "a trailer": [post(CHUNKED, `2\r\n{}\r\n0\r\nAuthorization: Basic eA==\r\n\r\n${HIDDEN}`), "200 501!", [CREATED]],
  "chunks that never end": [post(CHUNKED, "2\r\n{}\r\n"), "400", []],
  "a body that ends early": [post("Content-Length: 60\r\n", "{}"), "400", []],
  "a body too large to be read": [post("Content-Length: 70000\r\n", `${"x".repeat(70_000)}${HIDDEN}`), "413", []],
  // Header lines.
  "obs-fold": [post(`X-A: b\r\n Content-Length: ${LENGTH}\r\nContent-Length: 2\r\n`, `{}${HIDDEN}`), "200 200", [CREATED, NEXT]],
  "a space before the colon": [post("Content-Length : 2\r\n", `{}${HIDDEN}`), "200 200", [CREATED, NEXT]],
  "a bare CR": [post("X-A: b\rContent-Length: 50\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "500!", []],
  "a bare LF in the head": [post("X-A: b\nContent-Length: 2\r\n", `{}${HIDDEN}`), "200 200", [CREATED, NEXT]],
  "bare LF everywhere": [get().replaceAll("\r", "") + HIDDEN, "200 200", [READ, NEXT]],
  "NUL in a header": [post("X-A: b\0c\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "400!", []],
  "no colon": [post("X-A\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "400!", []],
  "no name": [post(": b\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "400!", []],
  "a head of 300 kB": [get(`X: ${"a".repeat(300_000)}\r\n`) + HIDDEN, "431!", []],
  "hop-by-hop names another header": [post("Connection: close, Content-Length\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "200 200", [CREATED, NEXT]],
  "Expect": [post("Expect: 100-continue\r\nContent-Length: 2\r\n", `{}${HIDDEN}`), "200 200", [CREATED, NEXT]],
  // Hosts and targets.
  "no host": [get("", undefined, "") + HIDDEN, "400! 200", [NEXT]],
  "two hosts": [get("Host: evil.example\r\n") + HIDDEN, "500!", []],
  "a host with a user": [get("", undefined, "Host: 127.0.0.1@evil.example\r\n") + HIDDEN, "500!", []],
  "a host with a path": [get("", undefined, "Host: 127.0.0.1/x?\r\n") + HIDDEN, "500!", []],
  "absolute-form": [get("", "GET http://127.0.0.1/Q/0123456789 HTTP/1.1") + HIDDEN, "500!", []],
  "absolute-form of another host": [get("", "GET https://evil.example/Q/0123456789 HTTP/1.1") + HIDDEN, "500!", []],
  "authority-form": [get("", "CONNECT 127.0.0.1:80 HTTP/1.1") + HIDDEN, "500!", []],
  "asterisk-form": [get("", "OPTIONS * HTTP/1.1") + HIDDEN, "500!", []],
  "a method that is none": [get("", "EVIL /Q/0123456789 HTTP/1.1") + HIDDEN, "501!", []],
  "a method in lower case": [get("", "get /Q/0123456789 HTTP/1.1") + HIDDEN, "501!", []],
  "bytes over 127 in the path": [get("", "GET /Q/012345678\xe9 HTTP/1.1") + HIDDEN, "400 200", [NEXT]],
  "a space in the path": [get("", "GET /Q/0123456789 HIDDEN HTTP/1.1") + HIDDEN, "200 200", [READ, NEXT]],
  "an empty line before": [`\r\n\r\n${get()}${HIDDEN}`, "501!", []],
  // Versions and upgrades.
  "HTTP/0.9": [`GET /Q/0123456789\r\n${HIDDEN}`, "400!", []],
  "HTTP/1.0": [get("", "GET /Q/0123456789 HTTP/1.0") + HIDDEN, "200 200", [READ, NEXT]],
  "the preface of HTTP/2": [`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${HIDDEN}`, "501!", []],
  "h2c": [get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n") + HIDDEN, "200 200", [READ, NEXT]],
  "a web socket": [get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") + HIDDEN, "200 200", [READ, NEXT]],
  // CL.0: a body where none belongs.
  "CL.0": [get(`Content-Length: ${LENGTH}\r\n`) + HIDDEN, "400", []],
  "a GET in chunks": [`${get(CHUNKED)}${LENGTH.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`, "400", []],
};

let origin, edge;

before(async () => {
  origin = await startOrigin();
  edge = await startEdge(origin, { dev: {} });
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

for (const [name, [bytes, expected, forwarded]] of Object.entries(SHAPES)) {
  test(name, { timeout: 20_000 }, async () => {
    origin.requests.length = 0;
    const wire = new Wire(edge.urls.dev);
    wire.write(bytes);
    wire.end();
    const answers = await wire.answers();
    assert.equal(answers.map((answer) => `${answer.status}${isRuntimesOwn(answer) ? "!" : ""}`).join(" "), expected);
    for (const answer of answers) if (!isRuntimesOwn(answer)) assertHardened(answer);
    assert.equal(wire.rest, "", "no byte too many");
    const seen = origin.requests.map(({ method, url, body, refusal }) => `${method} ${url} ${body}${refusal ?? ""}`);
    assert.deepEqual(seen.toSorted(), forwarded.toSorted(), "each once, signed, with the body that it said");
  });
}

test("what the runtime refuses ends the connection", async () => {
  for (const shape of ["two lengths", "TE.TE: xchunked", "no colon", "two hosts"]) {
    const wire = new Wire(edge.urls.dev);
    wire.write(SHAPES[shape][0]); // and we go on listening: the other side must end it
    assert.equal((await wire.answers()).length, 1, shape);
    assert.equal(wire.closed, true);
  }
});
