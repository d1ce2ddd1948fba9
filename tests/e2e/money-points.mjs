// Every place where money can be cut off: the origin dies there of SIGKILL, once, and what it left behind comes to its end.
// A row names the file and the fault, what is done, and as what the transactions end; everything else is held against the
// acquirer's book, MobilePay's, the feed, the codes and what the merchant was told.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { CHALLENGED, CHALLENGED_AT_ONCE, PROVEN, Visit } from "./parties.mjs";
import { CARD } from "./shopper.mjs";
import { until } from "./world.mjs";

const AMOUNT = 1_200;
/** With this number the amount is the outcome; of this one nobody knows what became of it, and it can be voided. */
const MAGIC = { ...CARD, pan: "4200000000000000" };
const NOBODY_KNOWS = 50_000;

/** As what a transaction ends: its state, what was taken and given back in parts of its amount, what its acquirer has
 * booked, and what the merchant was told. */
const ENDS = {
  paid: { state: "authorised", captured: 1, booked: ["authorization", "capture"], told: ["SUCCESS"] },
  /** The shopper may have been told that it was not paid: what is held is never taken. */
  lost: { state: "lost", booked: [], told: ["END_BANK_ERROR"] },
  lostAndHeld: { state: "lost", booked: ["authorization"], told: ["END_BANK_ERROR"] },
  voided: { state: "voided", booked: ["authorization", "void"], told: ["END_REVERSED"] },
  /** The receiver has said its word, or the merchant has taken theirs back. */
  toldAndVoided: { state: "voided", booked: ["authorization", "void"], told: ["SUCCESS", "END_REVERSED"] },
  refunded: { state: "authorised", captured: 1, refunded: 1, booked: ["authorization", "capture", "refund"], told: ["SUCCESS", "END_REFUNDED"] },
  reversed: { state: "authorised", captured: 1, refunded: 1, booked: ["authorization", "capture", "refund"], told: ["SUCCESS", "END_REVERSED"] },
  cancelled: { state: "cancelled", booked: [], told: ["END_CLIENT_CANCEL"] },
  expired: { state: "expired", booked: [], told: ["END_CLIENT_TIMEOUT"] },
  /** The acquirer's own error, and what could be given back of it was. */
  errorAndVoided: { state: "voided", booked: ["void"], told: ["END_BANK_ERROR", "END_REVERSED"] },
};

// --- What is done ----------------------------------------------------------------------------------------------------

/** A code, and its page. */
async function visitOf(world, merchant, amount = AMOUNT) {
  const reference = `ref-${randomBytes(8).toString("hex")}`;
  const { code } = await world.call("POST", "/pluto/code/create", merchant.pluto, { merchantReference: reference, amount: amount / 100 });
  const visit = new Visit(world.ask, code);
  assert.ok(await visit.open());
  return visit;
}

/** A payment on a code. `after`: the same page sends the same once more; a code that was not paid is paid by the next. */
const paying = (sort, { card, next = card, amount, prepare = () => {}, also = () => {}, back = false } = {}) => async (world) => {
  const merchant = world.merchants[sort];
  const visit = await visitOf(world, merchant, amount);
  await prepare(world, merchant);
  return {
    act: async () => {
      await visit.pay(card ?? merchant.card);
      await also(world, merchant, visit);
    },
    back: back && (() => visit.pay(card ?? merchant.card)),
    after: async (world, [first]) => {
      const said = await visit.pay(card ?? merchant.card);
      if (first?.state === "expired") assert.equal(said?.state, "declined", visit.problem);
      else assert.equal(said?.state, { authorised: "paid", lost: "unknown", voided: "declined" }[first?.state ?? "authorised"], visit.problem);
      if (said.state !== "paid") await payAgain(world, visit, next ?? merchant.card);
    },
  };
};

async function payAgain(world, { code }, card) {
  const next = new Visit(world.ask, code);
  assert.ok(await next.open(), "the code is free again");
  const said = await next.pay(card);
  assert.equal(said?.state, "paid", next.problem);
}

/** A merchant's call with a key. `after`: the same call, with its key, is answered for good; what was refused is asked for
 * again, with another. */
function keyed(world, merchant, path, body) {
  const ask = (key) => world.ask("POST", path, { ...merchant.v1, "idempotency-key": key }, body);
  const key = randomBytes(16).toString("base64url");
  return {
    act: () => ask(key),
    after: async () => {
      const answer = await ask(key);
      assert.equal(answer.headers["idempotency-status"], "OK", answer.body.toString());
      const again = await ask(key);
      assert.deepEqual([again.status, again.body], [answer.status, answer.body], "the same answer again");
      if (answer.status === 200) return;
      const other = await ask(randomBytes(16).toString("base64url"));
      assert.equal(other.status, 200, `${answer.body} ${other.body}`);
    },
  };
}

