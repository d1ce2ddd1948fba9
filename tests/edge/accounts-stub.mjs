// What the origin knows of accounts, for the stub: credentials judged and told of as the contract between the halves
// says, with nothing of the Rust code in it. Tokens are signed and verified by Node's own crypto.

import { createHash, generateKeyPairSync, sign, verify } from "node:crypto";
import { apiPassword } from "./harness.mjs";
import { answerJson } from "./origin-stub.mjs";

export const ISSUER = "https://pay.example";
const b64 = (value) => Buffer.from(value).toString("base64url");
const json = (part) => JSON.parse(Buffer.from(part, "base64url"));

/** `respond` is for the stub. Accounts are changed by tests in their place; `keys` are signed with first to last. */
export function startAccounts() {
  const accounts = { byName: new Map(), keys: [tokenKey("1")], ended: new Set(), respond };
  function respond(seen, response) {
    const { is_right, named, told } = judge(accounts, seen);
    if (is_right) return answerJson(seen, response, 200, '{"ok":true}', told);
    answerJson(seen, response, 401, JSON.stringify({ refused: named ?? "token" }), told);
  }
  return accounts;
}

export function tokenKey(id) {
  const pair = generateKeyPairSync("ed25519");
  return { id, pair, raw: pair.publicKey.export({ format: "jwk" }).x };
}

/** An account in Basic mode with this seed's password. */
export function addAccount(accounts, name, seed, role = "EXTERNAL") {
  const account = { name, role, mode: "basic", version: 1, passwords: [apiPassword(seed)] };
  accounts.byName.set(name, account);
  return account;
}

export function rotate(account, seed) {
  account.version += 1;
  account.passwords = [apiPassword(seed)];
}

const DEFAULTS = { aud: "scanvault", sub: "merchant-25", cv: 1, roles: ["EXTERNAL"] };
let sessions = 0;

export function claims(changes = {}) {
  const iat = Math.floor(Date.now() / 1000);
  const jti = `c056b2d8-d6d1-4ea6-8752-${String((sessions += 1)).padStart(12, "0")}`;
  return { iss: ISSUER, ...DEFAULTS, jti, iat, exp: iat + 1800, ...changes };
}

/** A token; `header` and `body` are objects, or the text that is to stand in their place. */
export function token(key, body = claims(), header = { alg: "EdDSA", typ: "JWT", kid: key.id }) {
  const part = (value) => b64(typeof value === "string" ? value : JSON.stringify(value));
  const signed = `${part(header)}.${part(body)}`;
  return `${signed}.${b64(sign(null, Buffer.from(signed), key.pair.privateKey))}`;
}

function judge(accounts, { headers }) {
  const told = {};
  const mark = headers["scanvault-credential"];
  const list = (headers.authorization ?? "").split(",").map((item) => item.trim().split(" "));
  const value = (scheme) => list.find(([name]) => name.toLowerCase() === scheme)?.[1];
  const [bearer, basic] = [value("bearer"), value("basic")];
  const by_token = bearer !== undefined && holds(accounts, bearer);
  let named, by_name = false;
  if (basic !== undefined) {
    const [user, password] = Buffer.from(basic, "base64").toString().split(":");
    named = /^\d+$/.test(user) ? `merchant-${user}` : user.toLowerCase().replace("_", "-");
    const account = accounts.byName.get(named);
    by_name = account?.passwords.includes(password) ?? false;
    if (mark !== "verified" || !by_name) told["scanvault-credential-record"] = account ? record(account) : `${named} -`;
  }
  const is_right = by_token || by_name;
  if (bearer !== undefined && (mark !== "verified" || !by_token)) {
    told["scanvault-token-keys"] = `${ISSUER} ${accounts.keys.map(({ id, raw }) => `${id}=${raw}`).join(",")}`;
  }
  return { is_right, named, told };
}

export function record({ name, mode, role, version, passwords }) {
  const verifiers = passwords.map((password) => createHash("sha256").update(password).digest("base64url"));
  return `${name} ${mode} ${role} ${version} ${verifiers.join(",")}`;
}

function holds(accounts, bearer) {
  try {
    const [header, body, signature] = bearer.split(".");
    const key = accounts.keys.find(({ id }) => id === json(header).kid);
    const is_signed = verify(null, Buffer.from(`${header}.${body}`), key.pair.publicKey, Buffer.from(signature, "base64url"));
    return is_signed && !accounts.ended.has(json(body).jti) && json(body).exp * 1000 > Date.now();
  } catch {
    return false;
  }
}
