// What the wasm module calls. Names and values of headers cross together, as one text of lines: neither can hold a line
// break (RFC 9110 §5.5), and one long string costs what one short one does.

/** Method, address, whether there is a body, and the headers of a request. */
export function pack(request) {
  return lines(`${request.method}\n${request.url}\n${request.body === null ? "" : "body"}`, request.headers);
}

/** What the host of the edge says of a connection: version of TLS, address of the other end. */
export function platform(request) {
  const text = (value) => (typeof value === "string" ? value : "");
  return `${text(request.cf?.tlsVersion)}\n${text(request.cf?.clientIp)}`;
}

/** Status, its phrase, and the headers of an answer of the origin. */
export function packAnswer(response) {
  return lines(`${response.status}\n${response.statusText}`, response.headers);
}

function lines(text, headers) {
  headers.forEach((value, name) => (text += `\n${name}\n${value}`));
  return text;
}

// Headers of one shape, by number: the same names, and where it is the same in all of them, the same value. The other
// values are those of the last that was made, and each writes all of them. The runtime copies the whole at once, which
// costs less than one by one.
const kept = [];

/** Keeps such headers, those of constant value. */
export function keepHeaders(number, text) {
  kept[number] = withHeaders(new Headers(), text.split("\n"), 1);
}

// Whoever is given them copies them before it returns.
const headersOf = (number, all) => withHeaders(kept[number] ?? new Headers(), all, 1);

/** An answer: the headers kept under `number` with those of `text`, whose first line is the status's phrase, if any. */
export function respond(status, number, text, body) {
  const all = text.split("\n");
  return new Response(body, { status, statusText: all[0] || undefined, headers: headersOf(number, all) });
}

// Bodies that many answers have, by number.
const bodies = [];

/** Keeps such a body, copied out of the module's memory. */
export function keepBody(number, bytes) {
  bodies[number] = bytes.slice();
}

/** The same with a body that is kept. */
export const respondKept = (status, number, text, body) => respond(status, number, text, bodies[body]);

/** The same with bytes, which are copied out of the module's memory. */
export function respondBytes(status, number, text, bytes) {
  return respond(status, number, text, bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** Asks the origin; `body` is copied out of the module's memory. */
export function send(method, url, number, text, body, withinMs) {
  return fetch(url, {
    method,
    headers: headersOf(number, text.split("\n")),
    body: body?.slice(),
    redirect: "manual",
    signal: AbortSignal.timeout(withinMs),
  });
}

function withHeaders(headers, all, from) {
  for (let at = from; at + 1 < all.length; at += 2) headers.set(all[at], all[at + 1]);
  return headers;
}

/**
 * A stream, or the body of a request, in one piece: `undefined` when its time is over, `null` when it is longer than
 * `maxBytes`. A body whose length was announced, and found short enough, cannot get longer, so the runtime collects it.
 */
export async function readWhole(source, isAnnounced, maxBytes, withinMs) {
  let timer;
  const late = new Promise((keep) => (timer = setTimeout(keep, withinMs)));
  const reading = isAnnounced ? source.bytes() : collect((source.body ?? source).getReader(), maxBytes, late);
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function collect(reader, maxBytes, late) {
  const chunks = [];
  let length = 0;
  for (;;) {
    const step = await Promise.race([reader.read(), late]);
    if (step?.done) return join(chunks, length);
    length += step?.value.length ?? Infinity;
    if (length > maxBytes) {
      // Not waited for: who sends too much, or nothing, may not let go either.
      reader.cancel().catch(() => {});
      return step && null;
    }
    chunks.push(step.value);
  }
}

function join(chunks, length) {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

export const pause = (ms) => new Promise((keep) => setTimeout(keep, ms));

export const lengthOf = (bytes) => bytes.length;

/** Copies bytes into the module's memory. */
export const copyInto = (bytes, memory) => memory.set(bytes);

export const bodyOf = (response) => response.body ?? undefined;

export const cancel = (stream) => stream.cancel();

/** A binding that is text. */
export function textBinding(env, name) {
  const value = env[name];
  return typeof value === "string" ? value : undefined;
}

/** Counts one more for `key` at the platform's limiter; throws where there is none. */
export const limit = (env, name, key) => env[name].limit({ key });

/** What the limiter said. */
export const isOverLimit = (outcome) => outcome?.success === false;

// WebCrypto copies what it is given before it returns (its §14.3), so views of the module's memory do.

/** An Ed25519 public key (RFC 8032 §5.1.5) as the runtime wants it. */
export const importKey = (bytes) => crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);

export const verify = (key, signature, data) => crypto.subtle.verify("Ed25519", key, signature, data);

export const messageOf = (error) => (typeof error?.message === "string" ? error.message : "");

let drive;

/** Told once by the entry: what goes on with a task. */
export function driveWith(how) {
  drive = how;
}

/** Has a task done after the answer; the platform waits for it. */
export const waitUntil = (context, task) => context.waitUntil(drive(task));