const total = (minor) => `${(minor / 100).toFixed(2)} DKK`;

/** A payment link that is paid and held. */
async function heldPayment(world, merchant) {
  const { url } = await world.call("POST", "/v1/new", merchant.v1, { orderid: "1", items: [{ name: "Thing", total: total(AMOUNT) }] });
  const visit = new Visit(world.ask, /\/Q\/(\d{10})/.exec(url)[1]);
  assert.ok(await visit.open());
  const said = await visit.pay(merchant.card);
  assert.equal(said?.state, "paid", visit.problem);
  return said.transactionId;
}

/** What a merchant does with a payment that is held, or taken. */
const acting = (sort, act) => async (world) => {
  const merchant = world.merchants[sort];
  const id = await heldPayment(world, merchant);
  const call = (act, body) => keyed(world, merchant, `/v1/transactions/${id}/${act}`, body);
  if (act === "void") return call("void", { index: 0 });
  const capture = call("capture", { total: total(AMOUNT), index: 0 });
  if (act === "capture") return capture;
  assert.equal((await capture.act()).status, 200);
  return call("refund", { total: total(AMOUNT), index: 1 });
};

/** Everything back by its name, whatever it takes. */
const reversing = (sort) => async (world) => {
  const merchant = world.merchants[sort];
  const visit = await visitOf(world, merchant);
  const { transactionId: id } = await visit.pay(merchant.card);
  const reverse = () => world.ask("DELETE", `/pluto/purchase/${id}`, merchant.pluto);
  return { act: reverse, after: async () => assert.equal((await reverse()).status, 200) };
};

/** A kept card is charged. */
const charging = (sort) => async (world) => {
  const merchant = world.merchants[sort];
  return keyed(world, merchant, `/v1/subscribers/${merchant.subscriber}/charge`, { orderid: "2", items: [{ name: "June", total: total(AMOUNT) }] });
};

async function subscribe(world, merchant) {
  if (merchant.subscriber) return;
  const { url } = await world.call("POST", "/v1/new", merchant.v1, { orderid: "1", subscriber: { ref: "1" } });
  const visit = new Visit(world.ask, /\/Q\/(\d{10})/.exec(url)[1]);
  assert.ok(await visit.open());
  assert.equal((await visit.pay(merchant.card))?.state, "paid", visit.problem);
  const [{ id }] = await world.database.rowsLater(`SELECT MAX(id) AS id FROM subscribers WHERE account = '${merchant.name}'`);
  merchant.subscriber = id;
}

/** MobilePay, to the press of its button. */
const withWallet = () => async (world) => {
  const visit = await visitOf(world, world.merchants.wallet);
  await visit.toWallet();
  return {
    isReady: true, // its payer is waited for
    act: () => visit.press(),
    after: async (world, [first]) => {
      const said = await visit.state();
      assert.equal(said.state, first.state === "authorised" ? "paid" : first.state === "lost" ? "unknown" : "declined", visit.problem);
      if (said.state === "paid") return;
      const next = new Visit(world.ask, visit.code);
      assert.ok(await next.open(), "the code is free again");
      await next.toWallet();
      await next.press();
      await until("it is paid", async () => (await next.state())?.state === "paid", { seconds: 60 });
    },
  };
};

/** An act whose answer is lost and which may be asked for again: it dies as it is about to. */
const repeating = (act, fault) => async (world) => {
  const merchant = world.merchants.nets;
  const { act: ask, after } = await acting("nets", act)(world);
  await world.fault(merchant.url, { match: { kind: { refund: "credit", void: "reversal" }[act] ?? act, amount: AMOUNT }, fault });
  const asked = ask().catch(() => {}); // it is cut off below
  await until("its answer is lost", async () => (await world.left()).some((one) => one.act === act && one.due !== null), { seconds: 60 });
  await world.letTimePass({ begins: false });
  await asked;
  return { act: () => {}, after, isReady: true };
};

/** A capture that was never booked, and the operator says so: the hold is nobody's. */
const stranding = {
  prepare: (world, { url }) => world.fault(url, { match: { kind: "capture", amount: AMOUNT }, fault: "drop_before" }),
  also: (world, _, { said }) => world.stand.cli(["transaction", "settle", String(said.transactionId), "--not-booked"]),
};

