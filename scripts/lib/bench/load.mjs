// A small keep-alive load generator: C connections, each with one request in flight. Raw sockets and a minimal parser, as
// Node's own client would be the limit. It shares the cores with what it measures, which pulls ratios of rates towards
// 1; the CPU time that the table shows beside them is the server's alone.

import { connect } from "node:net";

const HOST = "127.0.0.1";

/** { rate, done, ms } over `seconds`; `request()` gives { method, path, headers, body }. Any status but those of `expect` is an
 * error. `ms` has each answer's time, in order of size. */
export async function load({ port, request, expect = 200, seconds, connections }) {
  const run = { done: 0, ms: [] };
  const began = performance.now();
  const deadline = began + seconds * 1000;
  const next = () => encode(request(), port);
  await Promise.all(Array.from({ length: connections }, () => drive(connect(port, HOST), run, next, expect, deadline)));
  return { rate: run.done / ((performance.now() - began) / 1000), done: run.done, ms: run.ms.sort((a, b) => a - b) };
}

function encode({ method = "GET", path, headers = {}, body = "" }, port) {
  const all = { host: `${HOST}:${port}`, ...headers };
  if (body) all["content-length"] = Buffer.byteLength(body);
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

function drive(socket, run, next, expect, deadline) {
  return new Promise((resolve, reject) => {
    let buffer = Buffer.alloc(0);
    let sent;
    const fail = (why) => {
      socket.destroy();
      reject(new Error(why));
    };
    const send = () => {
      if (performance.now() >= deadline) {
        socket.end();
        return resolve();
      }
      const bytes = next();
      sent = performance.now();
      socket.write(bytes);
    };
    socket.setNoDelay(true);
    socket.once("connect", send);
    socket.on("error", (error) => fail(`connection: ${error.message}`));
    socket.on("close", () => performance.now() < deadline && fail("connection closed by the server"));
    socket.on("data", (data) => {
      buffer = buffer.length ? Buffer.concat([buffer, data]) : data;
      const answer = parse(buffer);
      if (!answer) return;
      if (![expect].flat().includes(answer.status)) return fail(`status ${answer.status}, not ${expect}: ${buffer.subarray(0, 400).toString("latin1")}`);
      run.done++;
      run.ms.push(performance.now() - sent);
      buffer = buffer.subarray(answer.length);
      send();
    });
  });
}

/** { status, length } once the whole answer is there. */
function parse(buffer) {
  const end = buffer.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = buffer.subarray(0, end).toString("latin1").toLowerCase();
  const status = Number(head.slice(9, 12));
  if (status === 304 || status === 204) return { status, length: end + 4 };
  const length = /\r\ncontent-length: *(\d+)/.exec(head);
  if (length) {
    const whole = end + 4 + Number(length[1]);
    return buffer.length >= whole ? { status, length: whole } : undefined;
  }
  if (!head.includes("transfer-encoding: chunked")) throw new Error(`an answer without a length: ${head}`);
  return chunked(buffer, end + 4, status);
}

function chunked(buffer, from, status) {
  for (let at = from; ; ) {
    const line = buffer.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = parseInt(buffer.subarray(at, line).toString("latin1"), 16);
    at = line + 2 + size + 2;
    if (buffer.length < at) return undefined;
    if (size === 0) return { status, length: at };
  }
}
