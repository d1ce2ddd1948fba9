// Every place where a ceremony can be cut off: the origin dies there of SIGKILL, once, and what it left behind is looked
// at. A point names the fault, the state to begin from, who does what until the end, and what must hold afterwards.

import assert from "node:assert/strict";
import { cancel, destroy, init, open, recordsDue, reencrypt, reshare, rotate } from "./ceremonies.mjs";
import { assertConsistent, readTables } from "./invariants.mjs";
import { PEOPLE, Unreachable, nobodysCard } from "./stand.mjs";
import { CARD } from "./shopper.mjs";

const NEW = { threshold: 3, custodians: PEOPLE.slice(3) };
const OTHER_CARDS = ["401234567890123", "401234567890567"].map(nobodysCard);

/** State at the start of a point, by name; each is made from the one before it. Nobody has the database open. */
export async function makeTemplates(ground, kind) {
  const dealt = await grow(ground, kind, undefined, init);
  const inUse = await makeOpenTemplate(ground, kind, dealt);
  const rotated = await grow(ground, kind, inUse, async (stand) => {
    await open(stand);
    await rotate(stand, "data");
    await rotate(stand, "fingerprint");
  });
  const moved = await grow(ground, kind, rotated, async (stand) => {
    await open(stand);
    await reencrypt(stand);
  });
  return { empty: undefined, dealt, open: inUse, rotated, moved };
}

/** A vault in use: all shares proved, a merchant with secrets, cards. */
export function makeOpenTemplate(ground, kind, dealt) {
  return grow(ground, kind, dealt, async (stand) => {
    if (!dealt) await init(stand);
    await open(stand);
    await stand.addMerchant();
    for (const card of [CARD, ...OTHER_CARDS]) await stand.assertPays(card);
  });
}

async function grow(ground, kind, template, ceremony) {
  const stand = ground.stand(kind, template);
  await stand.start();
  await ceremony(stand);
  await stand.stop();
  // Once: while somebody reads, PostgreSQL makes no copy.
  stand.records = (await readTables(stand.database)).records;
  return stand;
}

const PLAIN = (more) => (stand) => reshare(stand, { ...NEW, ...more });
const COMPROMISED = (more) => PLAIN({ compromised: true, ...more });
/** What is to be seen of a re-share: its stage, and who has proved. */
const authorising = { reshare: ["authorising"] };
const proving = (n) => ({ reshare: ["proving", ...NEW.custodians.slice(0, n)] });
const inEffect = (keys = {}) => ({ generation: 1, ...keys });
const key2 = (...kinds) => Object.fromEntries(kinds.map((kind) => [kind, 2]));
const RENEWED = key2("data", "fingerprint", "token", "page", "audit", "rejection", "backup", "attempt");

/** fault, state at the start, what is done, what must be there after the crash. `after`: `undefined` to go on to the end,
 * or another ceremony that must be possible. `end`: what must be there then. `second`: on PostgreSQL a second process,
 * unsealed, sees it all. `lease`: the job's lease is waited for, not taken away. */
