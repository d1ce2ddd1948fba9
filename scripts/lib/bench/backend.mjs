// The common far end of the forwarding rows: HTTPS, a fixed small JSON answer, the request id echoed as the origin does.
// A process of its own, so that it does not share a thread with the load generator.
//   backend.mjs PORT CERT KEY

import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const [port, cert, key] = process.argv.slice(2);
const BODY = Buffer.from(JSON.stringify({ code: "0123456789", codeState: "Available", amount: 10, currency: "ZAR" }));

createServer({ cert: readFileSync(cert), key: readFileSync(key), keepAliveTimeout: 60_000 }, (request, answer) => {
  request.resume();
  request.on("end", () => {
    const id = request.headers["scanvault-request-id"];
    answer.writeHead(200, {
      "content-type": "application/json",
      "content-length": BODY.length,
      ...(id && { "scanvault-request-id": id }),
    });
    answer.end(BODY);
  });
}).listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ message: "listening" })));