// --- Where it dies ---------------------------------------------------------------------------------------------------

/** Rows of [file, fault, ends]; the last of the ends is what is made good by asking again, where it is. */
const of = (what, play, rows, more = {}) => rows.map(([file, fault, ends, own]) => ({ what, play, file, fault, ends, ...more, ...own }));

const ACT = "engine/act.rs", AUTHORISE = "engine/authorise.rs", HELD = "engine/held.rs", OUTCOME = "engine/outcome.rs";
const INTENT = "pay/intent.rs", WORKER = "outbox/worker.rs", SUBSCRIBERS = "v1/subscribers.rs", AUTHENTICATE = "pay/authenticate.rs";

/** `rare`: where the other acquirer's row shows the same; the gate leaves those to the soak. */
const actRows = (done, sort) => [
  [ACT, "intent.written", [done], { rare: sort === "nets" }],
  [ACT, "intent.committed", [done]],
  [ACT, "act.answered", [done]],
  [OUTCOME, "outcome.written", [done], { rare: sort === "clearhaus" }],
  [OUTCOME, "outcome.committed", [done], { rare: sort === "nets" }],
];

export const POINTS = [
  ...of("a payment at Clearhaus", paying("clearhaus"), [
    [INTENT, "intent.written", ["paid"]],
    [INTENT, "intent.committed", ["lost", "paid"]],
    [AUTHORISE, "authorise.asked", ["lost", "paid"]],
    [AUTHORISE, "authorise.answered", ["lostAndHeld", "paid"]],
    [OUTCOME, "outcome.written", ["lostAndHeld", "paid"]],
    [OUTCOME, "outcome.committed", ["voided", "paid"]],
    [AUTHORISE, "capture.asked", ["voided", "paid"]],
    [AUTHORISE, "capture.answered", ["paid"]],
    [OUTCOME, "outcome.written:2", ["paid"]],
    [OUTCOME, "outcome.committed:2", ["paid"]],
    [WORKER, "outbox.claimed", ["paid"]],
    [WORKER, "outbox.sent", ["paid"], { twice: true }],
  ]),
  ...of("a payment at Nets", paying("nets"), [
    [AUTHORISE, "authorise.answered", ["lostAndHeld", "paid"]],
    [OUTCOME, "outcome.committed", ["paid"]],
    [AUTHORISE, "capture.asked", ["paid"]],
    [AUTHORISE, "capture.answered", ["paid"]],
    [OUTCOME, "outcome.written:2", ["paid"]],
  ]),
  ...["clearhaus", "nets"].flatMap((sort) => [
    ...of(`a capture at ${sort}`, acting(sort, "capture"), actRows("paid", sort)),
    ...of(`a refund at ${sort}`, acting(sort, "refund"), actRows("refunded", sort)),
    ...of(`a void at ${sort}`, acting(sort, "void"), actRows("toldAndVoided", sort)),
    ...of(`a reversal at ${sort}`, reversing(sort), [
      [ACT, "intent.committed", ["reversed"]],
      [ACT, "act.answered", ["reversed"]],
    ]),
  ]),
  ...of("a charge", charging("clearhaus"), [
    [SUBSCRIBERS, "intent.written", ["paid"]],
    [SUBSCRIBERS, "intent.committed", ["lost", "paid"]],
    [AUTHORISE, "authorise.answered", ["lostAndHeld", "paid"]],
    [AUTHORISE, "capture.answered", ["paid"]],
  ], { code: null }),
  ...of("3-D Secure, and the payer goes on", paying("bank", { card: CHALLENGED_AT_ONCE, amount: PROVEN, back: true }), [
    [INTENT, "waiting.committed", ["paid"]],
  ]),
  ...of("3-D Secure", paying("bank", { card: CHALLENGED, amount: PROVEN }), [
    [INTENT, "waiting.committed", ["expired", "paid"]],
    [AUTHENTICATE, "intent.committed", ["lost", "paid"]],
    [AUTHORISE, "authorise.answered", ["lostAndHeld", "paid"]],
    [OUTCOME, "outcome.committed:2", ["paid"]],
  ]),
  ...of("3-D Secure that the issuer asks for", paying("issuer", { card: CHALLENGED, amount: PROVEN }), [
    [AUTHENTICATE, "intent.committed:2", ["lost", "paid"]],
    [AUTHORISE, "authorise.answered", ["lost", "paid"]],
  ]),
  ...of("MobilePay", withWallet(), [
    [AUTHORISE, "intent.written", ["cancelled", "paid"]],
    [AUTHORISE, "authorise.asked", ["lost", "paid"]],
    [AUTHORISE, "authorise.answered", ["lostAndHeld", "paid"]],
    [OUTCOME, "outcome.written", ["lostAndHeld", "paid"]],
    [OUTCOME, "outcome.committed", ["voided", "paid"]],
    [HELD, "wallet.confirmed", ["voided", "paid"]],
    [AUTHORISE, "capture.asked", ["voided", "paid"]],
    [AUTHORISE, "capture.answered", ["paid"]],
    [OUTCOME, "outcome.written:2", ["paid"]],
    [OUTCOME, "outcome.committed:2", ["paid"]],
  ]),
  ...of("strict mode, and a yes", paying("strict"), [
    [WORKER, "outbox.claimed", ["paid"]],
    [WORKER, "outbox.sent", ["paid"], { twice: true }],
    [WORKER, "outbox.delivered", ["paid"]],
    [HELD, "held.ended", ["toldAndVoided", "paid"]],
    [AUTHORISE, "capture.answered", ["paid"]],
    [OUTCOME, "outcome.committed:2", ["paid"]],
  ]),
  ...of("strict mode at Nets, and a yes", paying("strictNets"), [[HELD, "held.ended", ["paid"]]]),
  ...of("strict mode, and a no", paying("strict"), [
    [WORKER, "outbox.refused", ["toldAndVoided", "paid"], { twice: true }],
    [WORKER, "outbox.withdrawn", ["toldAndVoided", "paid"]],
    [HELD, "held.ended", ["toldAndVoided", "paid"]],
    [AUTHORISE, "void.asked", ["toldAndVoided", "paid"]],
    [AUTHORISE, "void.answered", ["toldAndVoided", "paid"]],
    [OUTCOME, "outcome.committed:2", ["toldAndVoided", "paid"]],
  ], { isRefused: true }),
  ...of("strict mode at Nets, and a no", paying("strictNets"), [[AUTHORISE, "void.answered", ["toldAndVoided", "paid"]]], { isRefused: true }),
  ...of("a repeated capture that was booked", repeating("capture", "drop_after"), [["resolver.rs", "repeat.leased", ["paid"]]]),
  ...of("a repeated refund that was not booked", repeating("refund", "drop_before"), [["resolver.rs", "repeat.leased", ["refunded"]]]),
  ...of("a repeated void that was booked", repeating("void", "drop_after"), [["resolver.rs", "repeat.leased", ["toldAndVoided"]]]),
  ...of("a hold that nobody takes", paying("clearhaus", stranding), [
    [AUTHORISE, "void.asked", ["voided", "paid"]],
    [AUTHORISE, "void.answered", ["voided", "paid"]],
  ]),
  ...of("an authorisation of which nobody knows", paying("clearhaus", { card: MAGIC, next: CARD, amount: NOBODY_KNOWS }), [
    [AUTHORISE, "void.answered", ["errorAndVoided", "paid"]],
  ]),
];

