// What stands in the origin's memory, and what must not: looked for while a vault is made, opened, used and sealed.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { Needles, dump, whyNotReadable } from "../../scripts/lib/process-memory.mjs";
import { combine, openVault, parseShare, readVault, shareSymbols } from "../../scripts/lib/vault-open.mjs";
import { connect } from "../../docs/internal-client.mjs";
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

/** What the acquirer knows a merchant by: it is opened for a call. */
function credentialNeedles(world) {
  const needles = new Needles();
  const [apiKey, pem] = ["api-key.txt", "signing-key.pem"].map((name) => readFileSync(world.at("credentials", name), "utf8"));
  for (const form of [...formsOf(Buffer.from(apiKey.trim())), Buffer.from(`${apiKey.trim()}:`).toString("base64")]) needles.add("API key of the acquirer", form);
  const lines = pem.split("\n").filter((line) => line.length === 64);
  const der = Buffer.from(lines.join(""), "base64");
  for (const line of lines.slice(8)) needles.add("signing key, PEM", line);
  for (const part of windows(der.subarray(320), 32, 32)) for (const order of [part, Buffer.from(part).reverse()]) needles.add("signing key", order);
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

function windows(whole, length, step = 4) {
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

/** Numbers that are nobody's: their check digit is wrong, which the test gateway takes. */
function card(n) {
  const digits = `40128888${String(10_203_04 + 7 * n).padStart(7, "0")}`;
  const sum = [...digits].reverse().map(Number).reduce((total, digit, at) => total + (at % 2 ? digit : digit > 4 ? 2 * digit - 9 : 2 * digit), 0);
  return { pan: `${digits}${(10 - (sum % 10) + 5) % 10}`, exp: "1230", csc: String(731 + (n % 200)), name: `Zephyrine Okonkwo-${n}` };
}
/** A good check digit: the test gateway declines, so that nothing follows on the connection that carried the card. */
const DECLINED = { pan: "4000056655665556", exp: "1230", csc: "964", name: "Ottoline Featherstonehaugh" };

/** From a vault that is not made yet to one that is sealed again. */
export async function scanLife(world, { payments = 2, rounds = 1, say = () => {} } = {}) {
  const scan = new MemoryScan(world, say);
  await world.init();
  const texts = Object.fromEntries(CUSTODIANS.map((name) => [name, readFileSync(world.shareFile(name), "utf8").trim()]));
  const shares = shareNeedles(new Needles(), texts);
  await scan.absent("after init: every share", shares);
  let merchant;
  const cards = cardNeedles(new Needles(), DECLINED);
  for (let round = 0; round < rounds; round += 1) {
    const late = await open(scan, texts, shares);
    merchant ??= await world.merchant("merchant-31");
    await payHeld(scan, merchant, cards, card(round * 100));
    await Promise.all(Array.from({ length: payments }, (_, n) => pay(scan, merchant, cards, card(round * 100 + n + 1), "paid")));
    await scan.absent("unsealed, after payments: number, security code, name", cards);
    await storeAndRead(scan, cards, card(round * 100 + 50));
    await pay(scan, merchant, cards, DECLINED, "declined");
    await scan.absent("unsealed, after a refusal: number, security code, name", cards);
    await scan.absent("unsealed, after a refusal: the acquirer's credentials", credentialNeedles(world));
    await scan.absent("unsealed: every share", shares);
    late.destroy();
    await sealed(scan, shares, cards);
  }
  return scan.counts;
}

async function pay({ world }, merchant, cards, one, state) {
  cardNeedles(cards, one);
  const { code } = await world.code(merchant);
  const answer = await world.pay(code, one);
  assert.equal(JSON.parse(answer.body).state, state, answer.body.toString());
}

/** Another system stores a card and reads it; its connection stays open meanwhile, and carries sealed text only. */
async function storeAndRead(scan, cards, one) {
  const { world } = scan;
  cardNeedles(cards, one);
  const vault = await internalClient(world);
  const { token } = await vault.store({ pan: one.pan, exp: one.exp, name: one.name });
  assert.equal((await vault.read(token, "memory scan")).pan, one.pan);
  await scan.absent("unsealed, after a store and a read by another system: number and name", cards);
  vault.close();
}

async function internalClient(world) {
  if (!world.internalKey) {
    world.internalKey = { id: "billing-1", secret: randomBytes(32) };
    appendFileSync(world.at("link-keys"), `billing-1 ${world.internalKey.secret.toString("base64")} billing\n`);
    await world.cli("account", "create", "billing", "--role", "INTERNAL");
    process.kill(world.originProcess.pid, "SIGHUP");
  }
  const settings = { url: world.origin, ca: world.ca, region: "a", account: "billing", key: world.internalKey };
  // The key file is read again a moment after the signal.
  return until("the internal key is known", () => connect(settings).catch(() => undefined), { seconds: 5 });
}

/** Unseals share by share; what is needed is there, and nothing else. */
async function open(scan, texts, shares) {
  const { world } = scan;
  const [first, second] = CUSTODIANS;
  const collected = shareNeedles(new Needles(), { [first]: texts[first] });
  await world.cli("vault", "unseal", "--share-file", world.shareFile(first));
  scan.present("a share that waits for the next one", collected, [`share of ${first}`]);
  await world.cli("vault", "unseal", "--share-file", world.shareFile(second));
  await world.cli("vault", "prove", "--share-file", world.shareFile(CUSTODIANS[2]));
  const late = await handInAndStay(world, texts[CUSTODIANS[2]]);
  await scan.absent("after unsealing: every share", shares);
  const { unsealKey, root, ring, setId } = keysOf(world);
  await scan.absent("after unsealing: the unseal key", keyNeedles(new Needles(), { "unseal key": unsealKey }));
  const open = { "root key": root, ...ring };
  const found = scan.present("the open keys", keyNeedles(new Needles(), open), ["root key", "data key 1", "fingerprint key 1"]);
  if ((await world.status()).memory.keyPagesLocked) {
    // AWS-LC holds the page key in memory of its own.
    const outside = found.filter(({ name, isKeyPages }) => !isKeyPages && !name.startsWith("page key"));
    assert.deepEqual(outside, [], "keys are in locked pages and nowhere else");
  }
  scan.marker = new Needles().add("set id", setId);
  scan.keys = keyNeedles(new Needles(), { "unseal key": unsealKey, ...open });
  return late;
}

/** Gives a share over a connection that its client does not close; answers the way to close it. */
async function handInAndStay(world, share) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = (method, path, body) => new Promise((done, failed) => {
    const headers = { host: "admin", "content-type": "application/json" };
    request({ agent, socketPath: world.socket, method, path, headers }, (answer) => answer.resume().on("end", () => done(answer.statusCode))).on("error", failed).end(body);
  });
  assert.equal(await send("POST", "/vault/unseal", JSON.stringify({ share })), 409, "it is open already");
  return agent;
}

/** While the acquirer has not answered, the card must be there; or the scan is blind to it. */
async function payHeld(scan, merchant, cards, one) {
  const { world } = scan;
  cardNeedles(cards, one);
  const { code } = await world.code(merchant, "12.34");
  await world.fault({ match: { kind: "authorization", amount: 1234 }, fault: "delay", delay_ms: 3_000 });
  const asked = async () => (await world.book()).filter(({ kind, amount }) => kind === "authorization" && amount === 1234).length;
  const before = await asked();
  const paying = world.pay(code, one);
  await until("the authorisation is under way", async () => (await asked()) > before, { seconds: 5 });
  scan.present("a card that is being used", cardNeedles(new Needles(), one), [`number ${one.pan}`, `security code ${one.csc}`]);
  scan.present("the acquirer's credentials, in use", credentialNeedles(world), ["API key of the acquirer"]);
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
