// The vault's ceremonies through the CLI, and what works while it is sealed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { ask, assertProblem } from "../lib/answers.mjs";
import { onBothDatabases } from "./both.mjs";
import { payPath } from "./shopper.mjs";
import { CUSTODIANS } from "./world.mjs";

const SEALED = "The vault is sealed; nothing was done, try again later";

onBothDatabases(
  (at) => {
    let plain;

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
      const two = (one, other) => ["--custodian", one, "--custodian", other];
      for (const [threshold, custodians] of [
        ["1", two(`x=${recipient}`, `y=${second}`)],
        ["3", two(`x=${recipient}`, `y=${second}`)],
        ["2", two(`x=${recipient}`, `x=${second}`)],
        ["2", two(`x=${recipient}`, `y=${recipient}`)],
        ["2", two("x=age1", "y=age1")],
      ]) {
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
      const expected = CUSTODIANS.map((name, n) => [name, n + 1, `${world.shareFile(name)}.age`]);
      assert.deepEqual(shares.map(({ custodian, index, file }) => [custodian, index, file]), expected);
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
        [2, ["vault", "status"], { env: { ADMIN_URL: "http://127.0.0.1:1" } }, "scanvault: the admin address has the form unix:///path or https://host:port\n"],
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
  },
  { opened: false },
);

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
