// Runs workers under plain workerd: writes its configuration, from files, into a directory of its own.
// Used by the demo (the TLS edge), the benches and the tests; `scripts/lib/workerd-config` is the same from a shell.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import workerdBinary from "workerd";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The runtime's own program: its npm wrapper would stay between us and the process that signals must reach. */
export const WORKERD = workerdBinary.default ?? workerdBinary;

/** The built worker, as `scripts/build-edge` leaves it. The first module is the entry. */
export const EDGE_MODULES = ["index.js", "index_bg.wasm"].map((name) => join(ROOT, "edge/build", name));

/** What the origin's own listener takes too. Those of TLS 1.3 cannot be chosen, and need not be. */
export const TLS12_SUITES = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305";

/** The one place that fixes the runtime's behaviour is wrangler.toml. */
export function compatibilityDate() {
  const found = /^compatibility_date\s*=\s*"([0-9-]+)"/m.exec(readFileSync(join(ROOT, "wrangler.toml"), "utf8"));
  if (!found) throw new Error("wrangler.toml has no compatibility_date");
  return found[1];
}

/**
 * Writes `dir/config.capnp` and what it embeds; returns the command line that serves it.
 *
 * workers: [{ name, modules: [file…], bindings: {NAME: text}, flags: [compatibility flag…] or none,
 *          listen: "127.0.0.1:PORT", tls: {cert, key} | undefined }]
 * trust:   PEM file of the only CA that outgoing connections trust; without it none is trusted.
 * client:  {cert, key} that outgoing connections show to a server that asks for it.
 */
export function writeConfig({ dir, workers, trust, client }) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const put = (path, text) => {
    mkdirSync(dirname(join(dir, path)), { recursive: true, mode: 0o700 });
    writeFileSync(join(dir, path), text, { mode: 0o600 });
    return `embed ${quote(path)}`;
  };
  const services = workers.map((worker) => `    (name = ${quote(worker.name)}, worker = ${workerText(worker, dir, put)}),`);
  const sockets = workers.map((worker) => `    ${socketText(worker, put)},`);
  // Several certificates in one file count: workerd takes one per list item.
  const trusted = trust ? certificates(trust).map((pem, n) => put(`trust/${n}.pem`, pem)) : [];
  const shown = client ? `keypair = ${keypair("client", client, put)}, ` : "";
  writeFileSync(
    join(dir, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
${services.join("\n")}
    (name = "internet", network = (
      allow = ["public", "private"],
      tlsOptions = (${shown}trustBrowserCas = false, trustedCertificates = [${trusted.join(", ")}]),
    )),
  ],
  sockets = [
${sockets.join("\n")}
  ],
);
`,
    { mode: 0o600 },
  );
  return [WORKERD, "serve", "--verbose", join(dir, "config.capnp")];
}

function workerText({ name, modules, bindings = {}, flags = [] }, dir, put) {
  mkdirSync(join(dir, name), { recursive: true, mode: 0o700 });
  const moduleTexts = modules.map((file) => {
    copyFileSync(file, join(dir, name, basename(file)));
    const kind = file.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = ${quote(basename(file))}, ${kind} = embed ${quote(`${name}/${basename(file)}`)})`;
  });
  const bindingTexts = Object.entries(bindings).map(
    ([key, text]) => `(name = ${quote(key)}, text = ${put(`${name}/bindings/${key}`, text)})`,
  );
  return `(
      compatibilityDate = ${quote(compatibilityDate())},
      compatibilityFlags = [${flags.map(quote).join(", ")}],
      modules = [${moduleTexts.join(", ")}],
      bindings = [${bindingTexts.join(", ")}],
    )`;
}

function socketText({ name, listen, tls }, put) {
  const head = `name = ${quote(name)}, address = ${quote(listen)}, service = ${quote(name)}`;
  if (!tls) return `(${head}, http = ())`;
  return `(${head}, https = (options = (), tlsOptions = (
      keypair = ${keypair(`${name}/tls`, tls, put)}, minVersion = tls1Dot2, cipherList = ${quote(TLS12_SUITES)},
    )))`;
}

function keypair(folder, { cert, key }, put) {
  const [privateKey, chain] = [put(`${folder}/key.pem`, readFileSync(key)), put(`${folder}/chain.pem`, readFileSync(cert))];
  return `(privateKey = ${privateKey}, certificateChain = ${chain})`;
}

function certificates(file) {
  const found = readFileSync(file, "utf8").match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n?/g);
  if (!found) throw new Error(`no certificate in ${file}`);
  return found;
}

// Cap'n Proto's text syntax has C's escapes; JSON's are a subset of them but for \u, which no name of ours needs.
export function quote(text) {
  if (/[^\x20-\x7e]/.test(text)) throw new Error(`not plain ASCII: ${JSON.stringify(text)}`);
  return JSON.stringify(text);
}
