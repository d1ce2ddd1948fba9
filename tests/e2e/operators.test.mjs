// Named operators: other users at the socket, client certificates over TLS, the CLI as each of them.

import assert from "node:assert/strict";
import { chmodSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { onBothDatabases } from "./both.mjs";
import { BINARIES, freePorts, run, until } from "./world.mjs";

const SCANVAULT = join(BINARIES, "scanvault");
const NOT_ROOT = process.getuid() !== 0 && "only root can act as another user";

onBothDatabases((at) => {
  let port, nobody;
  const file = (...parts) => at.world.at(...parts);
  const https = (name, more = {}) => ({
    ADMIN_URL: `https://localhost:${port}`,
    ADMIN_CERT: file("clients", `${name}.pem`),
    ADMIN_KEY: file("clients", `${name}.key`),
    ADMIN_CA: file("ca/ca.pem"),
    ...more,
  });
  const as = (env, ...args) => at.world.scanvault(args, { env });
  const fingerprint = async (pem) => (await run(SCANVAULT, ["operator", "fingerprint", "--cert", pem])).stdout.trim();
  const mode = () => statSync(at.world.socket).mode & 0o777;

  async function writeOperators(more = []) {
    const lines = [
      "# for this test",
      `root operator,auditor uid:${process.getuid()}`,
      `alice operator ${await fingerprint(file("clients/alice.pem"))}`,
      `audrey auditor ${await fingerprint(file("clients/audrey.pem"))}`,
      ...more,
    ];
    writeFileSync(file("operators"), `${lines.join("\n")}\n`, { mode: 0o600 });
  }

  /** SIGHUP, and until the log says what became of it. */
  async function reload(message) {
    const { world } = at;
    const count = () => world.logLines("origin").filter((line) => line.message === message).length;
    const before = count();
    process.kill(world.originProcess.pid, "SIGHUP");
    await until(message, () => count() > before);
  }

  test("an origin with operators and an admin listener starts where one stopped", async () => {
    const { world } = at;
    for (const [dir, ...clients] of [["clients", "alice", "audrey", "mallory"], ["others", "alice"]]) {
      const args = ["dev-ca", "--dir", file(dir), ...clients.flatMap((name) => ["--client", name])];
      const { code, stdout } = await run(join(BINARIES, "sandbox"), args);
      assert.equal(code, 0, stdout);
    }
    nobody = (await run("id", ["-u", "nobody"])).stdout.trim();
    ({ admin: port } = await freePorts("admin"));
    await writeOperators();
    await world.stopOrigin();
    world.originSettings = {
      SCANVAULT_OPERATORS: file("operators"),
      SCANVAULT_ADMIN_LISTEN: `127.0.0.1:${port}`,
      SCANVAULT_ADMIN_CLIENT_CA: file("clients/ca.pem"),
    };
    await world.startOrigin();
    assert.equal(mode(), 0o600, "no other user is named");
  });

  test("the fingerprint is the one that OpenSSL computes", async () => {
    const { stdout } = await run("openssl", ["x509", "-in", file("clients/alice.pem"), "-noout", "-fingerprint", "-sha256"]);
    const digits = stdout.trim().replace(/^.*=/, "").replaceAll(":", "").toLowerCase();
    assert.equal(await fingerprint(file("clients/alice.pem")), `cert:sha256:${digits}`);
    const none = await run(SCANVAULT, ["operator", "fingerprint", "--cert", file("clients/alice.key")]);
    assert.deepEqual([none.code, none.stderr], [2, `scanvault: ${file("clients/alice.key")}: no certificate in PEM\n`]);
  });

  test("the CLI over TLS: an operator acts, an auditor reads, and the log names both", async () => {
    const who = await as(https("alice"), "operator", "whoami", "--json");
    assert.deepEqual([who.code, who.stdout], [0, '{"name":"alice","roles":["operator"]}\n'], who.stderr);
    const sealed = await as(https("audrey"), "vault", "seal");
    assert.deepEqual([sealed.code, sealed.stderr], [1, "scanvault: this needs the role operator; audrey has auditor\n"]);
    assert.equal((await as(https("audrey"), "vault", "status")).code, 0);
    const { code, stderr } = await as(https("alice"), "vault", "unseal", "--share-file", at.world.shareFile("alice"));
    assert.equal(code, 0, stderr);
    await at.world.unseal(["bob"]); // shares come from several places
    assert.equal((await as(https("alice"), "vault", "seal")).code, 0);
    const log = at.world.logLines("origin");
    assert.ok(log.some((line) => line.message === "vault sealed" && line.operator === "alice"));
    assert.ok(log.some((line) => line.message === "admin call refused: role missing" && line.operator === "audrey" && line.path === "/vault/seal"));
    await at.world.unseal();
  });

  test("who is not listed, of another CA, or without a certificate does not come in", async () => {
    const mallory = await as(https("mallory"), "vault", "status");
    const identity = await fingerprint(file("clients/mallory.pem"));
    assert.deepEqual([mallory.code, mallory.stderr], [1, `scanvault: ${identity} is not an operator\n`]);
    const other = { ADMIN_CERT: file("others/alice.pem"), ADMIN_KEY: file("others/alice.key") };
    const refused = await as(https("alice", other), "vault", "status");
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, new RegExp(`^scanvault: no origin on localhost:${port}: `));
    const impostor = await as(https("alice", { ADMIN_CA: file("others/ca.pem") }), "vault", "status");
    assert.equal(impostor.code, 3, "an origin of another CA is not believed");
    assert.match(impostor.stderr, /UnknownIssuer/);
    const { ADMIN_KEY: _, ...keyless } = https("alice");
    const usage = await as(keyless, "vault", "status");
    assert.deepEqual([usage.code, usage.stderr], [2, "scanvault: an https admin address needs --admin-cert, --admin-key and --admin-ca\n"]);
    const curl = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "--cacert", file("ca/ca.pem")];
    const address = `https://localhost:${port}/metrics`;
    const own = ["--cert", file("clients/audrey.pem"), "--key", file("clients/audrey.key")];
    assert.equal((await run("curl", [...curl, ...own, address])).stdout, "200");
    for (const options of [[], [...own, "--tls-max", "1.2"]]) {
      const { code, stdout } = await run("curl", [...curl, ...options, address]);
      assert.notEqual(code, 0, options.join(" "));
      assert.equal(stdout, "000", options.join(" "));
    }
  });

  test("SIGHUP: another user is named and reaches the socket; a broken file changes nothing", { skip: NOT_ROOT }, async () => {
    const { world } = at;
    const command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "curl", "-s", "-w", " %{http_code}", "--max-time", "5", "--unix-socket", world.socket];
    const asNobody = async (path, ...more) => (await run(command[0], [...command.slice(1), ...more, `http://admin${path}`])).stdout;
    chmodSync(world.dir, 0o711); // the folder is the host's to open
    assert.equal(await asNobody("/operators/self"), " 000", "cannot even connect");
    await writeOperators([`norbert auditor uid:${nobody}`]);
    await reload("operators replaced");
    assert.equal(mode(), 0o666);
    assert.equal(await asNobody("/operators/self"), '{"name":"norbert","roles":["auditor"]} 200');
    assert.match(await asNobody("/vault/seal", "-X", "POST"), /"detail":"this needs the role operator; norbert has auditor".* 403$/);

    writeFileSync(file("operators"), "norbert operator uid:nobody\n");
    await reload("operators not replaced: the old ones stay");
    assert.equal(await asNobody("/operators/self"), '{"name":"norbert","roles":["auditor"]} 200');

    await writeOperators();
    await reload("operators replaced");
    assert.equal(mode(), 0o600);
    assert.equal(await asNobody("/operators/self"), " 000");
    chmodSync(world.socket, 0o666); // the mode is not the check
    assert.match(await asNobody("/operators/self"), new RegExp(`"uid:${nobody} is not an operator".* 403$`));
  });

  test("operator list, and what an origin without a file says", async () => {
    const { stdout } = await as(https("audrey"), "operator", "list");
    assert.match(stdout, /^root +operator,auditor +uid:\d+\nalice +operator +cert:sha256:[0-9a-f]{64}\naudrey +auditor +cert:/);
    assert.doesNotMatch(stdout, /Fewer|no file/);
    await at.world.stopOrigin();
    at.world.originSettings = {};
    await at.world.startOrigin();
    const alone = await at.world.scanvault(["operator", "list"]);
    assert.match(alone.stdout, /^owner +operator,auditor +uid:0\n/m);
    assert.match(alone.stdout, /The origin has no file of operators: its own user and root are one operator\.\nFewer than two have the role operator: nothing that needs two operators can be done\.\n$/);
    await at.world.unseal();
    await at.world.merchant("merchant-25"); // for the scan below: the database is read
  });
}, { opened: true });
