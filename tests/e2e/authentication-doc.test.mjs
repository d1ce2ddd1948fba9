// docs/authentication.md, run: its shell blocks, as they stand there, one after the other in one shell, against the
// built wasm, the origin and its CLI.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../../scripts/lib/workerd.mjs";
import { onBothDatabases } from "./both.mjs";
import { BINARIES, run } from "./world.mjs";

const TEXT = readFileSync(join(ROOT, "docs/authentication.md"), "utf8");
const BLOCKS = [...TEXT.matchAll(/^```sh (merchant|operator)\n([\s\S]*?)^```$/gm)].map(([, who, lines]) => ({ who, lines }));

onBothDatabases((at) => {
  test("the flow of the documentation works as it is written", async () => {
    const { world } = at;
    assert.ok(BLOCKS.length >= 9, "the blocks were found");
    await world.merchant("merchant-25", { webhook: false, acquirer: false });
    const folder = world.at("doc");
    mkdirSync(folder);
    const script = BLOCKS.map(({ lines }) => lines).join("\n");
    writeFileSync(join(folder, "flow.sh"), `set -euo pipefail\ncd "${folder}"\n${script}`);
    const env = {
      PATH: `${BINARIES}:${process.env.PATH}`,
      ADMIN_URL: `unix://${world.socket}`,
      SCANVAULT_URL: world.edge,
      IDENTITY: "merchant-25",
      NO_PROXY: "*",
    };
    const { code, stdout, stderr } = await run("bash", [join(folder, "flow.sh")], { env, seconds: 60 });
    assert.equal(code, 0, stdout + stderr);
    const created = JSON.parse(readFileSync(join(folder, "code.json"), "utf8"));
    assert.match(created.code, /^\d{10}$/, JSON.stringify(created));
    const { headerValue } = JSON.parse(readFileSync(join(folder, "login.json"), "utf8"));
    const after = await run("curl", ["-sS", "-o", join(folder, "after"), "-w", "%{http_code}", "-H", `Authorization: ${headerValue}`, `${world.edge}/pluto/code/${created.code}`], { env });
    assert.equal(after.stdout, "401", "the last line of the flow ended the session");
    await logsInWithTheClient(world, folder);
  });

  test("a client in Python's cryptography, which shares nothing with ours, logs in", async (t) => {
    // A distribution's Python may come without it; the client in Node's crypto (bearer.mjs) is a second implementation too.
    if ((await run("python3", ["-c", "import cryptography"])).code !== 0) return t.skip("no Python module cryptography");
    await logsInFromPython(at.world, at.world.at("doc"));
  });

  /** `scanvault login`: the whole flow in one command, with the files that the flow above left. */
  async function logsInWithTheClient(world, folder) {
    const field = (file, name) => JSON.parse(readFileSync(join(folder, file), "utf8"))[name];
    writeFileSync(join(folder, "gateway.b64"), field("gateway.json", "publicKey"));
    const args = [
      "login", "--url", world.edge, "--identity", "merchant-25", "--private-key", join(folder, "PrivateKey.key"),
      "--password-file", join(folder, "login-password"), "--server-key", `@${join(folder, "gateway.b64")}`,
    ];
    const { code, stdout, stderr } = await world.scanvault(args);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Authorization: Bearer [\w-]+\.[\w-]+\.[\w-]+\n$/);
    const [, token] = stdout.trim().split(": ");
    const answer = await world.call({ user: "x", password: "x" }, "/pluto/code/0000000000", undefined, { authorization: token });
    assert.equal(answer.status, 404, answer.body.toString());
    // Somebody else's key in the gateway's place: the client stops before it sends anything that counts.
    const other = await run("openssl", ["genrsa", "4096"], { seconds: 60 });
    const der = await run("bash", ["-c", "openssl rsa -pubout -outform DER 2>/dev/null | base64 -w0"], { input: other.stdout });
    const refused = await world.scanvault([...args.slice(0, -1), der.stdout]);
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, /not the gateway|does not/i);
  }

  async function logsInFromPython(world, folder) {
    const password = readFileSync(join(folder, "login-password"), "utf8").trim();
    const args = [join(ROOT, "tests/e2e/login.py"), world.edge, "merchant-25", join(folder, "PrivateKey.key"), join(folder, "gateway.pem")];
    const { code, stdout, stderr } = await run("python3", args, { input: password });
    assert.equal(code, 0, stderr);
    assert.match(JSON.parse(stdout).headerValue, /^Bearer /);
  }
});
