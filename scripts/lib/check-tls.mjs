// The checks of scripts/check-tls. Each adds lines to a report: what is required and holds or fails, and what is only
// worth knowing.

import { Resolver } from "node:dns/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import { connect } from "node:tls";
import { SSL30, TLS10, TLS11, TLS12, TLS13, suitesOf } from "./tls-hello.mjs";

const TIMEOUT_MS = 10_000;
const DAY_MS = 86_400_000;
/** A certificate this near its end was not renewed in time. */
const LEAST_DAYS = 10;
const MONITOR = "/pluto/public/monitor";
/** What the edge sends; the preload list asks for a year at least. */
const HSTS_SECONDS = 63_072_000;

const NAMES = {
  0x1301: "TLS_AES_128_GCM_SHA256",
  0x1302: "TLS_AES_256_GCM_SHA384",
  0x1303: "TLS_CHACHA20_POLY1305_SHA256",
  0xc02b: "ECDHE-ECDSA-AES128-GCM-SHA256",
  0xc02c: "ECDHE-ECDSA-AES256-GCM-SHA384",
  0xcca9: "ECDHE-ECDSA-CHACHA20-POLY1305",
};
const hex = (suite) => `0x${suite.toString(16).padStart(4, "0")}`;
const RSA = "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1";

export class Report {
  lines = [];
  failed = 0;

  head(text) {
    this.lines.push("", text);
  }
  /** What is required. */
  check(holds, text) {
    if (!holds) this.failed += 1;
    this.lines.push(`  ${holds ? "ok  " : "FAIL"}  ${text}`);
  }
  note(text) {
    this.lines.push(`  note  ${text}`);
  }
}

/** `to` is {host, port, address, plainPort, ca, resolver, isSubmitted}. Throws when nothing answers. */
export async function checkHost(to) {
  const report = new Report();
  await checkProtocols(to, report);
  await checkCertificate(to, report);
  await checkHsts(to, report);
  await checkPlain(to, report);
  await checkCaa(to, report);
  return report;
}

// --- TLS -------------------------------------------------------------------------------------------------------------

async function checkProtocols(to, report) {
  report.head("Protocols and suites");
  for (const [version, name] of [[SSL30, "SSL 3.0"], [TLS10, "TLS 1.0"], [TLS11, "TLS 1.1"]]) {
    const { suites, refusal } = await suitesOf(to, version);
    report.check(suites.length === 0, suites.length === 0 ? `${name} refused (${refusal})` : `${name} offered`);
  }
  for (const [version, name] of [[TLS12, "TLS 1.2"], [TLS13, "TLS 1.3"]]) {
    const { suites, refusal } = await suitesOf(to, version);
    if (version === TLS13) report.check(suites.length > 0, suites.length > 0 ? `${name} offered` : `${name} refused (${refusal})`);
    else report.note(suites.length > 0 ? `${name} offered` : `${name} refused (${refusal})`);
    for (const suite of suites) report.check(suite in NAMES, `${name}: ${NAMES[suite] ?? `${hex(suite)}, not one of ours`}`);
  }
}

async function checkCertificate(to, report) {
  report.head("Certificate");
  const socket = await handshake(to, { rejectUnauthorized: false });
  if (socket.error) {
    report.check(false, `no handshake: ${socket.error.message}`);
    return;
  }
  const { authorized, authorizationError, certificate } = socket;
  report.check(authorized, authorized ? `trusted for ${to.host}` : `not trusted: ${authorizationError?.message ?? authorizationError}`);
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
  report.check(type === "ec", `key: ${type === "ec" ? `ECDSA, ${details.namedCurve}` : type}`);
  const days = Math.floor((new Date(certificate.validTo).getTime() - Date.now()) / DAY_MS);
  report.check(days >= LEAST_DAYS, `ends in ${days} days (${certificate.validTo})`);
  report.note(`issued by ${certificate.issuer.replaceAll("\n", ", ")}`);
  for (const version of ["TLSv1.2", "TLSv1.3"]) {
    const rsa = await handshake(to, { rejectUnauthorized: false, sigalgs: RSA, minVersion: version, maxVersion: version, ciphers: "ALL" });
    report.check(rsa.error !== undefined, rsa.error ? `no RSA certificate beside it, ${version}` : `an RSA certificate is served, ${version}`);
  }
}

/** `{authorized, authorizationError, certificate}`, or `{error}`. */
function handshake(to, options) {
  return new Promise((done) => {
    const name = isIP(to.host) ? {} : { servername: to.host };
    const socket = connect({ host: to.address, port: to.port, ca: to.ca, ...name, ...options }, () => {
      const { authorized, authorizationError } = socket;
      done({ authorized, authorizationError, certificate: socket.getPeerX509Certificate() });
      socket.destroy();
    });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("no answer")));
    socket.on("error", (error) => done({ error }));
  });
}

// --- HTTP ------------------------------------------------------------------------------------------------------------

