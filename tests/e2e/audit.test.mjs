// The audit through the operators' command line: proved, taken out, and found wrong when the database was touched.

import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { onBothDatabases } from "./both.mjs";
import { until } from "./world.mjs";

onBothDatabases((at) => {
  const refused = async (...args) => {
    const { code, stderr } = await at.world.scanvault(["audit", ...args]);
    assert.equal(code, 1, stderr);
    return stderr;
  };
  let publicKey, head;

  test("a value's stand-in is told, by standard input and by file, and that it was asked stands in the chain", async () => {
    const { world } = at;
    await world.merchant("merchant-25");
    const asked = await world.scanvault(["audit", "value", "token", "--json"], { input: "tok_1\n" });
    assert.equal(asked.code, 0, asked.stderr);
    const { field, values } = JSON.parse(asked.stdout);
    assert.deepEqual([field, values.length, values[0].keyId], ["token", 1, 1]);
    writeFileSync(world.at("value"), "tok_1");
    assert.deepEqual(await world.cli("audit", "value", "token", "--value-file", world.at("value")), { field, values });
    const { links } = await world.cli("audit", "show", "--last", "5");
    const entry = links[0].entries.find(({ action }) => action === "audit.value");
    assert.deepEqual([entry.field, entry.value], ["token", values[0].value]);
    const { stdout } = await world.scanvault(["audit", "show", "--last", "1"]);
    assert.match(stdout, /^\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f]{8}\/\d+ audit\.value by \S+ /);
    assert.ok(!world.database.bytes().includes("tok_1"));
  });

  test("all chains are proved, and an export without the origin", async () => {
    const { world } = at;
    // The checkpoint of an opened vault; after it nothing moves.
    await until("the checkpoint", async () => JSON.stringify(await world.cli("audit", "show", "--last", "9")).includes("audit.checkpoint"));
    const { links, unsigned, chains } = await world.cli("audit", "verify");
    assert.ok(links >= 2 && chains.length === 1);
    assert.equal(unsigned, 0);
    const file = world.at("audit.jsonl");
    const written = await world.cli("audit", "export", "--out", file);
    assert.deepEqual([written.chains, written.links], [1, links]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const [{ header }] = readFileSync(file, "utf8").split("\n").slice(0, 1).map((line) => JSON.parse(line));
    publicKey = `${header.publicKeys[0].keyId}:${header.publicKeys[0].publicKey}`;
    const proof = ["audit", "verify", "--file", file, "--public-key", publicKey];
    assert.equal((await world.cli(...proof)).links, links);
    const { code, stderr } = await world.scanvault(["audit", "export", "--out", file]);
    assert.equal(code, 2, stderr);
    assert.equal((await world.scanvault(["audit", "verify", "--file", file])).code, 2, "keys come from elsewhere");

    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace("audit.value", "audit.other"));
    assert.match(await refused(...proof.slice(1)), /^scanvault: chain [0-9a-f]{32}, link \d+: its hash is not that of its contents/);
    writeFileSync(file, text.split("\n").slice(0, -2).join("\n") + "\n");
    assert.match(await refused(...proof.slice(1)), /it was cut\n$/);
  });

  test("the head that the log keeps finds a cut end; an edit is found without", async () => {
    const { world } = at;
    await world.stopOrigin();
    const logged = world.logLines("origin").filter(({ message }) => message === "audit head").at(-1);
    head = `${logged.chain}:${logged.number}:${logged.hash}`;
    world.database.write(`DELETE FROM audit_links WHERE chain = '${logged.chain}' AND number = ${logged.number}`);
    await world.startOrigin();
    assert.equal(
      await refused("verify", "--head", head, "--public-key", publicKey),
      `scanvault: chain ${logged.chain}, link ${logged.number}: it is gone: a head that was given names it\n`,
    );
    assert.match(await refused("verify"), /the vault is sealed/);
    await world.unseal();
    await world.cli("audit", "verify");
    await world.stopOrigin();
    assert.equal(world.database.write(`UPDATE audit_links SET at_ms = at_ms + 1 WHERE chain = '${logged.chain}' AND number = 1`), 1);
    await world.startOrigin();
    await world.unseal();
    assert.match(await refused("verify"), new RegExp(`chain ${logged.chain}, link 1: its hash`));
  });

  test("it is counted", async () => {
    const found = await at.world.metrics();
    assert.equal(found.scanvault_audit_failures_total, 0);
    assert.ok(found.scanvault_audit_links_total >= 0 && found.scanvault_audit_checkpoint_age_seconds >= 0);
  });
});
