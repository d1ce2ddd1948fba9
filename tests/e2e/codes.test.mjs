// Accounts and codes: who is let in, what a code may be, and what becomes of bad input.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { BASIC_CHALLENGE, apiPassword, ask, assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { until } from "./world.mjs";

const HALF_AN_HOUR_MS = 30 * 60 * 1000;
const CREATE = "/pluto/code/create";
const UNAUTHORIZED = [401, "bad-credentials", "Bad Credentials", { "www-authenticate": BASIC_CHALLENGE }];

onBothDatabases((at) => {
  let merchant, plain, first;
  before(async () => {
    plain = await at.world.merchant("merchant-26", { webhook: false, acquirer: false });
  });

  test("account create and show", async () => {
    const { world } = at;
    merchant = await world.merchant("merchant-25", { args: ["--display-name", "Bean & <Co>", "--currency", "ZAR"] });
    assert.match(merchant.password, /^sv_[0-9A-Za-z]{49}$/);
    assert.match(merchant.webhookSecret, /^whsec_[0-9A-Za-z_-]{43}$/);
    const { createdAtMs, ...shown } = await world.cli("account", "show", "merchant-25");
    assert.ok(Math.abs(Date.now() - createdAtMs) < 60_000);
    assert.deepEqual(shown, {
      account: "merchant-25",
      role: "EXTERNAL",
      mode: "basic",
      enrolment: null,
      active: true,
      displayName: "Bean & <Co>",
      currency: "ZAR",
      psp: null,
      credentialVersion: 1,
      webhookUrl: world.receiver.url("merchant-25"),
      webhookFormat: "json",
      strict: false,
      pingUrl: null,
      pings: false,
      threeDSecure: "off",
      textOnStatement: null,
      routes: {},
      credentials: ["clearhaus"],
      changeSeq: 0,
    });
    const twice = await world.scanvault(["account", "create", "merchant-25"]);
    assert.deepEqual([twice.code, twice.stdout, twice.stderr], [1, "", "scanvault: this account exists already\n"]);
  });

  test("rotate ends the old password at once; the new one works at once", async () => {
    const { world } = at;
    const old = { ...merchant };
    const { code: pay } = await world.code(old);
    const { code, stdout, stderr } = await world.scanvault(["account", "rotate", "merchant-25"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^sv_[0-9A-Za-z]{49}\n$/, "plain rotate prints the password and nothing else");
    merchant.password = stdout.trim();
    world.secrets.add("the rotated password", merchant.password);
    assertProblem(await world.call(old, `/pluto/code/${pay}`), ...UNAUTHORIZED);
    assertProblem(await world.create(old, { merchantReference: "after", amount: 1 }), ...UNAUTHORIZED);
    assert.equal((await world.query(merchant, pay)).codeState, "Available");
    const json = await world.cli("account", "rotate", "merchant-25");
    assert.deepEqual(Object.keys(json).toSorted(), ["account", "password"]);
    world.secrets.add("the password rotated again", json.password);
    merchant.password = json.password;
    assert.equal((await world.query(merchant, pay)).codeState, "Available");
    assert.equal((await world.cli("account", "show", "merchant-25")).credentialVersion, 3);
  });

  test("who is not the account is told so, and nothing else", async () => {
    const { world } = at;
    const path = "/pluto/code/0000000000";
    for (const user of ["merchant-25", "merchant-404", "psp-1"]) {
      assertProblem(await world.call({ user, password: apiPassword("guess") }, path), ...UNAUTHORIZED);
    }
    assertProblem(await ask(world.edge, path), ...UNAUTHORIZED);
    assertProblem(await world.call(merchant, path), 404, "not-found", "Not found");
  });

  test("a code is created and looked up, with its decimals as they are", async () => {
    const { world } = at;
    const before = Date.now();
    const answer = await world.create(merchant, '{"merchantReference":"order-1","amount":10.00,"shortDescription":"Two coffees"}');
    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal(answer.headers["content-type"], "application/json");
    const made = JSON.parse(answer.body);
    assert.deepEqual(Object.keys(made), ["code", "expiryDate", "codeUrl"]);
    assert.match(made.code, /^\d{10}$/);
    assert.equal(made.codeUrl, `${world.edge}/Q/${made.code}`);
    assert.ok(made.expiryDate >= before + HALF_AN_HOUR_MS && made.expiryDate <= Date.now() + HALF_AN_HOUR_MS);
    const view = await world.call(merchant, `/pluto/code/${made.code}`);
    assert.equal(
      view.body.toString(),
      `{"code":"${made.code}","codeState":"Available","merchantReference":"order-1","merchantName":"Bean & <Co>",` +
        `"amount":10.00,"amountString":"10.00","currencyCode":"ZAR","expiryDate":${made.expiryDate},"expired":false,"useOnce":true,` +
        `"requestPartialPayment":false,"shortDescription":"Two coffees","attempts":0,"payments":0,"codeUrl":"${made.codeUrl}"}`,
    );
    first = made;
  });

  test("the same reference: the same body gets the first answer, another one 409", async () => {
    const { world } = at;
    const again = async (body) => world.create(merchant, body);
    for (const body of [
      '{"merchantReference":"order-1","amount":10.00,"shortDescription":"Two coffees"}',
      '{ "useOnce": true, "shortDescription": "Two coffees", "amount": 10, "merchantReference": "order\\u002d1" }',
      '{"merchantReference":"order-1","amount":10.009,"shortDescription":"Two coffees"}',
    ]) {
      const answer = await again(body);
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [200, first], body);
    }
    const conflict = [409, "reference-conflict", "This merchantReference was used before with other contents"];
    for (const body of [
      '{"merchantReference":"order-1","amount":10.01,"shortDescription":"Two coffees"}',
      '{"merchantReference":"order-1","amount":10.00}',
      '{"merchantReference":"order-1","amount":10.00,"shortDescription":"Two coffees","useOnce":false}',
      '{"merchantReference":"order-1","amount":10.00,"shortDescription":"Two coffees","expiryDate":0}',
    ]) {
      assertProblem(await again(body), ...conflict);
    }
    // References are a merchant's own: another one's are free.
    const other = await world.create(plain, '{"merchantReference":"order-1","amount":10.00,"shortDescription":"Two coffees"}');
    assert.equal(other.status, 200);
    assert.notEqual(JSON.parse(other.body).code, first.code);
  });

  test("what is no amount is refused with the reason, and leaves no code", async () => {
    const { world } = at;
    const count = () => world.database.rows("SELECT count(*) AS n FROM codes")[0].n;
    const before = count();
    const plainNumber = "amount must be a plain decimal number such as 10.00";
    const large = "amount must not be more than 9,999,999.99";
    const small = "amount is less than the smallest unit of the currency";
    for (const [amount, detail] of [
      ["-1", "amount must not be negative"],
      ["-0", "amount must not be negative"],
      ["-0.00", "amount must not be negative"],
      ["1e3", plainNumber],
      ["1E0", plainNumber],
      ["0e0", plainNumber],
      ['"10.00"', plainNumber],
      ["null", plainNumber],
      ["true", plainNumber],
      ["[10]", plainNumber],
      ["{}", plainNumber],
      ["0.001", small],
      ["0.00999999999999999999999999999999", small],
      ["10000000", large],
      ["9999999.991", large],
      ["9999999.990000000000000000000000000001", large],
      ["99999999999999999999", large],
      ["NaN", /^The body is not JSON \(line 1, column \d+\)$/],
      ["Infinity", /^The body is not JSON \(line 1, column \d+\)$/],
      ["+1", /^The body is not JSON \(line 1, column \d+\)$/],
      [".5", /^The body is not JSON \(line 1, column \d+\)$/],
      ["1.", /^The body is not JSON \(line 1, column \d+\)$/],
      ["01", /^The body is not JSON \(line 1, column \d+\)$/],
      ["1,00", /^The body /],
    ]) {
      const answer = await world.create(merchant, `{"merchantReference":"bad","amount":${amount}}`);
      const said = JSON.parse(answer.body).detail;
      const isAmount = typeof detail === "string";
      if (!isAmount) assert.match(said, detail, amount);
      assertProblem(answer, 400, isAmount ? "invalid-amount" : "bad-request", isAmount ? detail : said);
    }
    assert.equal(count(), before);
    const good = [
      ["0", "0.00", false],
      ["0.00", "0.00", false],
      ["0.01", "0.01", true],
      ["0.019", "0.01", true],
      ["10.999", "10.99", true],
      ["9999999.99", "9999999.99", true],
    ];
    for (const [n, [amount, view, useOnce]] of good.entries()) {
      const made = await world.create(merchant, `{"merchantReference":"good-${n}","amount":${amount}}`);
      assert.equal(made.status, 200, amount);
      const { body } = await world.call(merchant, `/pluto/code/${JSON.parse(made.body).code}`);
      assert.ok(body.includes(`"amount":${view},`), `${amount}: ${body}`);
      assert.equal(JSON.parse(body).useOnce, useOnce, amount);
    }
  });

  test("bad input gets a clear answer, and loses nothing", async () => {
    const { world } = at;
    const fields = /^The body lacks a field, or a field has another type or name \(line 1, column \d+\)$/;
    const notJson = /^The body is not JSON \(line 1, column \d+\)$/;
    for (const [body, detail] of [
      ['{"amount":1}', fields],
      ['{"merchantReference":"x"}', fields],
      ['{"merchantReference":"x","amount":1,"limit":2}', fields],
      ['{"merchantReference":"x","amount":1,"amount":2}', fields],
      ['{"merchantReference":7,"amount":1}', fields],
      ["[]", fields],
      ["", notJson],
      ["{", notJson],
      ["\u0000", notJson],
      ['{"merchantReference":"","amount":1}', "merchantReference must be 1 to 45 printable characters"],
      [`{"merchantReference":"${"a".repeat(46)}","amount":1}`, "merchantReference must be 1 to 45 printable characters"],
      ['{"merchantReference":"x","amount":1,"expiryDate":1}', "expiryDate must be in the future, in milliseconds"],
      ['{"merchantReference":"x","amount":1,"productUrl":"javascript:alert(1)"}', "productUrl must be an http or https address"],
    ]) {
      const answer = await world.create(merchant, body);
      const said = JSON.parse(answer.body).detail;
      if (typeof detail !== "string") assert.match(said, detail, body);
      assertProblem(answer, 400, "bad-request", typeof detail === "string" ? detail : said);
    }
    const large = JSON.stringify({ merchantReference: "x", amount: 1, shortDescription: "a".repeat(65_536) });
    assertProblem(await world.create(merchant, large), 413, "body-too-large", "The body is too large");
    const typed = await world.call(merchant, CREATE, '{"merchantReference":"x","amount":1}', { "content-type": "text/plain" });
    assertProblem(typed, 415, "unsupported-media-type", "The body must be application/json");
    assertProblem(await world.call(merchant, CREATE), 405, "method-not-allowed", "This path does not take this method", { allow: "POST" });
    assertProblem(await world.call(merchant, "/pluto/internal/anything"), 404, "not-found", "Not found");
    assert.equal((await world.query(merchant, first.code)).codeState, "Available");
  });

  test("another merchant's objects do not exist", async () => {
    const { world } = at;
    assertProblem(await world.call(plain, `/pluto/code/${first.code}`), 404, "not-found", "Not found");
  });

  test("a PSP acts for its own merchants only", async () => {
    const { world } = at;
    const psp = await world.merchant("psp-13", { webhook: false, acquirer: false });
    const own = await world.merchant("merchant-130", { webhook: false, acquirer: false, args: ["--psp", "psp-13"] });
    const made = await world.create(psp, { merchantReference: "by-psp", amount: 3, merchantId: 130 });
    assert.equal(made.status, 200, made.body.toString());
    const { code } = JSON.parse(made.body);
    for (const reader of [psp, own]) assert.equal((await world.query(reader, code)).merchantReference, "by-psp");
    for (const merchantId of [25, 404]) {
      const other = await world.create(psp, { merchantReference: "x", amount: 3, merchantId });
      assertProblem(other, 404, "not-found", JSON.parse(other.body).detail);
    }
    assertProblem(await world.call(psp, `/pluto/code/${first.code}`), 404, "not-found", "Not found");
  });

  test("the page of an unknown code says so; a code that has expired cannot be paid", async () => {
    const { world } = at;
    for (const code of ["0000000000", "123", "12345678901"]) {
      const page = await world.page(code);
      assert.deepEqual([page.status, page.data.state, page.data.reason], [404, "expired", "unknown-code"]);
      assertProblem(await world.post(code, "a.b.c.d.e"), 404, "not-found", "Not found");
    }
    const short = await world.code(merchant, "1.00", { expiryDate: Date.now() + 4000 });
    const sealed = await world.seal(await world.page(short.code));
    const page = await until("it has expired", async () => {
      const now = await world.page(short.code);
      return now.status !== 200 && now;
    }, { seconds: 10 });
    assert.deepEqual([page.status, page.data.state, page.data.reason], [410, "expired", "expired"]);
    assertProblem(await world.post(short.code, sealed), 410, "code-expired", "This code has expired");
    const view = await world.query(merchant, short.code);
    assert.deepEqual([view.codeState, view.expired], ["Available", true]);
    assert.deepEqual(await world.book(), []);
    // Repeated after its time, the call still gets its first answer.
    const again = await world.create(merchant, short.text);
    assert.deepEqual([again.status, JSON.parse(again.body).code], [200, short.code]);
  });
}, { provokes: ["body-bytes", "media-type"] });
