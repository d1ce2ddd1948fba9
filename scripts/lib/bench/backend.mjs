// The common far end of the forwarding rows: HTTPS, a fixed small JSON answer, the request id echoed as the origin does.
// A process of its own, so that it does not share a thread with the load generator.
//   backend.mjs PORT CERT KEY [TOLD]
// TOLD is a JSON file of headers by scheme ({basic: {…}, bearer: {…}}): they go on the answer to whoever offers such a
// credential that the edge has not verified, as the origin tells edges of credentials. It checks none.

import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const [port, cert, key, told] = process.argv.slice(2);
const BODY = Buffer.from(JSON.stringify({ code: "0123456789", codeState: "Available", amount: 10, currency: "ZAR" }));
const TOLD = told ? JSON.parse(readFileSync(told, "utf8")) : {};

createServer({ cert: readFileSync(cert), key: readFileSync(key), keepAliveTimeout: 60_000 }, (request, answer) => {
  request.resume();
  request.on("end", () => {
    const id = request.headers["scanvault-request-id"];
    answer.writeHead(200, {
      "content-type": "application/json",
      "content-length": BODY.length,
      ...(id && { "scanvault-request-id": id }),
      ...tell(request.headers),
    });
    answer.end(BODY);
  });
}).listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ message: "listening" })));

function tell({ authorization, "scanvault-credential": mark }) {
  if (!authorization || !["unverified", "renew"].includes(mark)) return undefined;
  return TOLD[authorization.slice(0, authorization.indexOf(" ")).toLowerCase()];
}
