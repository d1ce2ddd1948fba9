// What the host of the edge says of a connection (`request.cf`): here a header stands in for Cloudflare, as workerd lets a
// configuration name one. The address that workerd tells by itself is in tests/e2e/fallback.test.mjs.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Children } from "../../scripts/lib/demo/children.mjs";
import { EDGE_MODULES, writeConfig } from "../../scripts/lib/workerd.mjs";
import { freePorts } from "../e2e/world.mjs";
import { ask, assertProblem } from "./harness.mjs";

const IMAGE = "/pluto/public/qr/0123456789.png";
const SOURCES = ["cf-connecting-ip", "runtime", "none"];
let dir, children, ports;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "scanvault-platform-"));
  children = new Children(randomBytes(12).toString("hex"), join(dir, "logs"));
  ports = await freePorts(...SOURCES);
  const workers = SOURCES.map((name) => ({
    name,
    modules: EDGE_MODULES,
    listen: `127.0.0.1:${ports[name]}`,
    bindings: {
      ORIGINS: "a=https://localhost:1",
      LINK_KEY_ID: "platform",
      LINK_SECRET: randomBytes(32).toString("base64"),
      PUBLIC_URL: "https://pay.example",
      ALLOW_PLAIN_HTTP: "loopback",
      CLIENT_ADDRESS: name,
    },
  }));
  const command = writeConfig({ dir, workers });
  const config = join(dir, "config.capnp");
  writeFileSync(config, readFileSync(config, "utf8").replaceAll("http = ()", 'http = (cfBlobHeader = "x-platform")'));
  await children.start("edge", command, { ready: async () => (await over("none")).status === 200 });
});
after(async () => {
  await children?.endAll();
  rmSync(dir, { recursive: true, force: true });
});

function over(source, cf) {
  const headers = cf === undefined ? {} : { "x-platform": JSON.stringify(cf) };
  return ask(`http://127.0.0.1:${ports[source]}`, IMAGE, { headers });
}

test("a connection of an outdated TLS is refused, whatever it asks for", async () => {
  for (const source of ["cf-connecting-ip", "runtime"]) {
    for (const tlsVersion of ["SSLv3", "TLSv1", "TLSv1.1"]) {
      assertProblem(await over(source, { tlsVersion }), 403, "https-required", "TLS 1.2 or newer is required");
    }
    for (const cf of [{ tlsVersion: "TLSv1.2" }, { tlsVersion: "TLSv1.3" }, { tlsVersion: "" }, { tlsVersion: 1 }, {}, undefined]) {
      assert.equal((await over(source, cf)).status, 200, JSON.stringify(cf));
    }
  }
});

test("where no host is named that says anything, nothing is asked for it", async () => {
  assert.equal((await over("none", { tlsVersion: "TLSv1" })).status, 200);
});