export const nameOf = ({ what, fault }) => `${what}: ${fault}`;

/** One row: prepared, killed, at rest again; then asked for once more, and held against all books. */
export async function kill(world, { what, play, fault, ends, twice, code, isRefused }) {
  if (what === "a charge") await subscribe(world, world.merchants.clearhaus);
  const [{ last }] = await world.database.rowsLater("SELECT COALESCE(MAX(id), 0) AS last FROM transactions");
  const { act, back, after, isReady } = await play(world);
  // What was prepared is told first: by the process that is to die elsewhere it would be told, too.
  if (!isReady) await world.rest();
  world.isRefused = isRefused === true;
  await world.dieAt(fault, act);
  if (back) {
    await world.begin();
    await back();
  }
  await world.rest();
  world.isRefused = false;
  await after(world, await world.transactions(Number(last)));
  await world.rest();
  const found = await world.transactions(Number(last));
  assert.deepEqual(found.map(seen), ends.map((end) => expected(ENDS[end], code)));
  if (twice) assert.equal(world.sent(found[0].id, "SUCCESS"), 2, "sent again, under the same id");
  await world.assertFeeds();
}

function seen({ state, amount_minor: amount, captured_minor: captured, refunded_minor: refunded, booked, codeState, told }) {
  return { state, captured: captured / amount, refunded: refunded / amount, booked, code: codeState, told: told.toSorted() };
}

/** A code is used at the end, whoever has paid it. */
function expected({ state, captured = 0, refunded = 0, booked, told }, code = "Used") {
  return { state, captured, refunded, booked, code, told: told.toSorted() };
}