export const POINTS = [
  ...of("init", "empty", init, [
    ["init.written", { initialized: false }],
    ["init.committed", { unproved: [1, 2, 3] }],
  ], { unproved: [1, 2, 3] }),

  ...of("unseal and proofs", "dealt", open, [
    ["unseal.taken", { unproved: [1, 2, 3] }],
    ["proof.written", { unproved: [1, 2, 3] }],
    ["proof.committed", { unproved: [2, 3] }],
    ["unseal.noted", { unproved: [2, 3] }],
    ["unseal.taken:2", { unproved: [2, 3] }],
    ["proof.written:2", { unproved: [2, 3] }],
    ["proof.committed:2", { unproved: [3] }],
    ["unseal.noted:2", { unproved: [3] }],
    ["proof.written:3", { unproved: [3] }],
    ["proof.committed:3", {}],
  ], {}),

  ...of("re-share", "open", PLAIN(), [
    ["reshare.start.written", {}],
    ["reshare.started", authorising],
    ["reshare.started", authorising, { after: cancel }],
    ["reshare.share.taken", authorising],
    ["reshare.share.taken:2", authorising],
    ["reshare.share.taken:2", authorising, { after: cancel }],
    ["reshare.deal.written", authorising],
    ["reshare.dealt", proving(0)],
    ["reshare.dealt", proving(0), { after: cancel }],
    ["reshare.prove.written", proving(0)],
    ["reshare.proved", proving(1)],
    ["reshare.prove.written:3", proving(2)],
    ["reshare.proved:3", proving(3)],
    ["reshare.proved:3", proving(3), { after: cancel }],
    ["reshare.switch.written", proving(3), { second: true }],
    ["reshare.prove.written:4", proving(3)],
    ["reshare.proved:4", inEffect(), { second: true }],
  ], inEffect()),

  ...of("re-share after a compromise", "open", COMPROMISED(), [
    ["reshare.deal.written", authorising],
    ["reshare.dealt", proving(0)],
    ["reshare.dealt", proving(0), { after: cancel }],
    ["reshare.prove.written:3", proving(2)],
    ["reshare.switch.written", proving(3), { second: true }],
    ["reshare.prove.written:4", proving(3)],
    ["reshare.proved:4", inEffect({ ...RENEWED, job: "running" }), { second: true }],
  ], inEffect({ ...RENEWED, job: "done" })),

  ...of("cancel before the dealing", "open", (stand) => PLAIN({ stage: "started" })(stand).then(() => cancel(stand)), [
    ["reshare.cancel.written", authorising, { after: cancel }],
    ["reshare.cancelled", {}, { after: cancel }],
  ], {}),

  ...of("cancel after the dealing", "open", (stand) => PLAIN({ stage: "dealt" })(stand).then(() => cancel(stand)), [
    ["reshare.share.taken:3", proving(0), { after: cancel }],
    ["reshare.share.taken:4", proving(0), { after: cancel }],
    ["reshare.cancel.written", proving(0), { after: cancel }],
    ["reshare.cancel.written", proving(0), { after: PLAIN(), end: inEffect() }],
    ["reshare.cancelled", {}, { after: cancel }],
  ], {}),

  ...of("cancel after a compromise", "open", (stand) => COMPROMISED({ stage: "dealt" })(stand).then(() => cancel(stand)), [
    ["reshare.cancel.written", proving(0), { after: cancel }],
    ["reshare.cancelled", {}, { after: cancel }],
  ], {}),

  ...["data", "page", "fingerprint"].flatMap((kind) =>
    of(`rotate ${kind}`, "open", (stand) => rotate(stand, kind), [
      ["rotate.written", {}],
      ["rotate.committed", key2(kind), { second: true }],
    ], key2(kind)),
  ),

  ...of("re-encryption", "rotated", (stand) => reencrypt(stand, { rate: 2 }), [
    ["reencrypt.start.written", {}],
    ["reencrypt.started", { job: "running" }],
    ["reencrypt.batch.written", { job: "running" }],
    ["reencrypt.batch.written:3", { job: "running" }],
    ["reencrypt.batch.committed", { job: "running" }, { lease: true }],
    ["reencrypt.batch.committed:2", { job: "running" }],
    ["reencrypt.batch.committed:4", { job: "running" }],
    ["reencrypt.finish.written", { job: "running" }],
    ["reencrypt.finished", { job: "done" }],
  ].map(([fault, held, more]) => [fault, { ...key2("data", "fingerprint"), ...held }, more]), { ...key2("data", "fingerprint"), job: "done" }),

  ...of("destroy", "moved", destroy, [
    ["destroy.request.written", {}],
    ["destroy.requested", {}, { after: (stand) => destroy(stand, { requested: true }) }],
    ["destroy.written", {}, { after: (stand) => destroy(stand, { requested: true }) }],
    ["destroy.committed", { destroyed: ["data/1"] }],
  ].map(([fault, held, more]) => [fault, { ...key2("data", "fingerprint"), job: "done", ...held }, more]),
  { ...key2("data", "fingerprint"), job: "done", destroyed: ["data/1"] }),
];

function of(ceremony, from, act, points, end) {
  return points.map(([fault, held, more]) => {
    const after = more?.after ?? act;
    const ends = more?.end ?? (more?.after === cancel ? {} : end);
    return { ceremony, from, act, fault, held, ...more, after, end: ends, cancels: more?.after === cancel };
  });
}

export const nameOf = ({ ceremony, fault, cancels }) => `${ceremony}: ${fault}${cancels ? ", then cancelled" : ""}`;

/** One point: prepared, killed, looked at, gone on with, looked at again. */
export async function kill(ground, kind, templates, point) {
  const template = templates[point.from];
  const stand = ground.stand(kind, template);
  try {
    const before = template?.records;
    const second = point.second === true && kind === "postgres";
    await stand.start({ fault: point.fault });
    if (template && point.from !== "dealt") await open(stand, { from: 1 });
    if (second) await startSecond(stand);
    await dieOf(stand, point);
    const tables = await readTables(stand.database);
    assertConsistent(tables);
    if (template) assert.deepEqual(tables.records, before, "no record is lost, none is there twice");
    if (second) await assertSecondGoesOn(stand, point);
    if (!point.lease && tables.of("job")[0]?.a === "running") {
      stand.database.write("UPDATE vault_reencryption SET lease_until_ms = 0");
    }
    await stand.start();
    await assertHeld(stand, point.held);
    await recover(stand, point);
    await goOn(stand, point);
    await stand.stop();
    const last = await readTables(stand.database);
    assertConsistent(last);
    if (before) assert.deepEqual(last.records, before, "no record is lost, none is there twice");
  } finally {
    await stand.close();
  }
}