function ask(to, path, { secure = true, method = "GET", headers = {}, body } = {}) {
  const port = secure ? to.port : to.plainPort;
  const authority = port === (secure ? 443 : 80) ? to.host : `${to.host}:${port}`;
  // What is not trusted has been said; here it is the answer that counts.
  const name = isIP(to.host) ? {} : { servername: to.host };
  const tls = secure ? { ca: to.ca, rejectUnauthorized: false, ...name } : {};
  const options = { host: to.address, port, path, method, headers: { host: authority, ...headers }, agent: false, timeout: TIMEOUT_MS, ...tls };
  return new Promise((done, failed) => {
    const request = (secure ? httpsRequest : httpRequest)(options, (response) => {
      response.resume();
      response.on("end", () => done({ status: response.statusCode, headers: response.headers, raw: response.rawHeaders }));
      response.on("error", failed);
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", failed);
    request.end(body);
  });
}

async function checkHsts(to, report) {
  report.head("HSTS");
  for (const path of [MONITOR, "/", "/pluto/code/0000000000"]) {
    const answer = await ask(to, path).catch((error) => ({ error }));
    if (answer.error) {
      report.check(false, `GET ${path}: ${answer.error.message}`);
      continue;
    }
    const values = answer.raw.filter((_, at) => at % 2 === 1 && answer.raw[at - 1].toLowerCase() === "strict-transport-security");
    report.check(values.length === 1 && isStrict(values[0]), `GET ${path}, ${answer.status}: ${values.join(" | ") || "no header"}`);
  }
}

/** Two years, subdomains, preload: RFC 6797, and the preload list's conditions on the header. */
function isStrict(value) {
  const directives = value.toLowerCase().split(";").map((directive) => directive.trim());
  const age = directives.map((directive) => /^max-age="?(\d+)"?$/.exec(directive)?.[1]).find(Boolean);
  return Number(age) >= HSTS_SECONDS && directives.includes("includesubdomains") && directives.includes("preload");
}

async function checkPlain(to, report) {
  report.head(`Plain HTTP, port ${to.plainPort}`);
  const first = await ask(to, MONITOR, { secure: false }).catch((error) => ({ error }));
  if (first.error) {
    const isClosed = ["ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"].includes(first.error.code) || first.error.message === "no answer";
    report.check(isClosed, isClosed ? "closed" : `no HTTP: ${first.error.message}`);
    return;
  }
  for (const method of ["GET", "HEAD"]) {
    const { status, headers } = await ask(to, MONITOR, { secure: false, method });
    const isRight = [301, 308].includes(status) && headers.location === `https://${to.host}${MONITOR}`;
    report.check(isRight, `${method} ${MONITOR}: ${status} ${headers.location ?? ""}`.trimEnd());
  }
  const root = await ask(to, "/", { secure: false });
  const goesOn = [301, 302, 307, 308].includes(root.status) && root.headers.location?.startsWith(`https://${to.host}/`);
  if (to.isSubmitted) report.check(goesOn, `GET /, as the preload list asks: ${root.status} ${root.headers.location ?? ""}`.trimEnd());
  else if (!goesOn) report.note(`GET /: ${root.status}; the preload list wants a redirect of the name that is submitted to it`);
  const credential = `Basic ${Buffer.from("check-tls:nobody").toString("base64")}`;
  for (const [what, options] of [
    ["GET with a credential", { headers: { authorization: credential } }],
    ["POST", { method: "POST", body: "{}", headers: { "content-type": "application/json", "content-length": 2 } }],
  ]) {
    const { status } = await ask(to, MONITOR, { secure: false, ...options });
    report.check(status === 403, `${what}: ${status}, to be refused with 403`);
  }
}

// --- DNS -------------------------------------------------------------------------------------------------------------

/** RFC 8659 §3: the records of the name, or of the nearest parent that has some. */
async function checkCaa(to, report) {
  report.head("CAA");
  if (isIP(to.host) || !to.host.includes(".")) {
    report.note("not checked: no name of the public DNS");
    return;
  }
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  if (to.resolver) resolver.setServers([to.resolver]);
  const labels = to.host.split(".");
  for (let at = 0; at < labels.length; at++) {
    const name = labels.slice(at).join(".");
    const { records, error } = await resolver.resolveCaa(name).then((records) => ({ records }), (error) => ({ error }));
    if (error && !["ENODATA", "ENOTFOUND"].includes(error.code)) {
      report.note(`not checked: no resolver answered for ${name} (${error.code})`);
      return;
    }
    if (error || records.length === 0) continue;
    const texts = records.map(({ critical, ...property }) => Object.entries(property).map(([tag, value]) => `${critical} ${tag} "${value}"`)[0]);
    report.check(records.some(({ issue }) => issue !== undefined), `${name}: says who may issue`);
    for (const text of texts) report.note(`${name} CAA ${text}`);
    const open = records.filter(({ issue }) => issue && issue !== ";" && !/;\s*\S/.test(issue)).length;
    if (open > 0) report.note(`${open} of them bind neither account nor method (accounturi, validationmethods)`);
    if (!records.some(({ issuewild }) => issuewild !== undefined)) report.note("wildcards are as free as single names: no issuewild");
    return;
  }
  report.check(false, `no CAA record at ${to.host} or above: any CA may issue`);
}
