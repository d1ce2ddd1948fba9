// A merchant's webhook receiver, written from the contract alone: signature, freshness, delivery id.

import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

const FRESH_SECONDS = 300;

/** `deliveries` is what arrived, each with its verdict; `status` is what the next ones are answered, unless
 * `statusOf(body, url)` says otherwise. */
export async function startReceiver() {
  const receiver = { deliveries: [], status: 200 };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const { method, url, headers } = request;
    const status = receiver.statusOf?.(body, url) ?? receiver.status;
    receiver.deliveries.push({ method, url, headers, body, id: headers["scanvault-delivery"], answered: status });
    response.writeHead(status).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  receiver.url = (name) => `http://127.0.0.1:${server.address().port}/${name}`;
  receiver.of = (name) => receiver.deliveries.filter(({ url }) => url === `/${name}`);
  receiver.close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return receiver;
}

/** undefined when the delivery is genuine and fresh, else why it is not. */
export function whyNotGenuine({ headers, body }, secret) {
  const found = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(headers["scanvault-signature"] ?? "");
  if (!found) return `signature: ${headers["scanvault-signature"]}`;
  const [, t, v1] = found;
  if (Math.abs(Date.now() / 1000 - Number(t)) > FRESH_SECONDS) return `t=${t}`;
  const mac = createHmac("sha256", secret).update(`${t}.${headers["scanvault-delivery"]}.`).update(body).digest();
  return timingSafeEqual(mac, Buffer.from(v1, "hex")) ? undefined : "another secret or body";
}
