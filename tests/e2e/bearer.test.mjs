// Bearer from end to end: enrolment, dry run, switch, login, token, precedence, and every way in which a session ends.

import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, randomBytes, sign as signWith } from "node:crypto";
import { before, test } from "node:test";
import { ask, assertProblem, BASIC_CHALLENGE } from "../lib/answers.mjs";
import { answerTo, challenge, enrol, keyPair, login, postLogin, session, sha256 } from "./bearer.mjs";
import { onBothDatabases } from "./both.mjs";
import { send, sign } from "./link.mjs";

const CODE = "/pluto/code/0000000000";
const DISABLED = "JWT Authentication disabled for this account";
const bearerChallenge = (text) => `Bearer realm="scanvault", error="invalid_token", error_description="${text}"`;

onBothDatabases((at) => {
  let merchant, who;
  const get = (authorization, path = CODE) => ask(at.world.edge, path, { headers: { authorization } });
  const basic = ({ user, password }) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const isAccepted = async (authorization) => assertProblem(await get(authorization), 404, "not-found", "Not found");
  const isRefused = async (authorization, text = "Invalid or expired JWT token") => {
    const code = { "Invalid JWT token": "invalid-jwt", [DISABLED]: "jwt-disabled" }[text] ?? "invalid-or-expired-jwt";
    assertProblem(await get(authorization), 401, code, text, { "www-authenticate": bearerChallenge(text) });
  };
  const isBadCredentials = (answer) => {
    assertProblem(answer, 401, "bad-credentials", "Bad Credentials", { "www-authenticate": BASIC_CHALLENGE });
  };
  const shown = () => at.world.cli("account", "show", "merchant-25");

  before(async () => {
    merchant = await at.world.merchant("merchant-25");
  });

  test("an enrolled account goes on with Basic, and its login is a dry run", async () => {
    const { world } = at;
    who = await enrol(world, "merchant-25");
    await isAccepted(basic(merchant));
    assert.equal((await shown()).enrolment.lastDryRunAt ?? null, null);
    assertProblem(await login(world.edge, who), 401, "jwt-disabled", DISABLED, { "www-authenticate": bearerChallenge(DISABLED) });
    assert.ok(Math.abs(Date.parse((await shown()).enrolment.lastDryRunAt) - Date.now()) < 60_000);
    await isAccepted(basic(merchant));
  });

  test("the switch ends the password, and a login gives a token that works", async () => {
    const { world } = at;
    await world.cli("account", "switch", "merchant-25", "bearer");
    isBadCredentials(await get(basic(merchant)));
    const { authorization, expires } = await session(world, who);
    const lives = Date.parse(expires) - Date.now();
    assert.ok(lives > 29 * 60_000 && lives <= 30 * 60_000, String(lives));
    await isAccepted(authorization);
    const created = await ask(world.edge, "/pluto/code/create", {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: '{"merchantReference": "jwt-demo", "amount": 10.00}',
    });
    assert.equal(created.status, 200, created.body.toString());
    assertProblem(await get(authorization, "/pluto/stk/push"), 403, "forbidden", "This account has no access to this path");
  });

  test("a token wins over Basic, and one that is not valid stands in nobody's way", async () => {
    const { world } = at;
    const other = await world.merchant("merchant-26", { webhook: false, acquirer: false });
    const { authorization: token } = await session(world, who);
    const made = await ask(world.edge, "/pluto/code/create", {
      method: "POST",
      headers: { authorization: `${token}, ${basic(other)}`, "content-type": "application/json" },
      body: '{"merchantReference": "whose", "amount": 1.00}',
    });
    const { code } = JSON.parse(made.body);
    assert.equal((await get(token, `/pluto/code/${code}`)).status, 200, "the token's account made it");
    assert.equal((await get(basic(other), `/pluto/code/${code}`)).status, 404, "not the other one");
    const forged = `${token.slice(0, -6)}AAAAAA`;
    await isAccepted(`${forged}, ${basic(other)}`);
    await isAccepted(`Bearer nonsense, ${basic(other)}`);
    isBadCredentials(await get(`${forged}, ${basic(merchant)}`));
    await isRefused(forged);
    await isRefused(`Bearer `, "Invalid JWT token");
    await isRefused(token.slice("Bearer ".length), "Invalid JWT token");
    assertProblem(await get(`${token}, ${token}`), 400, "bad-request", "The request is not valid");
    // Two headers: the runtime joins them.
    await isAccepted([forged, basic(other)]);
  });

  test("a challenge serves once, its own identity, right or wrong", async () => {
    const { world } = at;
    const first = await challenge(world.edge, who);
    const body = answerTo(first, who);
    isBadCredentials(await postLogin(world.edge, { ...body, password: merchant.password }));
    isBadCredentials(await postLogin(world.edge, body));
    const second = answerTo(await challenge(world.edge, who), who);
    isBadCredentials(await postLogin(world.edge, { ...second, identity: "merchant-26" }));
    const third = answerTo(await challenge(world.edge, who), who);
    assert.equal((await postLogin(world.edge, third)).status, 200);
    isBadCredentials(await postLogin(world.edge, third));
    const fourth = await challenge(world.edge, { ...who, identity: "MERCHANT_25" });
    assert.equal((await postLogin(world.edge, { ...answerTo(fourth, who), identity: "25" })).status, 200, "one name, however spelled");
  });

  test("what does not open, and who is not there, gets an answer of the same shape", async () => {
    const { world } = at;
    for (const identity of ["merchant-26", "merchant-999", "nobody", "merchant-25"]) {
      const noise = await challenge(world.edge, { ...who, identity }, { encrypted: randomBytes(512).fill(0, 0, 1) });
      assert.equal(noise.proven, false, identity);
      const short = await challenge(world.edge, { ...who, identity }, { plain: randomBytes(63) });
      assert.equal(short.proven, false, "not exactly 64 bytes");
      assert.equal((await challenge(world.edge, { ...who, identity })).proven, true, "the gateway proves itself to anybody");
    }
    const same = randomBytes(512).fill(0, 0, 1);
    const answers = new Set();
    for (let n = 0; n < 2; n += 1) {
      const query = `identity=merchant-25&clientChallenge=${encodeURIComponent(same.toString("base64"))}`;
      const { body } = await ask(world.edge, `/authentication/login-challenges?${query}`);
      answers.add(JSON.parse(body).base64EncodedClientChallengeResponse);
    }
    assert.equal(answers.size, 1, "a decryption that is none is as constant as one that is");
  });

  test("logout, a new key and a suspension end a session at once", async () => {
    const { world } = at;
    const [one, two] = [await session(world, who), await session(world, who)];
    const path = `/authentication/sessions/${one.sessionId}`;
    const other = await world.merchant("merchant-27", { webhook: false, acquirer: false });
    const asOther = await ask(world.edge, path, { method: "DELETE", headers: { authorization: basic(other) } });
    assertProblem(asOther, 404, "not-found", "Not found");
    await isAccepted(one.authorization);
    const ended = await ask(world.edge, path, { method: "DELETE", headers: { authorization: one.authorization } });
    assert.deepEqual([ended.status, ended.body.length], [204, 0]);
    await isRefused(one.authorization);
    await isAccepted(two.authorization);
    await world.cli("account", "suspend", "merchant-25");
    await isRefused(two.authorization);
    // The challenge of a suspended account opens with nobody's key.
    const decoy = await challenge(world.edge, who);
    assert.throws(() => answerTo(decoy, who));
    const hash = sha256(decoy.theirs).toString("base64");
    const guess = { identity: "merchant-25", password: who.password, base64EncodedChallengeHash: hash, base64EncodedChallengeResponse: hash };
    isBadCredentials(await postLogin(world.edge, guess));
    await world.cli("account", "resume", "merchant-25");
    await isRefused(two.authorization);
    const three = await session(world, who);
    who = await enrol(world, "merchant-25", keyPair());
    await isRefused(three.authorization);
    await isAccepted((await session(world, who)).authorization);
  });

  test("a captured token or challenge answer is nothing by another way in", async () => {
    const { world } = at;
    const { authorization } = await session(world, who);
    // A token is no password, no link signature and no other service's.
    isBadCredentials(await get(`Basic ${Buffer.from(`merchant-25:${authorization.slice(7)}`).toString("base64")}`));
    const key = world.linkKeys[0];
    const direct = sign(world.origin, { key, path: CODE, extra: { authorization } });
    assert.equal((await send(world.origin, world.ca, direct)).status, 404, "a control: the edge's key carries it");
    const replayed = await send(world.origin, world.ca, direct);
    assert.deepEqual([replayed.status, replayed.body.length], [401, 0], "the signed request, once more");
    const unsigned = await send(world.origin, world.ca, { method: "GET", path: CODE, headers: { authorization } });
    assert.deepEqual([unsigned.status, unsigned.body.length], [401, 0], "without the edge");
    const internal = sign(world.origin, { key, path: "/pluto/internal/vault/key", extra: { authorization } });
    assert.equal((await send(world.origin, world.ca, internal)).status, 404);
    const [header, claims] = authorization.slice(7).split(".");
    const seed = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), randomBytes(32)]);
    const mine = createPrivateKey({ key: seed, format: "der", type: "pkcs8" });
    const resigned = signWith(null, Buffer.from(`${header}.${claims}`), mine).toString("base64url");
    await isRefused(`Bearer ${header}.${claims}.${resigned}`);
    await isAccepted(authorization);
  });

  test("when the token key or the login key rotates, what was issued goes on and what comes is of the new one", async () => {
    const { world } = at;
    const before = await session(world, who);
    await isAccepted(before.authorization);
    await world.cli("vault", "rotate", "token");
    const after = await session(world, who);
    // Still signed with the key of before: other origins may not have the new one yet.
    await isAccepted(after.authorization);
    await isAccepted(before.authorization);
    await world.cli("vault", "rotate", "login");
    assert.equal((await session(world, who)).headerName, "Authorization", "with the gateway's key of before");
    const { publicKey } = await world.cli("identity", "public-key");
    const gateway = createPublicKey({ key: Buffer.from(publicKey, "base64"), format: "der", type: "spki" });
    assert.notDeepEqual(gateway.export({ format: "jwk" }), who.gateway.export({ format: "jwk" }));
    assert.equal((await session(world, { ...who, gateway })).headerName, "Authorization", "with the new one");
  });

  test("back to Basic needs a second operator", async () => {
    const { world } = at;
    const { authorization } = await session(world, who);
    for (let n = 0; n < 2; n += 1) {
      assert.equal((await world.cli("account", "switch", "merchant-25", "basic")).pending, true, "the same operator, twice");
    }
    await isAccepted(authorization);
    assert.equal((await shown()).mode, "bearer");
  });

  test("while the vault is sealed tokens wait and Basic works", async () => {
    const { world } = at;
    const { authorization } = await session(world, who);
    await world.cli("vault", "seal");
    assert.equal((await get(authorization)).status, 503);
    assert.equal((await ask(world.edge, `/authentication/login-challenges?identity=x&clientChallenge=${encodeURIComponent(randomBytes(512).toString("base64"))}`)).status, 503);
    const other = { user: "merchant-26", password: world.merchants["merchant-26"].password };
    await isAccepted(basic(other));
    await world.unseal();
    await isAccepted(authorization);
  });
}, { limits: "off" });
