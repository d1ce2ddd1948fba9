// Attack texts where free text is taken by design: stored as they came, told as they came, and shown on the pay page as
// text. And bodies that are nested too deeply, on every row that takes JSON: 400, whatever is in them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ATTACKS } from "../edge/attacks.mjs";
import { ask } from "../lib/answers.mjs";
import { pageData } from "./shopper.mjs";
import { startWorld } from "./world.mjs";

let world, merchant;

before(async () => {
  world = await startWorld("sqlite", { limits: "off" });
  merchant = await world.merchant("merchant-25", { webhook: false });
});
after(() => world?.close());

const unescape = (text) => text.replace(/&(quot|lt|gt|#39|#x27|amp);/g, (_, name) => ({ quot: '"', lt: "<", gt: ">", "#39": "'", "#x27": "'", amp: "&" })[name]);

test("free text is data: kept and told byte for byte, and escaped on the page", async () => {
  let shown = 0;
  for (const { category, text } of ATTACKS) {
    const answer = await world.create(merchant, { merchantReference: `ref-${shown}`, amount: 10, shortDescription: text });
    shown += 1;
    // Up to 45 characters without controls: the others are refused by the field's own rule.
    if ([...text].length > 45 || /\p{Cc}/u.test(text)) {
      assert.equal(answer.status, 400, `${category}: ${JSON.stringify(text)}`);
      continue;
    }
    assert.equal(answer.status, 200, `${category}: ${text}: ${answer.body}`);
    const { code } = JSON.parse(answer.body);
    const page = await world.page(code);
    assert.equal(page.status, 200);
    assert.equal(pageData(page.body).state, "ready");
    const html = page.body.toString();
    // What turns the direction of a line is kept for the merchant, and not shown to the payer.
    if (/\p{Cf}/u.test(text)) assert.ok(!html.includes(text), category);
    else assert.ok(unescape(html).includes(text), `${category}: ${text} is not shown`);
    if (/[<>"]/.test(text)) assert.ok(!html.includes(text), `${category}: ${text} is not escaped`);
    assert.equal((html.match(/<(script|img|svg|iframe)\b/g) ?? []).length, (plain(html).match(/<(script|img|svg|iframe)\b/g) ?? []).length);
  }
  assert.ok(shown > 80);
});

/** The page without what the merchant gave: as many elements as the template has. */
let template;
function plain(html) {
  template ??= html;
  return template;
}

const DEEP = { array: "[".repeat(3_000), closed: `${"[".repeat(100)}${"]".repeat(100)}`, object: '{"a":'.repeat(2_000), unknown: `{"unknown":${"[".repeat(50)}${"]".repeat(50)}}` };

test("a body that is nested deeper than any of ours is 400 on every path that takes JSON", async () => {
  const made = JSON.parse((await world.create(merchant, { merchantReference: "deep", amount: 10 })).body);
  const rows = [
    ["POST", "/pluto/code/create"], ["PUT", `/pluto/code/${made.code}`], ["PUT", `/pluto/code/${made.code}/amount`],
    ["POST", "/pluto/code/queryRef"], ["POST", "/pluto/code/queryRef/refund"], ["POST", "/pluto/code/transaction/stateByQr"],
    ["POST", "/pluto/purchase/81234"], ["POST", "/pluto/purchase/81234/refund"], ["POST", "/authentication/login"],
    ["POST", `/pluto/public/pay/${made.code}`], ["POST", `/pluto/public/pay/${made.code}/mobilepay`],
    ["POST", "/v1/new"], ["POST", "/v1/transactions/1/capture"], ["POST", "/v1/transactions/1/refund"], ["POST", "/v1/transactions/1/void"],
    ["POST", "/v1/subscribers/1/charge"], ["POST", "/v1/subscribers/1/renew"],
  ];
  const authorization = `Basic ${Buffer.from(`merchant-25:${merchant.password}`).toString("base64")}`;
  for (const [method, path] of rows) {
    for (const [kind, body] of Object.entries(DEEP)) {
      const open = path.startsWith("/pluto/public/") || path.startsWith("/authentication/");
      const headers = { "content-type": "application/json", "idempotency-key": "k", ...(open ? {} : { authorization }) };
      const answer = await ask(world.edge, path, { method, headers, body });
      assert.equal(answer.status, 400, `${method} ${path} ${kind}: ${answer.body}`);
      if (path.startsWith("/v1/")) assert.equal(answer.body.toString(), "invalid json\n");
      else assert.match(answer.body.toString(), /nested too deeply/);
    }
  }
  assert.ok(!/panicked/.test(world.log("origin")));
});
