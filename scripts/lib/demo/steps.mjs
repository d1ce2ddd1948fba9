// The ten steps of the story, in order. Each does its work, checks that it holds, and returns a word for the table.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv, formatEnv } from "../env.mjs";
import { EDGE_MODULES, ROOT, writeConfig } from "../workerd.mjs";
import { payInBrowser } from "./browser.mjs";
import { DemoError, logged, run, until } from "./children.mjs";
import { getBytes, getJson, statusOverTls } from "./http.mjs";
import { CUSTODIANS, THRESHOLD } from "./origin.mjs";
import { at } from "./paths.mjs";

const SANDBOX = join(process.env.SCANVAULT_BINARIES, "sandbox");
const SCANVAULT = join(process.env.SCANVAULT_BINARIES, "scanvault");
const MERCHANT = "merchant-25";
const AMOUNT_MINOR = 1000;
const CURRENCY = "ZAR";
const MONITOR = "/pluto/public/monitor";

/** A number of the schemes' own test range; it belongs to nobody. The year is always a future one. */
export const CARD = {
  pan: "4111111111111111",
  csc: "987",
  expiry: `12/${String((new Date().getFullYear() + 3) % 100).padStart(2, "0")}`,
  name: "Demo Shopper",
};

export const STEPS = [
  { title: "sandbox started", take: startSandbox },
  { title: "origin started, sealed", take: startOrigin },
  { title: "vault initialised and unsealed", take: openVault },
  { title: "built wasm serves in workerd", take: startEdge },
  { title: "merchant has an account", take: createMerchant },
  { title: "code created", take: createCode },
  { title: "QR loaded", take: loadQr },
  { title: "paid in the browser", take: pay },
  { title: "webhook verified, both states say paid", take: checkOutcome },
  { title: "everything held", take: collect },
];

async function startSandbox(demo) {
  demo.sandboxUrl = `http://127.0.0.1:${demo.ports.sandbox}`;
  mkdirSync(at("sandbox"), { recursive: true, mode: 0o700 });
  if (!existsSync(at("credentials/api-key.txt"))) {
    await run(SANDBOX, ["clearhaus-credentials", "--dir", at("credentials")]);
  }
  const serve = ["serve", "--listen", `127.0.0.1:${demo.ports.sandbox}`, "--state-dir", at("sandbox")];
  await demo.children.start("sandbox", [SANDBOX, ...serve, "--credentials", at("credentials")], {
    ready: (child) => logged(child, "listening"),
  });
  return demo.sandboxUrl;
}

async function startOrigin(demo) {
  if (!existsSync(at("ca/ca.pem"))) await run(SANDBOX, ["dev-ca", "--dir", at("ca")]);
  if (!existsSync(at("link-keys"))) {
    const key = `demo-${randomBytes(4).toString("hex")} ${randomBytes(32).toString("base64")}`;
    writeFileSync(at("link-keys"), `${key}\n`, { mode: 0o600 });
  }
  await demo.origin.start();
  return `${demo.origin.url} on ${demo.database.split(":")[0]}`;
}

async function openVault(demo) {
  const made = await demo.origin.init();
  await demo.origin.unseal();
  return `${made}, ${THRESHOLD} of ${CUSTODIANS.length} custodians`;
}

async function startEdge(demo) {
  const { ports, children } = demo;
  demo.edgeUrl = `http://127.0.0.1:${ports.edge}`;
  demo.edgeTlsUrl = `https://127.0.0.1:${ports.edgeTls}`;
  const [keyId, secret] = readFileSync(at("link-keys"), "utf8").trim().split(" ");
  const bindings = {
    ORIGINS: `a=${demo.origin.url}`,
    LINK_KEY_ID: keyId,
    LINK_SECRET: secret,
    PUBLIC_URL: demo.edgeUrl,
    CLIENT_ADDRESS: "none",
    RATE_LIMITS: "off",
  };
  // A file, not --var: the process list must not show the link secret.
  writeFileSync(at("edge.env"), formatEnv({ ...bindings, ALLOW_PLAIN_HTTP: "loopback" }), { mode: 0o600 });
  const tls = writeConfig({
    dir: at("edge-tls"),
    trust: at("ca/ca.pem"),
    workers: [{
      name: "edge",
      modules: EDGE_MODULES,
      // Without the development flag a QR must lead to https: to this edge itself.
      bindings: { ...bindings, PUBLIC_URL: demo.edgeTlsUrl, ALLOW_PLAIN_HTTP: "" },
      listen: `127.0.0.1:${ports.edgeTls}`,
      tls: { cert: at("ca/server.pem"), key: at("ca/server.key") },
    }],
  });
  await Promise.all([
    children.start("edge", wranglerCommand(ports), {
      env: wranglerEnvironment(),
      ready: async () => (await fetch(demo.edgeUrl + MONITOR)).status === 200,
      seconds: 60,
    }),
    children.start("edge-tls", tls, {
      ready: async () => (await statusOverTls(demo.edgeTlsUrl + MONITOR, at("ca/ca.pem"))) === 200,
    }),
  ]);
  return `${demo.edgeUrl}, ${demo.edgeTlsUrl}`;
}

