// What a merchant's own tools make of our deliveries: openssl, and nothing of ours, decrypts and verifies the documented
// vectors and a real delivery, in both formats, and a ping.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { ROOT } from "../../scripts/lib/workerd.mjs";
import { onBothDatabases } from "./both.mjs";
import { CARD } from "./shopper.mjs";
import { until } from "./world.mjs";

const ZERO_IV = "00".repeat(16);

/** Runs openssl; its standard output, as bytes. */
function openssl(args, input) {
  const { status, stdout, stderr } = spawnSync("openssl", args, { input });
  assert.equal(status, 0, `openssl ${args[0]}: ${stderr}`);
  return stdout;
}

const decrypted = (key, text) => openssl(["enc", "-d", "-aes-128-cbc", "-K", key, "-iv", ZERO_IV, "-a", "-A"], text).toString();
const encrypted = (key, text) => openssl(["enc", "-aes-128-cbc", "-K", key, "-iv", ZERO_IV, "-a", "-A"], text).toString();
// An API key has a colon in it, which -macopt takes as it is.
const hmac = (key, input, ...more) => openssl(["dgst", "-sha256", "-mac", "HMAC", "-macopt", `key:${key}`, ...more], input);
const hexHmac = (key, input) => hmac(key, input).toString().trim().split("= ").at(-1);

function assertSigned({ headers, body }, secret) {
  const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers["scanvault-signature"]);
  assert.equal(hexHmac(secret, `${t}.${headers["scanvault-delivery"]}.${body}`), v1);
}

describe("the documented vectors", () => {
  const vectors = JSON.parse(readFileSync(join(ROOT, "origin/vectors/notifications.json"), "utf8"));

  test("openssl encrypts and decrypts them", () => {
    assert.ok(vectors.pluto.length >= 3);
    for (const { name, key, plain, sent } of vectors.pluto) {
      assert.equal(decrypted(key, sent), plain, name);
      assert.equal(encrypted(key, plain), sent, name);
    }
  });

  test("openssl verifies their signatures", () => {
    for (const { secret, t, delivery, sent, v1 } of vectors.signature) assert.equal(hexHmac(secret, `${t}.${delivery}.${sent}`), v1);
    for (const { key, body, signature } of vectors.ping) assert.equal(hmac(key, body, "-binary").toString("base64"), signature);
  });
});

onBothDatabases((at) => {
  let merchant, key;
  before(async () => {
    const { world } = at;
    merchant = await world.merchant("merchant-25");
    ({ notificationKey: key } = await world.cli("account", "set", "merchant-25", "--webhook-format", "pluto"));
    world.secrets.add("notification key of merchant-25", key, Buffer.from(key, "hex"));
  });

  const delivered = async (count) => {
    const { receiver } = at.world;
    await until(`${count} deliveries`, () => receiver.of("merchant-25").length >= count, { seconds: 10 });
    return receiver.of("merchant-25").at(count - 1);
  };

  test("openssl reads a real delivery, and verifies it", async () => {
    const { world } = at;
    const { code, reference } = await world.code(merchant, "12.50");
    const paid = await world.pay(code);
    assert.equal(paid.status, 200, paid.body.toString());
    const delivery = await delivered(1);
    assert.match(delivery.headers["content-type"], /^text\/plain/);
    assertSigned(delivery, merchant.webhookSecret);
    const text = decrypted(key, delivery.body);
    const { transactionId, date, ...told } = JSON.parse(text);
    assert.equal(transactionId, JSON.parse(paid.body).transactionId);
    assert.match(date, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}$/);
    const { authCode: _a, bankResponse: _b, ...stable } = told;
    assert.deepEqual(stable, {
      reference, code, amount: 12.5, currencyCode: "ZAR", status: "SUCCESS",
      cardInfo: { cardType: "VISA", binLast4: CARD.pan.slice(0, 6) + CARD.pan.slice(-4), accountType: "Credit Card" },
    });
    assert.ok(text.includes('"amount":12.50,'), text);
  });

  test("and with a new key and a new secret, which are there from then on", async () => {
    const { world } = at;
    const renewed = (await world.cli("account", "webhook-key", "merchant-25")).notificationKey;
    const { webhookSecret } = await world.cli("account", "webhook-secret", "merchant-25");
    world.secrets.add("new notification key", renewed, Buffer.from(renewed, "hex"));
    world.secrets.add("new webhook secret", webhookSecret);
    assert.notEqual(renewed, key);
    await world.pay((await world.code(merchant, "1.00")).code);
    const delivery = await delivered(2);
    assertSigned(delivery, webhookSecret);
    assert.equal(JSON.parse(decrypted(renewed, delivery.body)).status, "SUCCESS");
    assert.notEqual(spawnSync("openssl", ["enc", "-d", "-aes-128-cbc", "-K", key, "-iv", ZERO_IV, "-a", "-A"], { input: delivery.body }).stdout.toString(), decrypted(renewed, delivery.body));
  });

  test("the probe is not encrypted, and is signed", async () => {
    const { world } = at;
    const { webhookSecret } = await world.cli("account", "webhook-secret", "merchant-25");
    world.secrets.add("third webhook secret", webhookSecret);
    assert.deepEqual(await world.cli("account", "webhook-test", "merchant-25"), { account: "merchant-25", ok: true, status: 200, error: null });
    const probe = world.receiver.of("merchant-25").at(-1);
    assert.equal(probe.body.toString(), '{"result":"TEST"}');
    assertSigned(probe, webhookSecret);
    world.receiver.status = 500;
    const { code } = await world.scanvault(["account", "webhook-test", "merchant-25"]);
    world.receiver.status = 200;
    assert.equal(code, 1, "a receiver that says no is refused");
  });

  test("openssl verifies pings with the whole API key, after a rotation with the new one", async () => {
    const { world } = at;
    const file = world.at("api-key.txt");
    writeFileSync(file, `25:${merchant.password}\n`, { mode: 0o600 });
    await world.cli("account", "set", "merchant-25", "--ping-url", world.receiver.url("ping"), "--api-key", file);
    const verified = async (apiKey) => {
      const count = world.receiver.of("ping").length;
      await world.pay((await world.code(merchant, "1.00")).code);
      await until("a ping", () => world.receiver.of("ping").length > count, { seconds: 10 });
      const { headers, body } = world.receiver.of("ping").at(-1);
      assert.equal(JSON.parse(body).shopid, 25);
      assert.equal(hmac(apiKey, body, "-binary").toString("base64"), headers["x-signature"]);
    };
    await until("the first ping", () => world.receiver.of("ping").length > 0, { seconds: 10 });
    await verified(`25:${merchant.password}`);
    const { password } = await world.cli("account", "rotate", "merchant-25");
    world.secrets.add("new password", password);
    merchant.password = password;
    await verified(`25:${password}`);
  });
});
