// The origin's public listener: only what an edge signed, now, for this region, once, comes in.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { before, test } from "node:test";
import { onBothDatabases } from "./both.mjs";
import { ALWAYS, now, send, sign } from "./link.mjs";
import { until } from "./world.mjs";

const CREATE = "/pluto/code/create";

onBothDatabases((at) => {
  let merchant, authorization, path;
  before(async () => {
    merchant = await at.world.merchant("merchant-25", { webhook: false, acquirer: false });
    authorization = `Basic ${Buffer.from(`${merchant.user}:${merchant.password}`).toString("base64")}`;
    path = `/pluto/code/${(await at.world.code(merchant)).code}`;
  });

  const signed = (more = {}) => {
    const { world } = at;
    return sign(world.origin, { key: world.linkKeys[0], path, ...more, extra: { authorization, ...more.extra } });
  };
  const sent = (request) => send(at.world.origin, at.world.ca, request);
  const refusals = async (reason) => (await at.world.metrics())[`scanvault_link_refusals_total{reason="${reason}"}`] ?? 0;

  /** The empty 401 that tells nothing, and the one counter that tells operators why. */
  async function refused(request, reason, what) {
    const before = await refusals(reason);
    const { status, headers, body } = await sent(request);
    assert.deepEqual([status, body.toString()], [401, ""], what);
    for (const name of ["scanvault-request-id", "www-authenticate", "content-type"]) assert.equal(headers[name], undefined, `${what}: ${name}`);
    assert.equal(await refusals(reason), before + 1, `${what}: counted as ${reason}`);
  }

  async function taken(request, what) {
    const answer = await sent(request);
    assert.equal(answer.status, 200, `${what}: ${answer.body}`);
    assert.equal(answer.headers["scanvault-request-id"], request.headers["scanvault-request-id"], what);
    assert.equal(answer.headers["strict-transport-security"], "max-age=63072000; includeSubDomains; preload");
    assert.equal(answer.headers["cache-control"], "no-store");
    return JSON.parse(answer.body);
  }

  test("what an independent signer signs is taken, with either of the two live keys", async () => {
    for (const key of at.world.linkKeys) {
      assert.equal((await taken(signed({ key }), key.id)).codeState, "Available");
    }
    const body = '{"merchantReference":"signed","amount":4}';
    const extra = { "content-type": "application/json", "idempotency-key": "k-1" };
    assert.match((await taken(signed({ method: "POST", path: CREATE, body, extra }), "a body")).code, /^\d{10}$/);
  });

  test("unsigned, or only in part", async () => {
    const request = signed();
    for (const name of Object.keys(request.headers).filter((name) => !["host", "authorization"].includes(name))) {
      const { [name]: dropped, ...headers } = request.headers;
      assert.ok(dropped);
      await refused({ ...request, headers }, "malformed", `without ${name}`);
    }
    await refused({ method: "GET", path, headers: { host: new URL(at.world.origin).host } }, "malformed", "bare");
    await refused({ method: "GET", path: "/health/live", headers: {} }, "malformed", "the admin side's paths");
    await refused({ method: "POST", path: CREATE, headers: { "content-type": "application/json" }, body: "not JSON" }, "malformed", "a body");
  });

  test("altered after it was signed", async () => {
    const host = new URL(at.world.origin).host;
    for (const [what, change] of [
      ["the method", (r) => ({ ...r, method: "DELETE" })],
      ["the path", (r) => ({ ...r, path: "/pluto/code/0000000000" })],
      ["a query", (r) => ({ ...r, path: `${r.path}?a=1` })],
      ["the authority", (r) => ({ ...r, headers: { ...r.headers, host: host.replace("localhost", "127.0.0.1") } })],
      ["the public host", (r) => ({ ...r, headers: { ...r.headers, "scanvault-host": "evil.example" } })],
      ["the client's address", (r) => ({ ...r, headers: { ...r.headers, "scanvault-client": "10.0.0.1" } })],
      ["the request id", (r) => ({ ...r, headers: { ...r.headers, "scanvault-request-id": "0".repeat(32) } })],
      ["the credential's mark", (r) => ({ ...r, headers: { ...r.headers, "scanvault-credential": "verified" } })],
      ["the credential", (r) => ({ ...r, headers: { ...r.headers, authorization: "Basic eDp5" } })],
      ["the digest", (r) => ({ ...r, headers: { ...r.headers, "content-digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:" } })],
      ["the signature", (r) => ({ ...r, headers: { ...r.headers, signature: `link=:${Buffer.alloc(32).toString("base64")}:` } })],
      ["a shorter signature", (r) => ({ ...r, headers: { ...r.headers, signature: "link=:AAAA:" } })],
    ]) {
      await refused(change(signed()), "bad_signature", what);
    }
    for (const [what, change] of [
      ["another algorithm", () => signed({ alg: "none" })],
      ["a list that leaves the credential out", () => signed({ names: ALWAYS })],
      ["a list in another order", () => signed({ names: ["authorization", ...ALWAYS] })],
      ["a short nonce", () => signed({ nonce: Buffer.alloc(15) })],
      ["a request id in capitals", () => signed({ extra: { "scanvault-request-id": "A".repeat(32) } })],
      ["another label", () => {
        const request = signed();
        return { ...request, headers: { ...request.headers, "signature-input": request.headers["signature-input"].replace("link=", "sig1=") } };
      }],
      ["a second parameter", () => {
        const request = signed();
        return { ...request, headers: { ...request.headers, "signature-input": `${request.headers["signature-input"]};expires=9999999999` } };
      }],
      ["a signature that is no base64", () => {
        const request = signed();
        return { ...request, headers: { ...request.headers, signature: "link=:!!!!:" } };
      }],
    ]) {
      await refused(change(), "malformed", what);
    }
  });

  test("a header that was not covered, but counts, is refused; any other is dropped", async () => {
    const { headers, ...rest } = signed();
    for (const [name, value] of [["idempotency-key", "k"], ["content-type", "application/json"]]) {
      await refused({ ...rest, headers: { ...headers, [name]: value } }, "malformed", name);
    }
    const spoofed = {
      "x-http-method-override": "DELETE",
      "x-forwarded-host": "evil.example",
      "x-forwarded-for": "10.0.0.1",
      forwarded: "for=10.0.0.1",
      cookie: "a=b",
      "scanvault-role": "INTERNAL",
    };
    const plain = signed();
    await taken({ ...plain, headers: { ...plain.headers, ...spoofed } }, "headers that nobody covers");
  });

  test("a header given twice", async () => {
    const request = signed({ extra: { "content-type": "application/json", "idempotency-key": "k" } });
    const counting = [...ALWAYS, "authorization", "idempotency-key", "content-type"].filter((name) => !name.startsWith("@"));
    for (const name of ["signature", "signature-input", ...counting]) {
      const value = request.headers[name];
      await refused({ ...request, headers: { ...request.headers, [name]: [value, value] } }, "malformed", `${name} twice, the same`);
      await refused({ ...request, headers: { ...request.headers, [name]: [value, "other"] } }, "malformed", `${name} twice`);
    }
  });

  test("replayed", async () => {
    const request = signed();
    await taken(request, "the first time");
    for (const what of ["at once", "and again"]) await refused(request, "nonce_replayed", what);
    // The nonce counts, not the rest: another request with the same one is a replay too.
    const nonce = Buffer.alloc(16, 9);
    await taken(signed({ nonce }), "a nonce of our own");
    await refused(signed({ nonce, key: at.world.linkKeys[1] }), "nonce_replayed", "the same nonce under the other key");
    const both = signed();
    const statuses = await Promise.all(Array.from({ length: 8 }, async () => (await sent(both)).status));
    assert.deepEqual(statuses.toSorted(), [200, 401, 401, 401, 401, 401, 401, 401], "eight at once");
  });

  test("out of the window, either way", async () => {
    for (const offset of [-3600, -33, 33, 3600]) {
      await refused(signed({ created: now() + offset }), "out_of_window", `${offset} s`);
    }
    await taken(signed({ created: now() + 25 }), "a clock that is 25 s ahead");
    await refused(signed({ created: "9".repeat(30) }), "malformed", "a time that is no time");
  });

  test("an unknown key, a key under another name, another region", async () => {
    const [first, second] = at.world.linkKeys;
    await refused(signed({ key: { ...first, id: "e2e-9" } }), "unknown_key", "unknown");
    await refused(signed({ key: { ...first, secret: second.secret } }), "bad_signature", "the other key's secret");
    await refused(signed({ key: { ...first, region: "b" } }), "wrong_region", "for region b");
  });

  test("a body that is not what was digested, or over the limit, before anything of it is read as JSON", async () => {
    const extra = { "content-type": "application/json" };
    const body = '{"merchantReference":"digest","amount":4}';
    const request = signed({ method: "POST", path: CREATE, body, extra });
    await refused({ ...request, body: body.replace("4", "5") }, "bad_digest", "changed");
    await refused({ ...signed({ method: "POST", path: CREATE, body, extra }), body: "" }, "bad_digest", "gone");
    const large = "x".repeat(65_537);
    await refused(signed({ method: "POST", path: CREATE, body: large, extra }), "bad_digest", "64 KiB and one byte");
    // At the limit it is read, and then it is the merchant's mistake.
    const most = await sent(signed({ method: "POST", path: CREATE, body: "x".repeat(65_536), extra }));
    assert.deepEqual([most.status, JSON.parse(most.body).code], [400, "bad-request"]);
    const rows = at.world.database.rows("SELECT count(*) AS n FROM payment_requests WHERE merchant_reference = 'digest'");
    assert.equal(Number(rows[0].n), 0);
  });

  test("what came through the link is still only what its credential allows", async () => {
    const anonymous = sign(at.world.origin, { key: at.world.linkKeys[0], path });
    const answer = await sent(anonymous);
    assert.deepEqual([answer.status, JSON.parse(answer.body).detail], [401, "Bad Credentials"]);
    assert.equal(answer.headers["scanvault-request-id"], anonymous.headers["scanvault-request-id"], "an answer of ours, not the door's");
    const claimed = await sent(sign(at.world.origin, { key: at.world.linkKeys[0], path, extra: { authorization: "Basic eDp5", "scanvault-credential": "verified" } }));
    assert.equal(claimed.status, 401, "the mark of the edge opens nothing");
  });

  test("plain HTTP gets nothing at all", async () => {
    const { port } = new URL(at.world.origin);
    const received = await new Promise((done) => {
      const chunks = [];
      const socket = connect(port, "127.0.0.1", () => socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`));
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("error", () => {});
      socket.on("close", () => done(Buffer.concat(chunks)));
    });
    assert.doesNotMatch(received.toString("latin1"), /HTTP\//);
  });

  test("SIGHUP replaces the live keys with the vault open; a file that is none changes nothing", async () => {
    const { world } = at;
    const [first, second] = world.linkKeys;
    const third = { id: "e2e-3", region: "a", secret: randomBytes(32) };
    world.secrets.add("link secret e2e-3", third.secret.toString("base64"), third.secret);
    const said = (message) => world.logLines("origin").filter((line) => line.message === message).length;
    const replace = async (text, message) => {
      const before = said(message);
      writeFileSync(world.at("link-keys"), text);
      process.kill(world.originProcess.pid, "SIGHUP");
      await until(message, () => said(message) > before, { seconds: 5 });
    };
    await replace("e2e-3 too-short\n", "link keys not replaced: the old ones stay");
    await taken(signed({ key: first }), "the old keys stay");
    const line = ({ id, secret }) => `${id} ${secret.toString("base64")}\n`;
    await replace(line(first) + line(third), "link keys replaced");
    await taken(signed({ key: third }), "the new key");
    await taken(signed({ key: first }), "the one that stayed");
    await refused(signed({ key: second }), "unknown_key", "the one that went");
    assert.equal((await world.status()).sealed, false, "the vault stayed open");
  });

  test("what was signed before a start is refused after it", async () => {
    const { world } = at;
    const before = signed();
    await world.stopOrigin("SIGKILL");
    await world.startOrigin();
    await refused(before, "out_of_window", "kept over a restart");
    await taken(signed(), "signed afterwards");
  });
});
