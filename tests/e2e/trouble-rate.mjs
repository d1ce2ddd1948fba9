#!/usr/bin/env node
// How fast images load while the origin is in trouble, beside how fast they do with one that answers. `scripts/soak trouble`
// runs it. The same number of calls of the API goes to both, so that only what an origin's trouble costs differs. The troubled
// origins and the load share cores with the edge, so the edge's own CPU time is shown too.
//   trouble-rate.mjs [--seconds S] [--rounds N]

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { randomBytes } from "node:crypto";
import { Children } from "../../scripts/lib/demo/children.mjs";
import { EDGE_MODULES, writeConfig } from "../../scripts/lib/workerd.mjs";
import { selfSigned } from "../edge/certificate.mjs";
import { TROUBLES, Troubled, whole } from "../edge/troubled.mjs";
import { ask, basic } from "../lib/answers.mjs";
import { freePorts } from "./world.mjs";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "3" }, rounds: { type: "string", default: "5" } } });
const [ROUND_MS, ROUNDS] = [Number(values.seconds) * 1000, Number(values.rounds)];
const IMAGE_CONNECTIONS = 8;
/** Calls of the API in a second: half of them reads. */
const CALLS = 40;
const CODE = "/pluto/code/0123456789";
const AUTHORIZATION = basic("merchant-25");

const healthy = (socket, { id }) => socket.write(`${whole(id, "{}")}{}`);
const KINDS = {
  "stopped": undefined,
  ...Object.fromEntries(["never answers", "cuts the connection when a request comes", "does not speak HTTP", "sends headers without an end"].map((name) => [name, TROUBLES[name].does])),
};

const dir = mkdtempSync(join(tmpdir(), "scanvault-trouble-"));
const children = new Children(randomBytes(12).toString("hex"), join(dir, "logs"));
const origins = [];
let wrong = 0;
try {
  const tls = selfSigned();
  writeFileSync(join(dir, "ca.pem"), tls.cert);
  const well = await startEdge("well", tls, healthy);
  console.log(`images of 1024 px, ${CALLS} calls of the API a second beside them, an origin in trouble beside one that answers; medians of ${ROUNDS} rounds of ${ROUND_MS / 1000} s`);
  for (const [name, does] of Object.entries(KINDS)) {
    const troubled = await startEdge(name.replaceAll(" ", "-"), tls, does);
    const rounds = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [at, edge] of [well, troubled].entries()) rounds[at].push(await measure(edge));
    }
    const [beside, own] = rounds.map((of) => ({ rate: median(of.map(({ rate }) => rate)), perCpu: median(of.map(({ perCpu }) => perCpu)) }));
    const shown = (what) => `${String(Math.round(own[what])).padStart(6)} beside ${String(Math.round(beside[what])).padStart(6)}, ratio ${(own[what] / beside[what]).toFixed(2)}`;
    console.log(`${name.padEnd(45)} a second: ${shown("rate")}; a second of the edge's CPU: ${shown("perCpu")}`);
    await children.end(name.replaceAll(" ", "-"));
  }
} finally {
  await children.endAll();
  origins.forEach((origin) => origin.close());
  rmSync(dir, { recursive: true, force: true });
}
if (wrong > 0) console.error(`${wrong} images did not load`);
process.exitCode = wrong === 0 ? 0 : 1;

async function startEdge(name, tls, does) {
  const { port } = await freePorts("port");
  let url = "https://localhost:1";
  if (does) {
    const origin = await new Troubled(tls, does).listen();
    origins.push(origin);
    ({ url } = origin);
  }
  const base = `http://127.0.0.1:${port}`;
  const bindings = {
    ORIGINS: `a=${url}`, LINK_KEY_ID: "edge-test", LINK_SECRET: Buffer.alloc(32, 7).toString("base64"),
    PUBLIC_URL: "https://pay.example", ALLOW_PLAIN_HTTP: "loopback", CLIENT_ADDRESS: "none", RATE_LIMITS: "off",
  };
  const worker = { name: "edge", modules: EDGE_MODULES, bindings, listen: `127.0.0.1:${port}` };
  const ready = async () => (await ask(base, "/pluto/public/monitor")).status === 200;
  const { pid } = await children.start(name, writeConfig({ dir: join(dir, name), workers: [worker], trust: join(dir, "ca.pem") }), { ready });
  return { base, pid };
}

/** Images in a second, over connections that are kept, while calls of the API go their own way. */
async function measure({ base, pid }) {
  const agent = new Agent({ keepAlive: true, maxSockets: IMAGE_CONNECTIONS });
  const calls = new Agent({ keepAlive: true });
  const [until, cpu] = [performance.now() + ROUND_MS, cpuSeconds(pid)];
  let loaded = 0;
  const one = async (n) => {
    while (performance.now() < until) {
      const status = await fetchOver(agent, base, `/pluto/public/qr/${String(n).padStart(10, "0")}.png?size=1024`);
      if (status === 200) loaded += 1;
      else wrong += 1;
      n += IMAGE_CONNECTIONS;
    }
  };
  const options = { headers: { authorization: AUTHORIZATION } };
  const posted = { method: "POST", headers: { ...options.headers, "content-type": "application/json", "content-length": 2 }, body: "{}" };
  let count = 0;
  const calling = setInterval(() => {
    count += 1;
    fetchOver(calls, base, ...(count % 2 ? [CODE, options] : ["/pluto/code/create", posted])).catch(() => {});
  }, 1000 / CALLS);
  await Promise.all(Array.from({ length: IMAGE_CONNECTIONS }, (_, n) => one(n)));
  clearInterval(calling);
  agent.destroy();
  calls.destroy();
  return { rate: (loaded * 1000) / ROUND_MS, perCpu: loaded / (cpuSeconds(pid) - cpu) };
}

function fetchOver(agent, base, path, { method = "GET", headers = {}, body } = {}) {
  return new Promise((done, failed) => {
    const asked = request(new URL(path, base), { agent, method, headers }, (response) => {
      response.resume();
      response.on("end", () => done(response.statusCode));
      response.on("error", failed);
    });
    asked.on("error", failed);
    asked.end(body);
  });
}

/** User and system time of a process so far (proc(5): fields 14 and 15, in hundredths). */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
