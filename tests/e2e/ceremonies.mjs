// The vault's ceremonies, as people go through them: each looks where it stands and does what is still to be done. The
// same functions begin a ceremony and go on with it after a crash.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { FIRST_SET } from "./stand.mjs";

export async function init(stand) {
  if (!(await stand.status()).initialized) {
    const out = mkdtempSync(stand.at("dealt-"));
    await stand.cli(["vault", "init", "--threshold", String(FIRST_SET.threshold), ...stand.custodians(FIRST_SET.custodians), "--out", out]);
  }
  await stand.learn({ generation: 0, threshold: FIRST_SET.threshold });
}

/** Opens it with as many shares as are needed, and lets everybody prove theirs who has not. `from`: which custodian
 * comes first. */
export async function open(stand, { process, from = 0 } = {}) {
  let status = await stand.status({ process });
  const { threshold, shares } = stand.sets[status.generation];
  const names = Object.keys(shares);
  const order = [...names.slice(from % names.length), ...names.slice(0, from % names.length)];
  for (const name of status.sealed ? order.slice(0, threshold) : []) {
    status = await stand.cli(["vault", "unseal", "--share-file", shares[name]], { process });
  }
  for (const { custodian } of status.custodians.filter(({ proved }) => !proved)) {
    status = await stand.cli(["vault", "prove", "--share-file", shares[custodian]], { process });
  }
  assert.deepEqual([status.sealed, status.takesCards], [false, true]);
}

/** New custodians up to `generation`. What is stored is not done again: a share that is proved, what was dealt. */
export async function reshare(stand, { generation = 1, threshold = 3, custodians, compromised = false, stage } = {}) {
  const status = await stand.status();
  if (status.generation >= generation) return;
  let ceremony = status.reshare;
  if (!ceremony) {
    const args = ["--threshold", String(threshold), ...stand.custodians(custodians), ...(compromised ? ["--compromised"] : [])];
    ceremony = (await stand.cli(["vault", "reshare", "start", ...args])).reshare;
    delete stand.sets[status.generation + 1]; // dealt once, and cancelled
  }
  if (stage === "started") return;
  if (ceremony.stage === "authorising") {
    ceremony = await authorise(stand, "submit", ceremony, ["--out", mkdtempSync(stand.at("dealt-"))]);
  }
  assert.equal(ceremony.stage, "proving");
  const { shares } = await stand.learn({ generation: ceremony.generation, threshold: ceremony.threshold, reshare: true });
  if (stage === "dealt") return;
  for (const { custodian } of ceremony.custodians.filter(({ proved }) => !proved)) {
    await stand.cli(["vault", "reshare", "prove", "--nonce", ceremony.nonce, "--share-file", shares[custodian]]);
  }
}

/** Ends a re-share: by a word before the dealing, by a threshold of the present shares after it. */
export async function cancel(stand) {
  const { reshare: ceremony } = await stand.status();
  if (ceremony?.stage === "authorising") await stand.cli(["vault", "reshare", "cancel", "--nonce", ceremony.nonce]);
  if (ceremony?.stage === "proving") {
    assert.equal(await authorise(stand, "cancel", ceremony, ["--authorise"]), null);
    delete stand.sets[ceremony.generation];
  }
}

/** A new key, unless there is one of that number already. */
export async function rotate(stand, kind, id = 2) {
  if (!hasKey(await stand.status(), kind, id)) assert.equal((await stand.cli(["vault", "rotate", kind])).id, id);
}

/** Starts it, unless it is under way or there is nothing to do, and waits for its end. */
export async function reencrypt(stand, { rate = 1000 } = {}) {
  const { reencryption } = await stand.status();
  if (reencryption?.state === "done" && (await recordsDue(stand)) === 0) return;
  const isRunning = reencryption?.state === "running";
  const { reencryption: job } = await stand.cli(["vault", "reencrypt", "--wait", ...(isRunning ? ["--show"] : ["--rate", String(rate)])], { seconds: 90 });
  assert.deepEqual([job.state, job.failed], ["done", 0]);
  assert.equal(await recordsDue(stand), 0);
}

/** Two operators say it. A first word that is kept is not said again. */
export async function destroy(stand, { kind = "data", id = 1, requested = false } = {}) {
  const isDestroyed = async () => (await stand.status()).keys.some((key) => key.kind === kind && key.id === id && key.state === "destroyed");
  if (await isDestroyed()) return;
  if (!requested) await stand.cli(["vault", "destroy", `${kind}/${id}`]);
  await stand.cli(["vault", "destroy", `${kind}/${id}`], { operator: "second" });
  assert.ok(await isDestroyed());
}

export const hasKey = (status, kind, id) => status.keys.some((key) => key.kind === kind && key.id === id);

/** Records under keys that are not in use. */
export async function recordsDue(stand) {
  const { keys } = await stand.cli(["vault", "keys"]);
  return keys.filter(({ state }) => state !== "active").reduce((sum, { records = 0 }) => sum + records, 0);
}

/** A threshold of the present shares, each from its custodian; answers the re-share after the last one. */
async function authorise(stand, step, { nonce }, args) {
  const { generation } = await stand.status();
  const { threshold, shares } = stand.sets[generation];
  let answer;
  for (const file of Object.values(shares).slice(0, threshold)) {
    answer = await stand.cli(["vault", "reshare", step, "--nonce", nonce, "--share-file", file, ...args]);
  }
  return answer.reshare;
}