function wranglerCommand(ports) {
  return [
    join(ROOT, "node_modules/.bin/wrangler"), "dev", "--config", join(ROOT, "wrangler.toml"),
    "--env-file", at("edge.env"), "--ip", "127.0.0.1", "--port", String(ports.edge),
    "--inspector-ip", "127.0.0.1", "--inspector-port", String(ports.inspector),
    "--persist-to", at("wrangler/state"), "--local", "--live-reload=false",
    "--show-interactive-dev-session=false", "--log-level", "log",
  ];
}

/** It asks nothing, reports nothing, looks for no update, and trusts the demo's CA for the way to the origin. */
function wranglerEnvironment() {
  return {
    CI: "1",
    NODE_EXTRA_CA_CERTS: at("ca/ca.pem"),
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_LOG_PATH: at("wrangler/logs"),
    WRANGLER_REGISTRY_PATH: at("wrangler/registry"),
    WRANGLER_CACHE_DIR: at("wrangler/cache"),
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    X_LOCAL_EXPLORER: "false",
    FORCE_COLOR: "0",
  };
}

async function createMerchant(demo) {
  const kept = existsSync(at("merchant.env")) ? parseEnv(readFileSync(at("merchant.env"), "utf8")) : undefined;
  const receiverUrl = `http://127.0.0.1:${demo.ports.receiver}/webhook`;
  demo.merchant = kept ?? (await newAccount(demo, receiverUrl));
  writeFileSync(at("merchant.env"), formatEnv(demo.merchant), { mode: 0o600 });
  writeFileSync(at("webhook-secret"), demo.merchant.secret, { mode: 0o600 });
  demo.receiverUrl = receiverUrl;
  demo.receiverLog = at("logs/deliveries.jsonl");
  const listen = `127.0.0.1:${demo.ports.receiver}`;
  const files = ["--secret-file", at("webhook-secret"), "--log", demo.receiverLog];
  await demo.children.start("receiver", [SANDBOX, "receiver", "--listen", listen, ...files], {
    ready: (child) => logged(child, "listening"),
  });
  return `${demo.merchant.user}${kept ? " (kept)" : ""}`;
}

async function newAccount(demo, receiverUrl) {
  const { account, password, webhookSecret } = await demo.origin.cli(
    "account", "create", MERCHANT, "--webhook-url", receiverUrl, "--currency", CURRENCY, "--display-name", "Demo Shop",
    "--clearhaus-api-key-file", at("credentials/api-key.txt"),
    "--clearhaus-signing-key-id", readFileSync(at("credentials/signing-key-id.txt"), "utf8").trim(),
    "--clearhaus-signing-key-file", at("credentials/signing-key.pem"),
  );
  if (account !== MERCHANT || !password || !webhookSecret) throw new DemoError("account create gave no password or secret");
  return { user: account, password, secret: webhookSecret };
}

async function createCode(demo) {
  const body = `{"merchantReference":"demo-${Date.now()}-${randomBytes(3).toString("hex")}","amount":10.00}`;
  const { user, password } = demo.merchant;
  // `curl -u`, with the password through its configuration on stdin.
  const config = [
    `url = "${demo.edgeUrl}/pluto/code/create"`, `user = "${user}:${password}"`, 'request = "POST"',
    'header = "Content-Type: application/json"', `data = ${JSON.stringify(body)}`,
    'write-out = "\\n%{http_code}"', "silent", "show-error", "max-time = 20", 'noproxy = "*"',
  ].join("\n");
  const text = await run("curl", ["--disable", "--config", "-"], { input: config, log: demo.children.logFile("edge") });
  const [answer, status] = text.split(/\n(?=\d{3}$)/);
  if (status !== "200") throw new DemoError(`POST /pluto/code/create: ${status} ${answer}`, demo.origin.log);
  const { code, expiryDate, codeUrl } = JSON.parse(answer);
  if (!/^\d{10}$/.test(code) || !(expiryDate > Date.now()) || codeUrl !== `${demo.edgeUrl}/Q/${code}`) {
    throw new DemoError(`POST /pluto/code/create: not what was promised: ${answer}`, demo.origin.log);
  }
  Object.assign(demo, { code, codeUrl });
  return code;
}

