// What stands in the origin's memory, and what must not: looked for while a vault is made, opened, used and sealed.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Needles, dump, whyNotReadable } from "../../scripts/lib/process-memory.mjs";
import { openVault, combine, parseShare, readVault, shareSymbols } from "../../scripts/lib/vault-open.mjs";
import { formsOf } from "./leaks.mjs";
import { CUSTODIANS, until } from "./world.mjs";

/** After so long at most, what has been used must be gone. */
const GONE_WITHIN_S = 10;
const PIECE = 4 << 20;

export { whyNotReadable };

export class MemoryScan {
  counts = { scans: 0, mebibytes: 0, needles: 0, absent: 0, present: 0 };

  constructor(world, say = () => {}) {
    this.world = world;
    this.say = say;
  }

  get pid() {
    return this.world.originProcess.pid;
  }

  /** One look; the names of what was found, each with the places. */
  look(needles) {
    const { read, found } = needles.inProcess(this.pid);
    this.counts.scans += 1;
    this.counts.mebibytes += Math.round(read / (1 << 20));
    return found;
  }

  /** Looks until nothing is found any more. */
  async absent(what, needles) {
    const deadline = performance.now() + GONE_WITHIN_S * 1000;
    let found = this.look(needles);
    while (found.length > 0 && performance.now() < deadline) {
      await pause(200);
      found = this.look(needles);
    }
    const places = found.map(({ name, address, mapping }) => `${name} at ${address.toString(16)} (${mapping})`);
    assert.deepEqual(places, [], `${what}: still in memory after ${GONE_WITHIN_S} s`);
    this.counts.absent += 1;
    this.counts.needles += needles.count;
    this.say(`gone     ${what} (${needles.count} needles)`);
  }

  /** Every one of them is there: a scan that finds nothing has been able to find something. */
  present(what, needles, names) {
    const found = this.look(needles);
    const missing = names.filter((name) => !found.some((one) => one.name === name));
    assert.deepEqual(missing, [], `${what}: the scan does not find what is certainly there`);
    this.counts.present += 1;
    this.say(`present  ${what} (${found.length} places)`);
    return found;
  }

  /** As a core would be taken: all memory in a file, and the file searched. */
  dumped(what, absent, present) {
    const file = this.world.at("memory.dump");
    const size = dump(this.pid, file);
    const bytes = readFileSync(file);
    rmSync(file);
    assert.equal(bytes.length, size);
    const found = { absent: [], present: [] };
    for (let from = 0; from < size; from += PIECE) {
      const piece = bytes.subarray(from, from + PIECE + 1024);
      found.absent.push(...absent.inBytes(piece));
      found.present.push(...present.inBytes(piece));
    }
    assert.deepEqual(found.absent.map(({ name, at }) => `${name} at ${at}`), [], `${what}: found in the dump`);
    assert.ok(found.present.length > 0, `${what}: the marker is not in the dump`);
    this.counts.absent += 1;
    this.counts.needles += absent.count;
    this.say(`gone     ${what} (${absent.count} needles, ${Math.round(size / (1 << 20))} MiB)`);
  }
}

// --- Needles ---------------------------------------------------------------------------------------------------------

/** A share's text, and any 16 symbols of what is secret in it; its bytes too, in every encoding. */
export function shareNeedles(needles, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const { y } = parseShare(text);
    // The symbols before these hold version, set id and index, which are public.
    const grouped = text.trim().slice(text.indexOf("-") + 1 + 36);
    const symbols = grouped.replaceAll("-", "");
    for (const run of [...windows(grouped, 20), ...windows(symbols, 16)]) {
      for (const form of [run, run.toUpperCase()]) needles.add(`share of ${name}, text`, form);
    }
    for (const run of windows(symbols, 16)) for (const form of formsOf(Buffer.from(run))) needles.add(`share of ${name}, encoded text`, form);
    for (const run of windows(Buffer.from(shareSymbols(text).slice(34)), 16)) needles.add(`share of ${name}, symbol values`, run);
    for (const form of formsOf(y)) needles.add(`share of ${name}, encoded`, form);
    for (const half of halves(y)) needles.add(`share of ${name}`, half);
  }
  return needles;
}

/** Number, security code and name, as they stand in the page's JSON, in the acquirer's form, and by themselves. */
export function cardNeedles(needles, { pan, csc, name }) {
  const groups = pan.match(/.{4}/g);
  for (const gap of [" ", "-", "+", "%20", "\u0000"]) needles.add(`number ${pan}, grouped`, groups.join(gap));
  // First six and last four may be shown, side by side too; nothing between them.
  const shown = pan.slice(0, 6) + pan.slice(-4);
  for (const run of windows(pan, 10)) if (run !== shown) needles.add(`number ${pan}`, run);
  for (const form of formsOf(Buffer.from(pan))) needles.add(`number ${pan}, encoded`, form);
  needles.add(`number ${pan}, as decimals in binary`, Buffer.from(pan, "hex"));
  needles.add(`number ${pan}, as digits' values`, Buffer.from([...pan].map(Number)));
  for (const form of [`"csc":"${csc}"`, `[csc]=${csc}`, `%5Bcsc%5D=${csc}`, `csc: "${csc}`, `"cvc":"${csc}"`]) needles.add(`security code ${csc}`, form);
  for (const form of formsOf(Buffer.from(`"csc":"${csc}"`))) needles.add(`security code ${csc}, encoded`, form);
  if (name) for (const form of formsOf(Buffer.from(name))) needles.add(`name ${name}`, form);
  return needles;
}

