// What a TLS server would agree on, asked with a hello of our own: no TLS library here can offer SSL 3.0, or every suite
// that ever had a number. The handshake ends with the server's first answer; for TLS 1.3 it offers no key, so that the
// server names the suite and asks for one. RFC 8446 §4.1, RFC 5246 §7.4.1, RFC 6101.

import { randomBytes } from "node:crypto";
import { connect, isIP } from "node:net";

export const SSL30 = 0x0300;
export const TLS10 = 0x0301;
export const TLS11 = 0x0302;
export const TLS12 = 0x0303;
export const TLS13 = 0x0304;

const TIMEOUT_MS = 10_000;
/** More suites than this no server has. */
const MOST_SUITES = 100;
const SCSV = 0x00ff; // RFC 5746: some servers answer nothing without it

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, at) => first + at);
/** Every number that IANA, or a draft that was deployed, ever gave to a suite of TLS 1.2 and before. */
const SUITES12 = [
  ...range(0x0001, 0x00c7), ...range(0xc001, 0xc0b5), ...range(0xc100, 0xc106), 0xcc13, 0xcc14, 0xcc15, ...range(0xcca8, 0xccae),
  ...range(0xd001, 0xd005), 0xfefe, 0xfeff, 0xffe0, 0xffe1,
];
const SUITES13 = [...range(0x1301, 0x1307), 0x00c6, 0x00c7, ...range(0xc0b4, 0xc0b5)];

/** The suites that the server takes in this version; empty when it refuses the version. `refusal` says how it ended. */
export async function suitesOf(to, version) {
  let left = version === TLS13 ? SUITES13 : SUITES12;
  const suites = [];
  for (;;) {
    const answer = await hello(to, version, left);
    if (answer.suite === undefined || answer.version !== version) return { suites, refusal: answer.refusal ?? "another version" };
    if (!left.includes(answer.suite)) throw new Error(`the server chose suite ${answer.suite}, which was not offered`);
    suites.push(answer.suite);
    left = left.filter((suite) => suite !== answer.suite);
    if (left.length === 0 || suites.length > MOST_SUITES) return { suites, refusal: "" };
  }
}

/** One hello: `{version, suite}` that the server chose, or `{refusal}`. `to` is {address, port, host}. */
function hello(to, version, suites) {
  return new Promise((done, failed) => {
    const socket = connect({ host: to.address, port: to.port });
    let received = Buffer.alloc(0);
    const end = (answer) => {
      socket.destroy();
      done(answer);
    };
    socket.setTimeout(TIMEOUT_MS, () => end({ refusal: "no answer" }));
    let connected = false;
    socket.on("error", (error) => (connected ? end({ refusal: "connection reset" }) : failed(error)));
    socket.on("end", () => end({ refusal: "connection closed" }));
    socket.on("connect", () => {
      connected = true;
      socket.write(clientHello(to.host, version, suites));
    });
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      const answer = firstAnswer(received);
      if (answer) end(answer);
    });
  });
}

function clientHello(host, version, suites) {
  const extensions = version === SSL30 ? [] : [
    ...(isIP(host) ? [] : [extension(0, vector(2, Buffer.from([0]), vector(2, Buffer.from(host))))]),
    extension(10, vector(2, words([0x1d, 0x17, 0x18, 0x19, 0x1e, 0x100, 0x101, 0x16]))), // groups
    extension(11, Buffer.from([1, 0])), // uncompressed points
    extension(13, vector(2, words([0x403, 0x503, 0x603, 0x807, 0x808, 0x804, 0x805, 0x806, 0x809, 0x80a, 0x80b, 0x401, 0x501, 0x601, 0x402, 0x203, 0x201, 0x202]))),
    extension(16, vector(2, vector(1, Buffer.from("http/1.1")))),
    extension(23, Buffer.alloc(0)),
    ...(version === TLS13 ? [extension(43, vector(1, words([TLS13]))), extension(51, vector(2, Buffer.alloc(0)))] : []),
  ];
  const body = Buffer.concat([
    words([Math.min(version, TLS12)]),
    randomBytes(32),
    vector(1, randomBytes(32)),
    vector(2, words([...suites, SCSV])),
    Buffer.from([1, 0]), // no compression
    ...(extensions.length > 0 ? [vector(2, ...extensions)] : []),
  ]);
  const message = Buffer.concat([Buffer.from([1]), vector(3, body)]);
  return Buffer.concat([Buffer.from([22]), words([Math.min(version, TLS10)]), vector(2, message)]);
}

/** `undefined` until enough has come. */
function firstAnswer(bytes) {
  if (bytes.length < 5) return undefined;
  const end = 5 + bytes.readUInt16BE(3);
  if (bytes[0] !== 22 && bytes[0] !== 21) return { refusal: "no TLS" };
  if (bytes.length < end) return undefined;
  if (bytes[0] === 21) return { refusal: `alert ${bytes[6]}` };
  const body = bytes.subarray(5, end);
  if (body[0] !== 2) return { refusal: "no hello" };
  const suiteAt = 4 + 2 + 32 + 1 + body[38];
  return { version: selected(body, suiteAt + 3) ?? body.readUInt16BE(4), suite: body.readUInt16BE(suiteAt) };
}

/** The extension that names TLS 1.3; in the fixed field it calls itself 1.2. */
function selected(body, at) {
  for (let next = at + 2; next + 4 <= body.length; next += 4 + body.readUInt16BE(next + 2)) {
    if (body.readUInt16BE(next) === 43) return body.readUInt16BE(next + 4);
  }
  return undefined;
}

const extension = (type, body) => Buffer.concat([words([type]), vector(2, body)]);

function vector(lengthBytes, ...parts) {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(body.length, 0, lengthBytes);
  return Buffer.concat([length, body]);
}

function words(values) {
  const bytes = Buffer.alloc(2 * values.length);
  values.forEach((value, at) => bytes.writeUInt16BE(value, 2 * at));
  return bytes;
}
