// Origins in trouble, as sockets show it: TLS, and behind it silence, nonsense, too much, half of it, or a cut connection.

import { once } from "node:events";
import { createServer } from "node:tls";

export const UNREACHABLE = [503, "origin-unreachable", "The origin did not answer; the outcome is unknown, retry with the same key"];
export const BAD_GATEWAY = [502, "bad-gateway", "The origin gave no valid answer; the outcome is unknown"];

const head = (...lines) => `${["HTTP/1.1 200 OK", "content-type: application/json", ...lines].join("\r\n")}\r\n`;
export const whole = (id, body, ...lines) => `${head(`scanvault-request-id: ${id}`, `content-length: ${body.length}`, ...lines)}\r\n`;

/** Every answer breaks off: what the client has of it is told from a whole one. */
export const BROKEN = "broken off";

/** What the origin does with a request that has arrived; what the client then gets. */
export const TROUBLES = {
  "never answers": { does: () => {}, gives: UNREACHABLE },
  "stops in the middle of the headers, and keeps the connection": { does: (socket) => socket.write("HTTP/1.1 200 OK\r\nConte"), gives: UNREACHABLE },
  "does not speak HTTP": { does: (socket) => socket.end("SSH-2.0-OpenSSH_9.9\r\n"), gives: UNREACHABLE },
  "sends bytes that are no text": { does: (socket) => socket.end(Buffer.from(Array.from({ length: 4096 }, (_, at) => (at * 31) % 256))), gives: UNREACHABLE },
  "sends a header without a name": { does: (socket) => socket.end(`${head(": x")}\r\n`), gives: UNREACHABLE },
  "sends two lengths": { does: (socket, { id }) => socket.end(`${whole(id, "{}", "content-length: 1")}{}`), gives: UNREACHABLE },
  "sends a length that is no number": { does: (socket, { id }) => socket.end(`${head(`scanvault-request-id: ${id}`, "content-length: -1")}\r\n{}`), gives: UNREACHABLE },
  "ends in the middle of the headers": { does: (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Le"), gives: UNREACHABLE },
  "sends headers without an end": { does: endless, gives: UNREACHABLE },
  "cuts the connection when a request comes": { does: (socket) => socket.destroy(), gives: UNREACHABLE },
  "cuts it in the middle of the headers": { does: (socket) => socket.write("HTTP/1.1 200 OK\r\nConte", () => socket.destroy()), gives: UNREACHABLE },
  "cuts it in the middle of the body": { does: (socket, { id }) => socket.write(`${whole(id, "x".repeat(1000))}{"a":`, () => socket.destroy()), gives: BROKEN },
  "sends less than it said": { does: (socket, { id }) => socket.end(`${whole(id, "x".repeat(1000))}{}`), gives: BROKEN },
  "sends chunks that are none": { does: (socket, { id }) => socket.end(`${head(`scanvault-request-id: ${id}`, "transfer-encoding: chunked")}\r\nzz\r\n{}\r\n`), gives: BAD_GATEWAY },
  "cuts a body that has no length": { does: (socket, { id }) => socket.write(`${head(`scanvault-request-id: ${id}`, "transfer-encoding: chunked")}\r\n5\r\n{"a":\r\n`, () => socket.destroy()), gives: BAD_GATEWAY },
  "says gzip of what is none": { does: (socket, { id }) => socket.end(`${whole(id, "not gzip", "content-encoding: gzip")}not gzip`), gives: BAD_GATEWAY },
  "answers another request": { does: (socket) => socket.end(`${whole("0".repeat(32), "{}")}{}`), gives: BAD_GATEWAY },
  "answers nobody": { does: (socket) => socket.end(`${head("content-length: 2")}\r\n{}`), gives: BAD_GATEWAY },
  "leads elsewhere": { does: (socket, { id }) => socket.end(`HTTP/1.1 302 Found\r\nscanvault-request-id: ${id}\r\nlocation: https://localhost/\r\ncontent-length: 0\r\n\r\n`), gives: BAD_GATEWAY },
  "switches protocols": { does: (socket, { id }) => socket.end(`HTTP/1.1 101 Switching Protocols\r\nscanvault-request-id: ${id}\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n`), gives: BAD_GATEWAY },
};

function endless(socket) {
  const line = `x-filler: ${"y".repeat(1000)}\r\n`;
  socket.write("HTTP/1.1 200 OK\r\n");
  const more = () => {
    while (!socket.destroyed && socket.write(line)) if (socket.bytesWritten > 64 << 20) return;
  };
  socket.on("drain", more);
  more();
}

/** TLS, and nothing of HTTP but what tells that a request is whole: its head, and as much body as it says. */
export class Troubled {
  arrived = [];
  sockets = new Set();

  constructor(tls, does) {
    this.server = createServer(tls, (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
      let text = "";
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        for (let request = take(text); request; request = take(text)) {
          text = text.slice(request.length);
          this.arrived.push(request);
          does(socket, request);
        }
      });
    });
    this.server.on("tlsClientError", () => {});
  }

  async listen() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `https://localhost:${this.server.address().port}`;
    return this;
  }

  close() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

function take(text) {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const fields = text.slice(0, end);
  const length = end + 4 + Number(/^content-length: (\d+)$/im.exec(fields)?.[1] ?? 0);
  if (text.length < length) return undefined;
  return { length, method: fields.split(" ", 1)[0], id: /^scanvault-request-id: (\w+)$/im.exec(fields)[1] };
}
