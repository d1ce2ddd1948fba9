// The admin side: a Unix socket that knows who is at its other end, metrics, health.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { ask } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { run } from "./world.mjs";

const PATHS = ["/metrics", "/health/live", "/health/ready", "/vault/status", "/accounts/merchant-25"];

onBothDatabases((at) => {
  const get = async (path, as = []) => {
    const [program, ...args] = [...as, "curl", "-s", "--max-time", "5", "-w", "\n%{http_code} %{content_type}", "--unix-socket", at.world.socket, `http://admin${path}`];
    const { code, stdout, stderr } = await run(program, args);
    assert.equal(code, 0, stderr);
    const [, body, status, type] = /^([^]*)\n(\d+) (.*)$/.exec(stdout);
    return { status: Number(status), body, type };
  };

  test("the socket is its owner's alone", () => {
    assert.equal(statSync(at.world.socket).mode & 0o777, 0o600);
  });

  test("liveness and readiness, sealed and not", async () => {
    const { world } = at;
    assert.deepEqual(await get("/health/live"), { status: 200, body: '{"status":"ok"}', type: "application/json" });
    const ready = async () => {
      const { status, body } = await get("/health/ready");
      return { status, ...JSON.parse(body) };
    };
    assert.deepEqual(await ready(), { status: 200, database: true, draining: false, sealed: false, standsBy: false });
    await world.cli("vault", "seal");
    assert.deepEqual(await ready(), { status: 200, database: true, draining: false, sealed: true, standsBy: false });
    assert.deepEqual(await world.cli("health"), { database: true, draining: false, sealed: true, standsBy: false });
    await world.unseal();
  });

  test("metrics say what is watched, in the OpenMetrics format", async () => {
    const { world } = at;
    const merchant = await world.merchant("merchant-25");
    const { code } = await world.code(merchant);
    assert.equal((await world.pay(code)).status, 200);
    const { status, body, type } = await get("/metrics");
    assert.equal(status, 200);
    assert.match(type, /^application\/openmetrics-text; version=1\.0\.0/);
    assert.ok(body.endsWith("# EOF\n"));
    const found = await world.metrics();
    for (const [name, value] of [
      ["scanvault_sealed", 0],
      ["scanvault_unknown_transactions", 0],
      ["scanvault_unknown_transactions_oldest_seconds", 0],
      ["scanvault_outbox_parked", 0],
      ['scanvault_requests_total{route="/pluto/code/create",status="200"}', 1],
      ['scanvault_requests_total{route="/pluto/public/pay/{code}",status="200"}', 2],
      ['scanvault_request_duration_seconds_count{route="/pluto/code/create"}', 1],
      ['scanvault_request_duration_seconds_bucket{le="+Inf",route="/pluto/code/create"}', 1],
    ]) {
      assert.equal(found[name], value, name);
    }
    for (const name of ["scanvault_outbox_pending", "scanvault_outbox_oldest_seconds"]) assert.ok(found[name] >= 0, name);
    // What clients write never becomes a label.
    await ask(world.edge, "/pluto/public/pay/7777777777");
    assert.ok(!(await get("/metrics")).body.includes("7777777777"));
  });

  test("the edge's paths are not here, nor these there", async () => {
    assert.equal((await get("/pluto/code/create")).status, 404);
    for (const path of PATHS) assert.equal((await ask(at.world.edge, path)).status, 404, path);
  });

  test("another user is refused, even at an open socket", { skip: process.getuid() !== 0 && "only root can act as another user" }, async () => {
    const { world } = at;
    world.openSocketToAll();
    const nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    const uid = (await run("id", ["-u", "nobody"])).stdout.trim();
    for (const path of PATHS) {
      const { status, body } = await get(path, nobody);
      assert.equal(status, 403, path);
      const { code, detail } = JSON.parse(body);
      assert.deepEqual([code, detail], ["forbidden", `uid:${uid} is not an operator`], path);
      assert.equal((await get(path)).status, 200, `${path} as its owner`);
    }
    const sealing = ["-X", "POST", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", world.socket, "http://admin/vault/seal"];
    const { stdout } = await run(nobody[0], [...nobody.slice(1), "curl", ...sealing]);
    assert.equal(stdout, "403");
    assert.equal((await world.status()).sealed, false);
  });
});
