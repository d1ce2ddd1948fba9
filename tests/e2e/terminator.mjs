// TLS in front of the simulated acquirer, which speaks plain HTTP: the origin's client then goes the way that it goes in
// production, by the protocol that the test chooses.

import { request } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer } from "node:https";

/** `protocol`: "h2" or "http/1.1". Answers the address and the way to end it; `used` are the protocols spoken. */
export async function startTerminator({ cert, key, protocol, to }) {
  const sessions = new Set();
  const used = new Set();
  const create = protocol === "h2" ? createSecureServer : createServer;
  const server = create({ cert, key }, (asked, answer) => {
    used.add(asked.httpVersion);
    const headers = Object.fromEntries(Object.entries(asked.headers).filter(([name]) => !name.startsWith(":")));
    const onward = request({ host: "127.0.0.1", port: to, method: asked.method, path: asked.url, headers: { ...headers, host: "acquirer" } }, (got) => {
      const { connection, "transfer-encoding": _, "keep-alive": __, ...kept } = got.headers;
      answer.writeHead(got.statusCode, kept);
      got.pipe(answer);
    });
    onward.on("error", () => asked.socket.destroy());
    asked.pipe(onward);
  });
  server.on("secureConnection", (socket) => sessions.add(socket.on("close", () => sessions.delete(socket))));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `https://localhost:${server.address().port}`,
    used,
    close() {
      server.close();
      sessions.forEach((socket) => socket.destroy());
    },
  };
}