/** The ceremony, until nobody answers: the process died at that place, by that signal, and not before. */
async function dieOf(stand, { act, fault }) {
  await assert.rejects(act(stand), Unreachable);
  await stand.origin.ended;
  assert.equal(stand.origin.how, "SIGKILL");
  const deaths = stand.log().split("\n").filter((line) => line.includes('"fault"')).map((line) => JSON.parse(line).point);
  assert.deepEqual(deaths, [fault.split(":")[0]], "it died once, and there");
}

/** Exactly what was committed is there: what is not named in `held` is as it was at the start. */
async function assertHeld(stand, held) {
  const status = await stand.status();
  const { initialized = true, generation = 0, reshare: stage = null, unproved = [], job = null, destroyed = [], ...keys } = held;
  assert.deepEqual([status.initialized, status.sealed, status.progress], [initialized, true, 0], "it comes up sealed, without a share");
  if (!initialized) return;
  assert.deepEqual([status.generation, status.unproved], [generation, unproved]);
  const { reshare: seen = null } = status;
  const proved = seen?.custodians.filter(({ proved }) => proved).map(({ custodian }) => custodian) ?? [];
  assert.deepEqual(seen && [seen.stage, ...proved], stage);
  assert.equal(seen?.authorityGiven ?? null, null, "shares that were entered are to be entered again");
  assertKeys(status, keys, destroyed);
  assert.equal(status.reencryption?.state ?? null, job);
}

function assertKeys(status, keys, destroyed) {
  for (const { kind, id } of status.keys.filter(({ state }) => state === "active")) {
    assert.equal(id, keys[kind] ?? 1, `the ${kind} key in use`);
  }
  assert.deepEqual(status.keys.filter(({ state }) => state === "destroyed").map(({ kind, id }) => `${kind}/${id}`), destroyed);
}

/** A threshold of the shares in effect opens it; those of any other set are refused by name; cards that were there are
 * there, and every secret opens. */
async function recover(stand, { held, from }) {
  if (held.initialized === false) return;
  const { generation, reshare: ceremony } = await stand.status();
  if (from === "empty") await init(stand);
  if (ceremony?.stage === "proving") {
    await stand.learn({ generation: ceremony.generation, threshold: ceremony.threshold, reshare: true });
  }
  for (const other of Object.values(stand.sets).filter((set) => set.generation !== generation)) {
    const [share] = Object.values(other.shares);
    const said = await stand.refused(["vault", "unseal", "--share-file", share]);
    const named = other.generation < generation
      ? `this share is of re-share ${other.generation}; re-share ${generation} has replaced it`
      : `this share is of re-share ${other.generation}, which is not in effect; the vault is at ${generation}`;
    assert.equal(said, `scanvault: ${named}`);
    assert.equal((await stand.status()).progress, 0);
  }
  await open(stand, { from: 2 });
  if (stand.merchant) await stand.assertPays();
}

/** The ceremony comes to its end; then everything holds as if nothing had happened. */
async function goOn(stand, { after, end, from, held }) {
  await after(stand);
  if (held.initialized === false) await open(stand);
  let status = await stand.status();
  if (status.sealed) {
    assert.ok(end.job, "only after a compromise it is sealed by itself");
    await open(stand);
  }
  if (end.job === "done" && (await recordsDue(stand)) > 0) await reencrypt(stand);
  status = await stand.status();
  const { generation = 0, unproved: _, job = null, destroyed = [], ...keys } = end;
  assert.deepEqual([status.generation, status.reshare ?? null, status.unproved, status.takesCards], [generation, null, [], true]);
  if (job) assert.equal(status.reencryption.state, job);
  assertKeys(status, keys, destroyed);
  if (from !== "empty" && stand.merchant) for (const card of OTHER_CARDS) await stand.assertPays(card);
  await stand.cli(["audit", "verify"]);
}

async function startSecond(stand) {
  await stand.start({ process: "second" });
  await open(stand, { process: "second" });
}

/** It was open when the first one died, and has been told nothing. */
async function assertSecondGoesOn(stand, { ceremony, held }) {
  const status = await stand.status({ process: "second" });
  const isRekeyed = ceremony === "re-share after a compromise" && held.generation === 1;
  assert.deepEqual([status.generation, status.sealed], [held.generation ?? 0, isRekeyed], "it has reloaded");
  assertKeys(status, Object.fromEntries(Object.entries(held).filter(([name]) => name in RENEWED)), []);
  const answer = isRekeyed ? await stand.pay(CARD, { process: "second" }) : await stand.assertPays(CARD, { process: "second" });
  if (isRekeyed) assert.equal(answer.status, 503);
  await stand.stop("SIGTERM", "second");
}