/** Keys as bytes, any half of one, and in the two byte orders of a big number. */
export function keyNeedles(needles, keys) {
  for (const [name, key] of Object.entries(keys)) {
    for (const half of [...halves(key), ...halves(Buffer.from(key).reverse())]) needles.add(name, half);
    for (const form of formsOf(key)) needles.add(`${name}, encoded`, form);
  }
  return needles;
}

export const halves = (bytes) => [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];

function windows(whole, length) {
  const step = 4;
  return Array.from({ length: Math.floor((whole.length - length) / step) + 1 }, (_, at) => whole.slice(at * step, at * step + length));
}

/** All keys of the vault by name, worked out from shares and database by the second implementation. */
export function keysOf(world, names = CUSTODIANS.slice(0, 2)) {
  const stored = readVault((sql) => world.database.rows(sql));
  const shares = names.map((name) => parseShare(readFileSync(world.shareFile(name), "utf8")));
  const { unsealKey, root, ring } = openVault(stored, combine(shares.slice(0, stored.shareSet.threshold)));
  const named = ring.map(({ kind, id, material }) => [`${kind} key ${id}`, material]);
  return { unsealKey, root, ring: Object.fromEntries(named), setId: Buffer.from(stored.shareSet.setId, "hex") };
}

// --- The way of a vault ----------------------------------------------------------------------------------------------

const PANS = ["4012345678909876", "4000056655665556", "5200828282828210", "4917610000000000", "4242420000004242"];
const card = (n) => ({ pan: PANS[n % PANS.length], exp: "1230", csc: String(731 + n), name: `Zephyrine Okonkwo-${n}` });

/** From a vault that is not made yet to one that is sealed again. */
export async function scanLife(world, { payments = 2, rounds = 1, say = () => {} } = {}) {
  const scan = new MemoryScan(world, say);
  await world.init();
  const texts = Object.fromEntries(CUSTODIANS.map((name) => [name, readFileSync(world.shareFile(name), "utf8").trim()]));
  const shares = shareNeedles(new Needles(), texts);
  await scan.absent("after init: every share", shares);
  let merchant;
  const cards = new Needles();
  for (let round = 0; round < rounds; round += 1) {
    await open(scan, texts, shares);
    merchant ??= await world.merchant("merchant-31");
    await payHeld(scan, merchant, card(round));
    for (let n = 0; n < payments; n += 1) {
      cardNeedles(cards, card(round + n));
      assert.equal((await world.pay((await world.code(merchant)).code, card(round + n))).status, 200);
    }
    await scan.absent("unsealed, after payments: number, security code, name", cardNeedles(cards, card(round)));
    await scan.absent("unsealed: every share", shares);
    await sealed(scan, shares, cards);
  }
  return scan.counts;
}

/** Unseals share by share; what is needed is there, and nothing else. */
async function open(scan, texts, shares) {
  const { world } = scan;
  const [first, second] = CUSTODIANS;
  const collected = shareNeedles(new Needles(), { [first]: texts[first] });
  await world.cli("vault", "unseal", "--share-file", world.shareFile(first));
  scan.present("a share that waits for the next one", collected, [`share of ${first}`]);
  await world.cli("vault", "unseal", "--share-file", world.shareFile(second));
  const late = await world.scanvault(["vault", "unseal", "--share-file", world.shareFile(CUSTODIANS[2])]);
  assert.equal(late.code, 1, "it is open already");
  await scan.absent("after unsealing: every share", shares);
  const { unsealKey, root, ring, setId } = keysOf(world);
  await scan.absent("after unsealing: the unseal key", keyNeedles(new Needles(), { "unseal key": unsealKey }));
  const open = { "root key": root, ...ring };
  const found = scan.present("the open keys", keyNeedles(new Needles(), open), ["root key", "data key 1", "fingerprint key 1"]);
  // AWS-LC holds the page key in memory of its own.
  const outside = found.filter(({ name, isKeyPages }) => !isKeyPages && !name.startsWith("page key"));
  scan.strays = outside.map(({ name, mapping }) => `${name} in ${mapping}`);
  scan.marker = new Needles().add("set id", setId);
  scan.keys = keyNeedles(new Needles(), { "unseal key": unsealKey, ...open });
}

/** While the acquirer has not answered, the card must be there; or the scan is blind to it. */
async function payHeld(scan, merchant, one) {
  const { world } = scan;
  const { code } = await world.code(merchant, "12.34");
  await world.fault({ match: { kind: "authorization", amount: 1234 }, fault: "delay", delay_ms: 3_000 });
  const asked = async () => (await world.book()).filter(({ kind, amount }) => kind === "authorization" && amount === 1234).length;
  const before = await asked();
  const paying = world.pay(code, one);
  await until("the authorisation is under way", async () => (await asked()) > before, { seconds: 5 });
  scan.present("a card that is being used", cardNeedles(new Needles(), one), [`number ${one.pan}`, `security code ${one.csc}`]);
  assert.equal((await paying).status, 200);
}

async function sealed(scan, shares, cards) {
  await scan.world.cli("vault", "seal");
  await scan.absent("sealed: unseal key, root key, every key of the ring", scan.keys);
  await scan.absent("sealed: every share", shares);
  await scan.absent("sealed: every card", cards);
  scan.present("sealed: what is public", scan.marker, ["set id"]);
  const all = [scan.keys, shares, cards];
  for (const needles of all) scan.dumped("sealed, all memory written to a file", needles, scan.marker);
}
