// The watch over all answers fails when a header is missing: seen to, with each header of each client.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer, get } from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { selfSigned } from "./certificate.mjs";
import { ask, startEdge } from "./harness.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const GOOD = {
  "strict-transport-security": "max-age=63072000; includeSubDomains; preload",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
  "scanvault-request-id": "0123456789abcdef0123456789abcdef",
};

/** A process of its own in which a test asks a server that answers with these headers. */
function asked(headers, how, watched = true) {
  const program = `
    import { createServer, get } from "node:http";
    import { test } from "node:test";
    import { watch } from "../lib/hardened.mjs";
    const server = createServer((request, response) => response.writeHead(200, ${JSON.stringify(headers)}).end("{}"));
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const url = "http://127.0.0.1:" + server.address().port;
    ${watched ? "watch(url);" : ""}
    test("it asks, and looks at nothing", async () => {
      ${how === "fetch" ? "await (await fetch(url)).text();" : 'await new Promise((done) => get(url, (answer) => answer.resume().on("end", done)));'}
      await new Promise((turn) => setImmediate(turn));
      server.close();
      server.closeAllConnections();
    });`;
  return new Promise((done) => {
    const env = { ...process.env, NODE_TEST_CONTEXT: undefined, NODE_OPTIONS: undefined };
    const args = ["--input-type=module", "--eval", program];
    execFile(process.execPath, args, { cwd: HERE, env }, (error, stdout, stderr) => done({ code: error?.code ?? 0, said: stdout + stderr }));
  });
}

for (const how of ["http", "fetch"]) {
  test(`${how}: an answer with all headers passes, one that lacks any fails the process and is named`, { timeout: 60_000 }, async () => {
    const good = await asked(GOOD, how);
    assert.equal(good.code, 0, good.said);
    await Promise.all(Object.keys(GOOD).map(async (name) => {
      const { [name]: _, ...rest } = GOOD;
      const { code, said } = await asked(rest, how);
      assert.notEqual(code, 0, `${name}: ${said}`);
      assert.match(said, /an answer of the edge is not hardened: 200 http/);
    }));
    const weak = await asked({ ...GOOD, "content-security-policy": "default-src *" }, how);
    assert.notEqual(weak.code, 0);
    const other = await asked({}, how, false);
    assert.equal(other.code, 0, "who is no edge is not held to it");
  });
}

test("whoever gets the port of an edge that was closed is not held to it", { timeout: 60_000 }, async () => {
  const edge = await startEdge({ region: "a", url: "https://localhost:1", ca: selfSigned().cert }, { dev: {} });
  assert.equal((await ask(edge.urls.dev, "/pluto/public/monitor")).status, 200);
  await edge.close();
  const server = createServer((_, response) => response.end("{}"));
  await new Promise((done) => server.listen(Number(new URL(edge.urls.dev).port), "127.0.0.1", done));
  await new Promise((done, failed) => get(edge.urls.dev, (answer) => answer.resume().on("end", done)).on("error", failed));
  await new Promise((turn) => setImmediate(turn));
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});
