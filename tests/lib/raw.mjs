// A client without manners: one connection, any bytes out, whatever comes back taken apart and not repaired.

import { connect } from "node:net";

const LIMIT_BYTES = 4 * 1024 * 1024;

export class Wire {
  #got = Buffer.alloc(0);
  #wake = () => {};

  constructor(url, { port = new URL(url).port, host = new URL(url).hostname } = {}) {
    this.closed = false;
    this.socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.socket.on("data", (bytes) => {
      this.#got = this.#got.length === 0 ? bytes : Buffer.concat([this.#got, bytes]);
      this.#wake();
    });
    const close = () => {
      this.closed = true;
      this.socket.destroy();
      this.#wake();
    };
    this.socket.on("end", close);
    this.socket.on("close", close);
    this.socket.on("error", close); // a connection that is cut off is an answer, too
  }

  /** Bytes as they are; text is taken as Latin-1, one byte each. */
  write(bytes) {
    if (!this.closed) this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Says that nothing more is coming, and still listens. */
  end() {
    if (!this.closed) this.socket.end();
  }

  destroy() {
    this.socket.destroy();
    this.closed = true;
  }

  /** The next answer; undefined when the connection ends before it is whole. `toHead`: it has no body. */
  async answer({ toHead = false } = {}) {
    for (;;) {
      const found = parse(this.#got, toHead, this.closed);
      if (found) {
        this.#got = this.#got.subarray(found.length);
        return found.answer;
      }
      if (this.closed || this.#got.length > LIMIT_BYTES) return undefined;
      await new Promise((wake) => (this.#wake = wake));
    }
  }

  /** All answers until the other side closes. */
  async answers(options) {
    const all = [];
    for (let next; (next = await this.answer(options)); ) all.push(next);
    return all;
  }

  /** What came after the last answer: nothing, when nobody was confused. */
  get rest() {
    return this.#got.toString("latin1");
  }
}

function parse(bytes, toHead, isAll) {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first, ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const status = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(first);
  if (!status) throw new Error(`no answer: ${JSON.stringify(first)}`);
  const raw = lines.flatMap((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  const headers = {};
  for (let at = 0; at < raw.length; at += 2) headers[raw[at].toLowerCase()] ??= raw[at + 1];
  const answer = { status: Number(status[1]), reason: status[2], headers, raw };
  const from = end + 4;
  if (toHead || [204, 304].includes(answer.status) || answer.status < 200) return { answer: { ...answer, body: Buffer.alloc(0) }, length: from };
  if (headers["transfer-encoding"] === "chunked") return chunked(answer, bytes, from);
  const length = headers["content-length"];
  if (length === undefined) return isAll ? { answer: { ...answer, body: bytes.subarray(from) }, length: bytes.length } : undefined;
  const to = from + Number(length);
  return bytes.length < to ? undefined : { answer: { ...answer, body: bytes.subarray(from, to) }, length: to };
}

function chunked(answer, bytes, from) {
  const parts = [];
  for (let at = from; ; ) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", at, line), 16);
    const next = line + 2 + size + 2;
    if (bytes.length < next) return undefined;
    if (size === 0) return { answer: { ...answer, body: Buffer.concat(parts) }, length: next };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = next;
  }
}

/** Whether an answer is the runtime's own: what came was no HTTP to it, and no worker saw it. */
export function isRuntimesOwn({ status, headers, body }) {
  return status >= 400 && headers["scanvault-request-id"] === undefined && /^(ERROR: .*|Internal Server Error|Bad Request)$/.test(body.toString().trim());
}
