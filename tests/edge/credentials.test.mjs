// What the edge makes of credentials, in real workerd: seen by the marks that reach the origin.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { BASIC_CHALLENGE, ask as askPlainly, assertProblem, basic, startEdge } from "./harness.mjs";
import { answerJson, startOrigin } from "./origin-stub.mjs";
import { addAccount, claims, record, rotate, startAccounts, token, tokenKey } from "./accounts-stub.mjs";

const CODE = "/pluto/code/0123456789";
const STK = "/pluto/stk/anything";
const EXPIRED = "Invalid or expired JWT token";
const EXPIRED_CHALLENGE = `Bearer realm="scanvault", error="invalid_token", error_description="${EXPIRED}"`;

let origin, edge, accounts;

const EDGES = ["basic", "rotation", "late", "bearer", "ended", "keys", "both", "roles", "open", "e0", "e1", "e2", "e3"];

before(async () => {
  origin = await startOrigin();
  const workers = Object.fromEntries(EDGES.map((name) => [name, {}]));
  edge = await startEdge(origin, { ...workers, dialect: { SECURITY_VIOLATION_513: "on" } });
});
beforeEach(() => {
  accounts = startAccounts();
  origin.requests.length = 0;
  origin.respond = accounts.respond;
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

/** Asks, and holds that nothing of what the origin told reaches the client. */
async function ask(name, path, authorization, options = {}) {
  const answer = await askPlainly(edge.urls[name], path, { ...options, headers: { authorization, ...options.headers } });
  assert.equal(answer.headers["scanvault-credential-record"], undefined);
  assert.equal(answer.headers["scanvault-token-keys"], undefined);
  return answer;
}

/** The status, and the mark that the origin saw; `undefined` when nothing reached it. */
async function seen(name, authorization, path = CODE) {
  const before = origin.requests.length;
  const { status } = await ask(name, path, authorization);
  const requests = origin.requests.slice(before);
  assert.ok(requests.every(({ refusal }) => refusal === undefined), "signed");
  assert.ok(requests.length <= 1, "asked once");
  return [status, requests[0]?.headers["scanvault-credential"]];
}

test("a password is verified from the second time on, in any spelling of its account", async () => {
  addAccount(accounts, "merchant-25", "right");
  assert.deepEqual(await seen("basic", basic("merchant-25", "right")), [200, "unverified"]);
  for (const user of ["merchant-25", "MERCHANT_25", "25"]) {
    assert.deepEqual(await seen("basic", basic(user, "right")), [200, "verified"]);
  }
  assert.deepEqual(await seen("basic", basic("25", "wrong")), [401, "unverified"]);
  assert.deepEqual(await seen("basic", basic("25", "right")), [200, "verified"]);
  assert.deepEqual(await seen("basic", basic("merchant-26", "right")), [401, "unverified"]);
  assert.deepEqual(await seen("basic", basic("merchant-26", "right")), [401, "unverified"]);
});

test("a rotated password is dead and the new one alive from the moment that the origin says so", async () => {
  const account = addAccount(accounts, "merchant-30", "first");
  await seen("rotation", basic("merchant-30", "first"));
  assert.deepEqual(await seen("rotation", basic("merchant-30", "first")), [200, "verified"]);
  rotate(account, "second");
  assert.deepEqual(await seen("rotation", basic("merchant-30", "first")), [401, "verified"], "the edge cannot know yet");
  assert.deepEqual(await seen("rotation", basic("merchant-30", "first")), [401, "unverified"]);
  assert.deepEqual(await seen("rotation", basic("merchant-30", "second")), [200, "verified"], "the refusal told of it");
  rotate(account, "third");
  assert.deepEqual(await seen("rotation", basic("merchant-30", "third")), [200, "unverified"]);
  assert.deepEqual(await seen("rotation", basic("merchant-30", "third")), [200, "verified"]);
  accounts.byName.delete("merchant-30");
  assert.deepEqual(await seen("rotation", basic("merchant-30", "third")), [401, "verified"]);
  assert.deepEqual(await seen("rotation", basic("merchant-30", "third")), [401, "unverified"], "it was told to forget");
});

test("an older record that comes late changes nothing", async () => {
  const account = addAccount(accounts, "merchant-31", "first");
  const old = record(account);
  rotate(account, "second");
  await seen("late", basic("merchant-31", "second"));
  origin.respond = (request, response) => answerJson(request, response, 401, "{}", { "scanvault-credential-record": old });
  assert.deepEqual(await seen("late", basic("merchant-31", "first")), [401, "unverified"]);
  origin.respond = accounts.respond;
  assert.deepEqual(await seen("late", basic("merchant-31", "first")), [401, "unverified"]);
  assert.deepEqual(await seen("late", basic("merchant-31", "second")), [200, "verified"]);
});

test("rotation under load at four edges: never an old password accepted, never a new one refused", async () => {
  const account = addAccount(accounts, "merchant-32", "p-0");
  const edges = ["e0", "e1", "e2", "e3"];
  let rotated = 0;
  let done = false;
  const load = edges.map(async (name) => {
    for (let n = 0; !done; n += 1) {
      const began = rotated;
      const { status } = await ask(name, CODE, basic("merchant-32", `p-${began}`));
      if (rotated === began) assert.equal(status, 200, `${name} refused p-${began}`);
      if (began === 0) continue;
      assert.equal((await ask(name, CODE, basic("merchant-32", `p-${began - 1}`))).status, 401, `${name} took p-${began - 1}`);
    }
  });
  for (let n = 1; n <= 10; n += 1) {
    await new Promise((turn) => setTimeout(turn, 30));
    rotate(account, `p-${n}`);
    rotated = n;
  }
  done = true;
  await Promise.all(load);
});

test("a token is verified as soon as the keys are known, and again at every edge for itself", async () => {
  const session = `Bearer ${token(accounts.keys[0])}`;
  assert.deepEqual(await seen("bearer", session), [200, "unverified"]);
  assert.deepEqual(await seen("bearer", session), [200, "verified"]);
  assert.deepEqual(await seen("bearer", session), [200, "verified"]);
  assert.deepEqual(await seen("bearer", `Bearer ${token(accounts.keys[0])}`), [200, "verified"]);
  const forged = `Bearer ${token(tokenKey("1"))}`;
  const answer = await ask("bearer", CODE, forged);
  assertProblem(answer, 401, "invalid-or-expired-jwt", EXPIRED, { "www-authenticate": EXPIRED_CHALLENGE });
  assert.deepEqual(await seen("bearer", forged), [401, undefined], "nothing of it is forwarded");
});

test("a session that the origin has ended is not verified again", async () => {
  const body = claims();
  const session = `Bearer ${token(accounts.keys[0], body)}`;
  await seen("ended", session);
  assert.deepEqual(await seen("ended", session), [200, "verified"]);
  accounts.ended.add(body.jti);
  assert.deepEqual(await seen("ended", session), [401, "verified"]);
  assert.deepEqual(await seen("ended", session), [401, "unverified"]);
});

test("keys rotate: a new one is the origin's to judge until it is told, one that is gone verifies nothing", async () => {
  const [first, second] = [accounts.keys[0], tokenKey("2")];
  const [old, young] = [first, second].map((key) => `Bearer ${token(key)}`);
  await seen("keys", old);
  assert.deepEqual(await seen("keys", old), [200, "verified"]);
  accounts.keys = [second, first];
  assert.deepEqual(await seen("keys", young), [200, "unverified"]);
  assert.deepEqual(await seen("keys", young), [200, "verified"]);
  assert.deepEqual(await seen("keys", old), [200, "verified"]);
  accounts.keys = [second];
  assert.deepEqual(await seen("keys", old), [401, "verified"]);
  assert.deepEqual(await seen("keys", old), [401, "unverified"], "what it verified was forgotten with it");
  assert.deepEqual(await seen("keys", young), [200, "verified"]);
});

test("a token that holds wins over a password beside it; one that does not is ignored", async () => {
  addAccount(accounts, "merchant-25", "right");
  const [right, wrong] = [basic("25", "right"), basic("25", "wrong")];
  const good = `Bearer ${token(accounts.keys[0])}`;
  const forged = `Bearer ${token(tokenKey("1"))}`;
  const unknown = `Bearer ${token(tokenKey("9"))}`;
  await seen("both", good);
  await seen("both", right);
  assert.deepEqual(await seen("both", `${good}, ${wrong}`), [200, "verified"]);
  assert.deepEqual(await seen("both", [wrong, good]), [200, "verified"]);
  assert.deepEqual(await seen("both", `${forged}, ${right}`), [200, "verified"]);
  assert.deepEqual(await seen("both", `${forged}, ${wrong}`), [401, "unverified"]);
  assert.deepEqual(await seen("both", `Bearer nonsense, ${right}`), [200, "verified"]);
  assert.deepEqual(await seen("both", `${unknown}, ${right}`), [200, "renew"]);
  assert.deepEqual(await seen("both", `${unknown}, ${wrong}`), [401, "unverified"]);
});

test("the wrong role in a token that holds, or in a name, is refused here", async () => {
  const key = accounts.keys[0];
  const [external, stk] = [["EXTERNAL"], ["STK"]].map((roles) => `Bearer ${token(key, claims({ roles }))}`);
  await seen("roles", external);
  for (const [authorization, path, expected] of [
    [external, CODE, [200, "verified"]],
    [stk, STK, [200, "verified"]],
    [stk, CODE, [403, undefined]],
    [external, STK, [403, undefined]],
    [external, "/pluto/remote/a", [403, undefined]],
    [basic("merchant-25"), STK, [403, undefined]],
    [basic("vodacom-ussd"), STK, [401, "unverified"]],
    [`Bearer ${token(tokenKey("9"), claims({ roles: ["EXTERNAL"] }))}`, STK, [401, "unverified"]],
  ]) {
    assert.deepEqual(await seen("roles", authorization, path), expected, path);
  }
  const forbidden = await ask("roles", STK, external);
  assertProblem(forbidden, 403, "forbidden", "This account has no access to this path");
});

test("what comes on an answer to a request without a credential is not looked at", async () => {
  const account = addAccount(accounts, "merchant-33", "right");
  const told = { "scanvault-credential-record": record(account) };
  origin.respond = (request, response) => answerJson(request, response, 200, "{}", told);
  const page = await askPlainly(edge.urls.open, "/Q/0123456789", { headers: { authorization: basic("33", "right") } });
  assert.deepEqual([page.status, page.headers["scanvault-credential-record"]], [200, undefined]);
  origin.respond = accounts.respond;
  assert.deepEqual(await seen("open", basic("merchant-33", "right")), [200, "unverified"]);
});

test("refunds have the reference's own status where it is asked for", async () => {
  const refund = { method: "DELETE" };
  const dialect = await ask("dialect", "/pluto/purchase/81234", "Basic nonsense", refund);
  assertProblem(dialect, 513, "security-violation", "SECURITY_VIOLATION");
  const plain = await ask("basic", "/pluto/purchase/81234", "Basic nonsense", refund);
  assertProblem(plain, 401, "bad-credentials", "Bad Credentials", { "www-authenticate": BASIC_CHALLENGE });
  const other = await ask("dialect", CODE, "Basic nonsense");
  assertProblem(other, 401, "bad-credentials", "Bad Credentials", { "www-authenticate": BASIC_CHALLENGE });
  const forbidden = await ask("dialect", STK, basic("merchant-25"), refund);
  assertProblem(forbidden, 403, "forbidden", "This account has no access to this path");
});
