// The documented client of the internal vault API, against an origin that runs; the edge knows nothing of its paths.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync } from "node:fs";
import { test } from "node:test";
import { connect } from "../../docs/internal-client.mjs";
import { ask } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";

const PAN = "4111111111111111";

onBothDatabases((at) => {
  test("the documented client stores, reads and deletes a card", async () => {
    const { world } = at;
    const key = { id: "billing-1", secret: randomBytes(32) };
    world.secrets.add("internal link secret", key.secret.toString("base64"), key.secret);
    appendFileSync(world.at("link-keys"), `${key.id} ${key.secret.toString("base64")} billing\n`);
    await world.cli("account", "create", "billing", "--role", "INTERNAL");
    process.kill(world.originProcess.pid, "SIGHUP");
    const settings = { url: world.origin, ca: world.ca, region: "a", account: "billing", key };
    const vault = await eventually(() => connect(settings));
    const stored = await vault.store({ pan: "4111 1111-1111 1111", exp: "1230", name: "A Shopper" }, 3600);
    const { token } = stored;
    assert.deepEqual(stored, { token, outcome: "created", bin: "411111", lastFour: "1111", expiresAt: stored.expiresAt });
    assert.deepEqual(await vault.read(token, "charge of order 7"), { token, pan: PAN, exp: "1230", name: "A Shopper" });
    const { bin, lastFour, expiresAt } = await vault.show(token);
    assert.deepEqual({ bin, lastFour, expiresAt }, { bin: "411111", lastFour: "1111", expiresAt: stored.expiresAt });
    for (const path of ["/cards", "/sessions", "/key", `/cards/${token}`]) {
      assert.equal((await ask(world.edge, `/pluto/internal/vault${path}`)).status, 404, path);
    }
    await vault.delete(token);
    await assert.rejects(vault.show(token), { status: 404, code: "not-found" });
    vault.close();
  });
});

/** The key file is read again a moment after the signal. */
async function eventually(action) {
  for (let left = 50; ; left--) {
    try {
      return await action();
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}
