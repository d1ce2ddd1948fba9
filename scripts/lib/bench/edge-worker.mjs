// The built worker as the benches run it: on loopback, one region, nobody's address known, so that no limit is in the way.

import { randomBytes } from "node:crypto";
import { EDGE_MODULES } from "../workerd.mjs";

/** A worker for `writeConfig`. `link` is the key that the origin knows; where the other end checks nothing, any will do. */
export function edgeWorker({ port, origin, link = { id: "bench", secret: randomBytes(32).toString("base64") } }) {
  const bindings = {
    ORIGINS: `a=${origin}`,
    LINK_KEY_ID: link.id,
    LINK_SECRET: link.secret,
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    ALLOW_PLAIN_HTTP: "loopback",
    CLIENT_ADDRESS: "none",
  };
  return { name: "edge", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${port}` };
}