async function loadQr(demo) {
  const path = `/pluto/public/qr/${demo.code}`;
  const png = await getBytes(`${demo.edgeUrl}${path}.png`, "image/png");
  const svg = await getBytes(`${demo.edgeUrl}${path}.svg`, "image/svg+xml");
  if (png.subarray(0, 8).toString("latin1") !== "\x89PNG\r\n\x1a\n") throw new DemoError(`${path}.png is no PNG`);
  if (!/<svg[\s>]/.test(svg.toString("utf8"))) throw new DemoError(`${path}.svg is no SVG`);
  writeFileSync(at("qr.png"), png);
  writeFileSync(at("qr.svg"), svg);
  console.log(`\n${await run(SCANVAULT, ["qr", demo.codeUrl])}\n${demo.codeUrl}\n`);
  return `PNG ${png.readUInt32BE(16)} px, ${png.length} bytes; SVG ${svg.length} bytes`;
}

async function pay(demo) {
  const before = (await getJson(`${demo.sandboxUrl}/_book`)).length;
  const answer = await payInBrowser(demo, CARD, { amountMinor: AMOUNT_MINOR, currency: CURRENCY });
  demo.transactionId = answer.transactionId;
  const booked = (await getJson(`${demo.sandboxUrl}/_book`)).slice(before).filter((entry) => entry.booked);
  for (const kind of ["authorization", "capture"]) {
    const found = booked.filter((entry) => entry.kind === kind && entry.amount === AMOUNT_MINOR && entry.currency === CURRENCY);
    if (found.length !== 1) {
      throw new DemoError(`the acquirer's book has ${found.length} entries of kind ${kind}, not 1`, demo.children.logFile("sandbox"));
    }
  }
  return `transaction ${answer.transactionId}, authorised and captured`;
}

async function checkOutcome(demo) {
  const log = demo.children.logFile("receiver");
  const delivery = await until("a webhook about this payment", async () => {
    const deliveries = await getJson(new URL("/_log", demo.receiverUrl));
    return deliveries.find((entry) => JSON.stringify(entry.body).includes(demo.code));
  }, { seconds: 20, log });
  if (delivery.verified !== true) throw new DemoError("the receiver could not verify the webhook", log);
  const { user, password } = demo.merchant;
  const basic = { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
  const code = await getJson(`${demo.edgeUrl}/pluto/code/${demo.code}`, basic);
  if (code.codeState !== "Used") throw new DemoError(`codeState is ${code.codeState}, not Used`, demo.origin.log);
  const state = await getJson(`${demo.edgeUrl}/pluto/code/transaction/state/${demo.transactionId}`, basic);
  if (state.status !== "SUCCESS") throw new DemoError(`status is ${state.status}, not SUCCESS`, demo.origin.log);
  return `delivery ${delivery.delivery}; Used, SUCCESS`;
}

/** What `.demo/env` will say; outside checks use these names. */
async function collect(demo) {
  const [SHARE_1, SHARE_2, SHARE_3] = CUSTODIANS.map((name) => demo.origin.shareFile(name));
  demo.env = {
    EDGE_URL: demo.edgeUrl,
    ORIGIN_URL: demo.origin.url,
    ORIGIN_CA: at("ca/ca.pem"),
    ADMIN_URL: demo.origin.adminUrl,
    SANDBOX_URL: demo.sandboxUrl,
    MERCHANT_USER: demo.merchant.user,
    MERCHANT_PASSWORD: demo.merchant.password,
    SHARE_1,
    SHARE_2,
    SHARE_3,
    DATABASE_URL: demo.database,
    ORIGIN_LOG: demo.origin.log,
    EDGE_LOG: demo.children.logFile("edge"),
    EDGE_TLS_URL: demo.edgeTlsUrl,
    EDGE_CA: at("ca/ca.pem"),
    RECEIVER_URL: demo.receiverUrl,
    RECEIVER_LOG: demo.receiverLog,
    WEBHOOK_SECRET: demo.merchant.secret,
    TEST_PAN: CARD.pan,
  };
  return ".demo/env written";
}
