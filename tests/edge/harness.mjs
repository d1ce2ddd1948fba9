// The built wasm in real workerd.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";
import { unwatch, watch } from "../lib/hardened.mjs";
import { LINK_KEY } from "./origin-stub.mjs";

export * from "../lib/answers.mjs";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const BUILD = join(ROOT, "edge/build");

/**
 * Starts workers {name: changed bindings} in one workerd, each on a socket of its own with nothing in between, so that
 * paths and headers arrive as they are sent. `origin` is the stub of a region, or a list of them, the first choice first.
 * `ratelimits` among the bindings are the platform's limiters; `around` is the text of a module that stands before the
 * worker. `logs` are the JSON lines that they wrote.
 */
export async function startEdge(origin, workers) {
  const origins = [origin].flat();
  const logs = [];
  const defaults = edgeBindings(origins);
  const worker = ([name, { ratelimits, around, ...bindings }]) => ({
    name,
    modules: [
      ...(around ? [{ type: "ESModule", path: "around.js", contents: around }] : []),
      { type: "ESModule", path: "index.js", contents: readFileSync(join(BUILD, "index.js"), "utf8") },
      { type: "CompiledWasm", path: "index_bg.wasm", contents: readFileSync(join(BUILD, "index_bg.wasm")) },
    ],
    compatibilityDate: compatibilityDate(),
    bindings: { ...defaults, ...bindings },
    ratelimits,
    outboundService: { network: { allow: ["private"], tlsOptions: { trustedCertificates: origins.map(({ ca }) => ca) } } },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  });
  const miniflare = new Miniflare({
    cf: false,
    handleRuntimeStdio: (stdout, stderr) => {
      collectLines(stdout, logs);
      collectLines(stderr, logs);
    },
    workers: Object.entries(workers).map(worker),
  });
  await miniflare.ready;
  const urls = {};
  for (const name of Object.keys(workers)) urls[name] = watch(String(await miniflare.unsafeGetDirectURL(name)));
  const close = async () => {
    await miniflare.dispose();
    Object.values(urls).forEach(unwatch);
  };
  return { urls, logs, miniflare, close };
}

/** The bindings of a worker before these origins, where a test says nothing else. */
export function edgeBindings(origins) {
  return {
    ORIGINS: origins.map(({ region, url }) => `${region}=${url}`).join(" "),
    LINK_KEY_ID: LINK_KEY.id,
    LINK_SECRET: LINK_KEY.secret.toString("base64"),
    PUBLIC_URL: "https://pay.example",
    ALLOW_PLAIN_HTTP: "loopback",
    CLIENT_ADDRESS: "none",
  };
}

/** The log lines of these answers, in their order, once they are all there: exactly one each. */
export async function logOf({ logs }, answers) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const lines = logs.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
    const found = answers.map(({ headers }) => lines.filter((line) => line.requestId === headers["scanvault-request-id"]));
    if (found.every((each) => each.length > 0)) {
      assert.ok(found.every((each) => each.length === 1), "one line each");
      return found.flat();
    }
    assert.ok(Date.now() < deadline, `log lines are missing: ${logs.join("\n")}`);
    await new Promise((turn) => setImmediate(turn));
  }
}

function compatibilityDate() {
  return /^compatibility_date\s*=\s*"([0-9-]+)"/m.exec(readFileSync(join(ROOT, "wrangler.toml"), "utf8"))[1];
}

function collectLines(stream, into) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    into.push(...lines);
  });
}
