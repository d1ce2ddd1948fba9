// The story of the spine, in its order: init, sealed, unsealed, an account, a code, a payment, a webhook.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { BASIC_CHALLENGE, apiPassword, ask, assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { whyNotGenuine } from "./receiver.mjs";
import { CARD, payPath } from "./shopper.mjs";
import { CUSTODIANS, UNREACHABLE, until } from "./world.mjs";

const SEALED = "The vault is sealed; nothing was done, try again later";
const HALF_AN_HOUR_MS = 30 * 60 * 1000;
const CREATE = "/pluto/code/create";
const UNAUTHORIZED = [401, "bad-credentials", "Bad Credentials", { "www-authenticate": BASIC_CHALLENGE }];

onBothDatabases(
  (at) => {
    let merchant, plain, paid;

    test("before init nothing that needs a key is to be had", async () => {
      const { world } = at;
      const { initialized, sealed, threshold, progress } = await world.status();
      assert.deepEqual({ initialized, sealed, threshold, progress }, { initialized: false, sealed: true, threshold: null, progress: 0 });
      writeFileSync(world.at("no-share"), "svshare1-aaaaaa\n");
      const { code, stdout, stderr } = await world.scanvault(["vault", "unseal", "--share-file", world.at("no-share")]);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /^scanvault: a share has 90 symbols after svshare1, this one has 6\n$/);
    });

    test("init with a file in the way deals nothing", async () => {
      const { world } = at;
      mkdirSync(world.at("in-the-way"));
      writeFileSync(world.at("in-the-way/x.share.age"), "somebody's");
      const { recipient } = await world.cli("vault", "share", "keygen", "--out", world.at("x.identity"));
      const { recipient: second } = await world.cli("vault", "share", "keygen", "--out", world.at("y.identity"));
      const args = ["vault", "init", "--threshold", "2", "--custodian", `x=${recipient}`, "--custodian", `y=${second}`];
      const { code, stderr } = await world.scanvault([...args, "--out", world.at("in-the-way")]);
      assert.deepEqual([code, stderr], [2, `scanvault: ${world.at("in-the-way/x.share.age")} is there already\n`]);
      assert.equal((await world.status()).initialized, false);
      for (const [threshold, custodians] of [["1", args.slice(4)], ["3", args.slice(4)], ["2", ["--custodian", `x=${recipient}`, "--custodian", `x=${second}`]], ["2", ["--custodian", `x=${recipient}`, "--custodian", `y=${recipient}`]], ["2", ["--custodian", "x=age1", "--custodian", "y=age1"]]]) {
        const refused = await world.scanvault(["vault", "init", "--threshold", threshold, ...custodians, "--out", world.at("nothing")]);
        assert.equal(refused.code, 1, `${threshold} ${custodians}: ${refused.stderr}`);
      }
      assert.equal((await world.status()).initialized, false);
    });

    test("init deals three shares, each for its custodian's key alone", async () => {
      const { world } = at;
      const { setId, threshold, shares } = await world.init();
      assert.match(setId, /^[0-9a-f]{32}$/);
      assert.equal(threshold, 2);
      assert.deepEqual(shares.map(({ custodian, index, file }) => ({ custodian, index, file })), CUSTODIANS.map((custodian, n) => ({ custodian, index: n + 1, file: `${world.shareFile(custodian)}.age` })));
      for (const name of CUSTODIANS) {
        assert.equal(statSync(`${world.shareFile(name)}.age`).mode & 0o777, 0o600);
        assert.equal(statSync(world.identity(name)).mode & 0o777, 0o600);
        assert.match(readFileSync(`${world.shareFile(name)}.age`, "utf8"), /^-----BEGIN AGE ENCRYPTED FILE-----\n/);
      }
      const other = await world.scanvault(["vault", "share", "show", "--identity", world.identity("alice"), `${world.shareFile("bob")}.age`]);
      assert.deepEqual([other.code, other.stdout], [1, ""]);
      assert.match(other.stderr, /^scanvault: the file is not encrypted to this identity, or was changed\n$/);
      const status = await world.status();
      assert.deepEqual([status.initialized, status.sealed, status.threshold, status.shares, status.progress, status.setId], [true, true, 2, 3, 0, setId]);
    });

    test("a second init is refused and changes nothing", async () => {
      const { world } = at;
      const { setId } = await world.status();
      const { recipient } = await world.cli("vault", "share", "keygen", "--out", world.at("intruder"));
      world.secrets.addIdentity("intruder", readFileSync(world.at("intruder"), "utf8"));
      const { recipient: second } = await world.cli("vault", "share", "keygen", "--out", world.at("intruder-2"));
      const args = ["vault", "init", "--threshold", "2", "--custodian", `x=${recipient}`, "--custodian", `y=${second}`, "--out", world.at("other")];
      const { code, stderr } = await world.scanvault(args);
      assert.deepEqual([code, stderr], [1, "scanvault: the vault is initialised already\n"]);
      assert.equal((await world.status()).setId, setId);
      assert.equal(existsSync(world.at("other/x.share.age")), false);
    });

    test("shares that were lost on their way are written again, as they were", async () => {
      const { world } = at;
      const { shares } = await world.cli("vault", "share", "fetch", "--out", world.at("again"));
      assert.deepEqual(shares.map(({ custodian }) => custodian), CUSTODIANS);
      for (const name of CUSTODIANS) {
        assert.equal(readFileSync(world.at("again", `${name}.share.age`), "utf8"), readFileSync(`${world.shareFile(name)}.age`, "utf8"));
      }
    });

    test("the CLI says how it ended: 1 refused, 2 usage, 3 unreachable", async () => {
      const { world } = at;
      const cases = [
        [1, ["account", "show", "merchant-404"], {}, "scanvault: there is no such account\n"],
        [1, ["account", "rotate", "merchant-404"], {}, "scanvault: there is no such account\n"],
        [1, ["account", "create", "nobody in particular"], {}, "scanvault: this is not an account name\n"],
        [1, ["account", "create", "merchant-7", "--currency", "EUX"], {}, "scanvault: unknown currency\n"],
        [2, ["account", "show", "../accounts"], {}, /^scanvault: /],
        [2, ["vault", "unseal", "--share-file", "/nowhere/at/all"], {}, /^scanvault: \/nowhere\/at\/all: /],
        [2, ["vault", "status"], { env: {} }, "scanvault: --admin or ADMIN_URL says where the origin is\n"],
        [2, ["vault", "status"], { env: { ADMIN_URL: "http://127.0.0.1:1" } }, "scanvault: the admin address has the form unix:///path\n"],
        [2, ["vault", "open"], {}, /unrecognized subcommand/],
        [2, ["vault", "init"], {}, /required arguments/],
        [3, ["vault", "status"], { env: { ADMIN_URL: "unix:///nowhere/admin.sock" } }, /^scanvault: no origin on \/nowhere\/admin\.sock: /],
      ];
      for (const [expected, args, options, message] of cases) {
        for (const json of [[], ["--json"]]) {
          const { code, stdout, stderr } = await world.scanvault([...args, ...json], options);
          const what = args.join(" ");
          assert.deepEqual([code, stdout], [expected, ""], `${what}: ${stderr}`);
          if (typeof message === "string") assert.equal(stderr, message, what);
          else assert.match(stderr, message, what);
        }
      }
    });

    test("sealed: accounts without secrets, Basic, create, query and QR work", async () => {
      const { world } = at;
      plain = await world.merchant("merchant-26", { webhook: false, acquirer: false });
      assert.equal(plain.webhookSecret, undefined);
      const made = await world.code(plain, "12.50");
      assert.match(made.code, /^\d{10}$/);
      assert.equal((await world.query(plain, made.code)).codeState, "Available");
      const image = await ask(world.edge, `/pluto/public/qr/${made.code}`);
      assert.deepEqual([image.status, image.headers["content-type"]], [200, "image/png"]);
    });

    test("sealed: what needs a key answers 503 with Retry-After, and nothing is half-done", async () => {
      const { world } = at;
      const { code } = await world.code(plain);
      for (const path of [payPath(code), `/Q/${code}`, `/q/${code}`]) {
        const page = await world.page(code, path);
        assert.deepEqual([page.status, page.headers["retry-after"]], [503, "30"]);
        assert.deepEqual([page.data.state, page.data.reason, page.data.key, page.data.attempt], ["busy", "sealed", "", ""]);
      }
      assertProblem(await world.post(code, "a.b.c.d.e"), 503, "sealed", SEALED, { "retry-after": "30" });
      const refused = await world.scanvault(["account", "create", "merchant-27", ...world.acquirerOptions()]);
      assert.deepEqual([refused.code, refused.stdout, refused.stderr], [1, "", `scanvault: ${SEALED}\n`]);
      const gone = await world.scanvault(["account", "show", "merchant-27"]);
      assert.equal(gone.code, 1, "no half account");
      assert.equal((await world.query(plain, code)).codeState, "Available");
      assert.deepEqual(await world.book(), []);
    });

    test("a wrong share is refused alone and by name; the ones before it stay", async () => {
      const { world } = at;
      const share = (name) => readFileSync(world.shareFile(name), "utf8").trim();
      const hand = (input, ...args) => world.scanvault(["vault", "unseal", "--share-file", "-", ...args], { input });
      const first = await hand(share("alice"), "--json");
      assert.equal(first.code, 0, first.stderr);
      const taken = JSON.parse(first.stdout);
      assert.deepEqual([taken.sealed, taken.threshold, taken.progress], [true, 2, 1]);

      const typo = share("bob").replace(/.$/, (symbol) => (symbol === "a" ? "q" : "a"));
      const foreign = foreignShare();
      for (const [what, text, message] of [
        ["mistyped", typo, "the share is mistyped: its checksum does not fit"],
        ["a wrong symbol", share("bob").replace(/.$/, "1"), /^symbol 90 is not one of a-z, 2-7$/],
        ["cut", share("bob").slice(0, -3), /^a share has 90 symbols after svshare1, this one has \d+$/],
        ["no share", "hunter2", "this is no share: a share begins with svshare1"],
        ["well-formed, but not what was dealt", altered(share("bob"), (bytes) => (bytes[30] ^= 1)), "share 2 is well-formed, but it is not the share that was dealt"],
        ["of an index that was not dealt", altered(share("bob"), (bytes) => (bytes[19] = 9)), "the share set has no share 9"],
        ["of index 0", altered(share("bob"), (bytes) => (bytes[19] = 0)), "a share with index 0 is never dealt"],
        ["of a later re-share", altered(share("bob"), (bytes) => (bytes[18] = 1)), "this share is of re-share 1, which is not in effect; the vault is at 0"],
        ["of another version", altered(share("bob"), (bytes) => (bytes[0] = 2)), "share version 2 is not known to this release"],
        ["given twice", share("alice"), "share 1 has been given already"],
        ["of another vault", foreign, "this share belongs to another share set"],
      ]) {
        const { code, stdout, stderr } = await hand(text);
        assert.deepEqual([code, stdout], [1, ""], what);
        const said = stderr.replace(/^scanvault: (.*)\n$/, "$1");
        if (typeof message === "string") assert.equal(said, message, what);
        else assert.match(said, message, what);
        const { sealed, progress, submitted } = await world.status();
        assert.deepEqual({ sealed, progress, submitted }, { sealed: true, progress: 1, submitted: [1] }, what);
      }
      // Typed by hand, in capitals and without dashes, it is still the share.
      const last = await hand(share("carol").toUpperCase().replaceAll("-", " "), "--json");
      assert.equal(last.code, 0, last.stderr);
      assert.equal(JSON.parse(last.stdout).sealed, false);
      assert.equal((await hand(share("bob"))).stderr, "scanvault: the vault is unsealed already\n");
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
        active: true,
        displayName: "Bean & <Co>",
        currency: "ZAR",
        psp: null,
        credentialVersion: 1,
        webhookUrl: world.receiver.url("merchant-25"),
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
        `{"code":"${made.code}","codeState":"Available","merchantReference":"order-1","amount":10.00,"currencyCode":"ZAR",` +
          `"expiryDate":${made.expiryDate},"expired":false,"useOnce":true,"shortDescription":"Two coffees","codeUrl":"${made.codeUrl}"}`,
      );
      paid = made;
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
        assert.deepEqual([answer.status, JSON.parse(answer.body)], [200, paid], body);
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
      assert.notEqual(JSON.parse(other.body).code, paid.code);
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
        if (typeof detail !== "string") assert.match(said, detail, amount);
        assertProblem(answer, 400, "bad-request", typeof detail === "string" ? detail : said);
      }
      assert.equal(count(), before);
      for (const [n, [amount, view, useOnce]] of [["0", "0.00", false], ["0.00", "0.00", false], ["0.01", "0.01", true], ["0.019", "0.01", true], ["9999999.99", "9999999.99", true], ["10.999", "10.99", true]].entries()) {
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
      assert.equal((await world.query(merchant, paid.code)).codeState, "Available");
    });

    test("another merchant's objects do not exist", async () => {
      const { world } = at;
      assertProblem(await world.call(plain, `/pluto/code/${paid.code}`), 404, "not-found", "Not found");
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
      assertProblem(await world.call(psp, `/pluto/code/${paid.code}`), 404, "not-found", "Not found");
    });

    test("the page of an unknown code says so; a code that has expired cannot be paid", async () => {
      const { world } = at;
      for (const code of ["0000000000", "123", "12345678901"]) {
        const page = await world.page(code);
        assert.deepEqual([page.status, page.data.state, page.data.reason], [404, "expired", "unknown-code"]);
        assertProblem(await world.post(code, "a.b.c.d.e"), 404, "not-found", "Not found");
      }
      const short = await world.code(merchant, "1.00", { expiryDate: Date.now() + 1200 });
      const sealed = await world.seal(await world.page(short.code));
      const page = await until("it has expired", async () => {
        const now = await world.page(short.code);
        return now.status !== 200 && now;
      }, { seconds: 3 });
      assert.deepEqual([page.status, page.data.state, page.data.reason], [410, "expired", "expired"]);
      assertProblem(await world.post(short.code, sealed), 410, "code-expired", "This code has expired");
      const view = await world.query(merchant, short.code);
      assert.deepEqual([view.codeState, view.expired], ["Available", true]);
      assert.deepEqual(await world.book(), []);
      // Repeated after its time, the call still gets its first answer.
      const again = await world.create(merchant, short.text);
      assert.deepEqual([again.status, JSON.parse(again.body).code], [200, short.code]);
    });

    test("the page says what is to be paid, and escapes it", async () => {
      const { world } = at;
      const page = await world.page(paid.code, `/Q/${paid.code}`);
      assert.equal(page.status, 200);
      const { state, code, currency, exponent, merchant: name, "amount-minor": minor } = page.data;
      assert.deepEqual({ state, code, currency, exponent, name, minor }, { state: "ready", code: paid.code, currency: "ZAR", exponent: "2", name: "Bean & <Co>", minor: "1000" });
      assert.ok(!page.body.includes("<Co>"));
      const left = Number(page.data["attempt-expires"]) - Date.now() / 1000;
      assert.ok(left > 890 && left <= 901, `${left} s`);
      const { kty, crv, x, y, kid, ...rest } = JSON.parse(page.data.key);
      assert.deepEqual([kty, crv, x.length, y.length, typeof kid], ["EC", "P-256", 43, 43, "string"]);
      assert.equal(rest.d, undefined, "the public half only");
    });

    test("a sealed card that says anything else than the page is refused, and nothing is asked of the acquirer", async () => {
      const { world } = at;
      const page = await world.page(paid.code);
      const other = await world.page((await world.code(merchant, "10.00")).code);
      const unreadable = "The card data could not be read. Please reload the page";
      const changed = "What is to be paid has changed. Please reload the page";
      const over = `12${String((new Date().getFullYear() - 1) % 100).padStart(2, "0")}`;
      for (const [changes, detail] of [
        [{ amount: 999 }, changed],
        [{ amount: 0 }, changed],
        [{ currency: "EUR" }, changed],
        [{ code: other.data.code }, changed],
        [{ expires: Number(page.data["attempt-expires"]) + 1 }, changed],
        [{ attempt: other.data.attempt }, unreadable],
        [{ attempt: `A${page.data.attempt.slice(1)}` }, unreadable],
        [{ pan: "41111111111" }, unreadable],
        [{ csc: "12" }, unreadable],
        [{ more: "field" }, unreadable],
        [{ exp: over }, "The card has expired"],
        [{ csc: "1234" }, "This card cannot be used here"],
      ]) {
        const sealed = await world.seal(page, CARD, changes);
        assertProblem(await world.post(paid.code, sealed), 400, "bad-request", detail);
      }
      const sealed = await world.seal(page);
      const parts = sealed.split(".");
      const flipped = [...parts.slice(0, 3), (parts[3][0] === "A" ? "B" : "A") + parts[3].slice(1), parts[4]].join(".");
      for (const text of [flipped, parts.slice(0, 4).join("."), "", "a.b.c.d.e"]) {
        assertProblem(await world.post(paid.code, text), 400, "bad-request", unreadable);
      }
      assert.deepEqual(await world.book(), []);
      assert.equal((await world.query(merchant, paid.code)).codeState, "Available");
      assert.deepEqual(world.database.rows("SELECT * FROM transactions"), []);
    });

    test("paid: one authorisation and one capture, the code used, the state a success", async () => {
      const { world } = at;
      const answer = await world.pay(paid.code);
      assert.equal(answer.status, 200, answer.body.toString());
      const { transactionId, ...rest } = JSON.parse(answer.body);
      assert.deepEqual(rest, { state: "paid" });
      assert.ok(Number.isSafeInteger(transactionId) && transactionId > 0);
      assert.deepEqual(await world.booked(transactionId), ["authorization 1000 ZAR", "capture 1000 ZAR"]);
      assert.equal((await world.book()).length, 2, "nothing else was asked for");

      const code = await world.query(merchant, paid.code);
      assert.deepEqual([code.codeState, code.transactionId], ["Used", transactionId]);
      const { date, ...state } = await world.transaction(merchant, transactionId);
      assert.match(date, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}$/);
      assert.deepEqual(state, {
        transactionId,
        reference: "order-1",
        code: paid.code,
        amount: 10,
        currencyCode: "ZAR",
        status: "SUCCESS",
        cardInfo: { bin: CARD.pan.slice(0, 6), lastFour: CARD.pan.slice(-4) },
      });
      assertProblem(await world.call(plain, `/pluto/code/transaction/state/${transactionId}`), 404, "not-found", "Not found");
      paid = { ...paid, transactionId, date };
    });

    test("the merchant is told, with a signature that holds", async () => {
      const { world } = at;
      const { receiver } = world;
      await until("a delivery", () => receiver.of("merchant-25").length > 0, { seconds: 5 });
      const [delivery, ...more] = receiver.of("merchant-25");
      assert.deepEqual(more, []);
      assert.equal(whyNotGenuine(delivery, merchant.webhookSecret), undefined);
      assert.notEqual(whyNotGenuine(delivery, `${merchant.webhookSecret}x`), undefined);
      assert.notEqual(whyNotGenuine({ ...delivery, body: Buffer.concat([delivery.body, Buffer.from(" ")]) }, merchant.webhookSecret), undefined);
      assert.match(delivery.id, /^dlv_[A-Za-z0-9_-]{22}$/);
      assert.deepEqual([delivery.method, delivery.headers["content-type"]], ["POST", "application/json"]);
      const { bin, lastFour } = { bin: CARD.pan.slice(0, 6), lastFour: CARD.pan.slice(-4) };
      assert.equal(
        delivery.body.toString(),
        `{"transactionId":${paid.transactionId},"reference":"order-1","code":"${paid.code}","amount":10.00,"currencyCode":"ZAR",` +
          `"status":"SUCCESS","cardInfo":{"bin":"${bin}","lastFour":"${lastFour}"},"date":"${paid.date}","seq":3}`,
      );
    });

    test("a code that was paid is not paid again", async () => {
      const { world } = at;
      const page = await world.page(paid.code);
      assert.deepEqual([page.status, page.data.state, page.data.key], [200, "paid", ""]);
      assertProblem(await world.post(paid.code, "a.b.c.d.e"), 409, "code-not-payable", "This code can no longer be paid");
    });

    test("an open amount is what the payer types, as often as it is paid", async () => {
      const { world } = at;
      const { code } = await world.code(merchant, "0");
      for (const amount of [150, 9_999_999_99, 1]) {
        const page = await world.page(code);
        assert.equal(page.data["amount-minor"], "");
        const answer = await world.post(code, await world.seal(page, CARD, { amount }));
        assert.equal(answer.status, 200, answer.body.toString());
        const { transactionId } = JSON.parse(answer.body);
        assert.deepEqual(await world.booked(transactionId), [`authorization ${amount} ZAR`, `capture ${amount} ZAR`]);
      }
      assert.equal((await world.query(merchant, code)).codeState, "Available");
      const page = await world.page(code);
      for (const amount of [0, 1_000_000_000]) {
        assert.equal((await world.post(code, await world.seal(page, CARD, { amount }))).status, 400, String(amount));
      }
    });

    test("a merchant without acquirer cannot take cards, and is not charged for trying", async () => {
      const { world } = at;
      const { code } = await world.code(plain);
      assertProblem(await world.pay(code), 409, "conflict", "This merchant cannot take cards yet");
      assert.equal((await world.query(plain, code)).codeState, "Available");
    });

    test("a delivery waits while the vault is sealed, and goes out when it opens", async () => {
      const { world } = at;
      const { receiver } = world;
      receiver.deliveries.length = 0;
      receiver.status = 503;
      const { code } = await world.code(merchant);
      assert.equal((await world.pay(code)).status, 200);
      await until("a first attempt", () => receiver.of("merchant-25").length === 1, { seconds: 5 });
      const row = () => world.database.rows("SELECT * FROM outbox WHERE state = 'pending'")[0];
      const failed = await until("its outcome is written", () => row()?.last_error && row(), { seconds: 5 });
      assert.deepEqual([Number(failed.attempts), failed.last_error], [1, "answered with an error"]);
      assert.equal((await world.cli("vault", "seal")).sealed, true);
      receiver.status = 200;
      // Well past the time at which it would have gone out: the worker looks once a second.
      await until("it is overdue", () => Date.now() > Number(failed.next_at_ms) + 1500, { seconds: 6 });
      assert.equal(Number(row().attempts), 1);
      assert.equal(receiver.of("merchant-25").length, 1, "nothing was sent");
      const { scanvault_outbox_pending: pending, scanvault_sealed: sealed } = await world.metrics();
      assert.deepEqual([pending, sealed], [1, 1]);
      await world.unseal(["bob", "carol"]);
      await until("the second attempt", () => receiver.of("merchant-25").length === 2, { seconds: 5 });
      const [first, second] = receiver.of("merchant-25");
      assert.equal(second.id, first.id, "the same delivery");
      assert.equal(whyNotGenuine(second, merchant.webhookSecret), undefined);
      await until("nothing waits", async () => (await world.metrics()).scanvault_outbox_pending === 0, { seconds: 5 });
    });

    test("edge and origin log each request under the id that its answer carries", async () => {
      const { world } = at;
      const answer = await world.call(merchant, `/pluto/code/${paid.code}`);
      const id = answer.headers["scanvault-request-id"];
      const [edge] = await until("the edge's line", () => found(world.logLines("edge"), id), { seconds: 5 });
      const [origin] = await until("the origin's line", () => found(world.logLines("origin"), id), { seconds: 5 });
      assert.deepEqual([edge.route, edge.status, origin.route, origin.status], ["/pluto/code/{code}", 200, "/pluto/code/{code}", 200]);
    });

    test("the QR loads when the origin is down; what needs it says 503", async () => {
      const { world } = at;
      assert.equal(await world.stopOrigin(), "exit code 0");
      for (const [path, type] of [[`/pluto/public/qr/${paid.code}`, "image/png"], [`/pluto/public/qr/${paid.code}.svg`, "image/svg+xml; charset=utf-8"]]) {
        const image = await ask(world.edge, path);
        assert.deepEqual([image.status, image.headers["content-type"]], [200, type]);
      }
      assertProblem(await world.call(merchant, `/pluto/code/${paid.code}`), 503, "origin-unreachable", UNREACHABLE, { "retry-after": "5" });
      await world.startOrigin();
      assert.equal((await world.status()).sealed, true, "it comes up sealed");
      assert.equal((await world.query(merchant, paid.code)).codeState, "Used");
    });
  },
  { opened: false },
);

const found = (lines, id) => {
  const own = lines.filter(({ requestId }) => requestId === id);
  return own.length > 0 && own;
};

/** A well-formed share of a vault that is not ours: the vector of the formats. */
function foreignShare() {
  const vectors = readFileSync(new URL("../../origin/vectors/formats.json", import.meta.url), "utf8");
  return /svshare1-[a-z2-7-]+/.exec(vectors)[0];
}

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** The share with its 52 bytes changed and the checksum made anew, from the description of the format alone. */
function altered(text, change) {
  const symbols = text.replace(/^svshare1-/, "").replaceAll("-", "");
  const bits = [...symbols].map((symbol) => BASE32.indexOf(symbol).toString(2).padStart(5, "0")).join("");
  const body = Buffer.from(bits.slice(0, 52 * 8).match(/.{8}/g).map((octet) => Number.parseInt(octet, 2)));
  change(body);
  const sum = createHash("sha256").update("scanvault/share-checksum/v1\0").update(body).digest().subarray(0, 4);
  const all = [...body, ...sum].map((octet) => octet.toString(2).padStart(8, "0")).join("").padEnd(450, "0");
  return `svshare1-${all.match(/.{5}/g).map((five) => BASE32[Number.parseInt(five, 2)]).join("")}`;
}
