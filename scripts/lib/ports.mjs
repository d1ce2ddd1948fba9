// Ports for what is started next, below those that the kernel hands out by itself: no connection, and nobody who listens
// on any port, takes one between this and that start, nor while its owner is dead.

import { randomInt } from "node:crypto";
import { createServer } from "node:net";

const [LOWEST, BEYOND] = [20_000, 32_000];
const drawn = new Set();

/** A port of loopback that is free, and that this process is not told of again. */
export async function freePort() {
  for (;;) {
    const port = randomInt(LOWEST, BEYOND);
    if (drawn.has(port)) continue;
    drawn.add(port);
    if (await isFree(port)) return port;
  }
}

function isFree(port) {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
}
