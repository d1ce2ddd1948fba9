// What a plain JavaScript worker does with a session token: WebCrypto's check of its signature and nothing else (no
// claims, no roles, no revocation). The yardstick of scripts/bench auth. Below /forward it passes the request on.

let imported;

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/hello") return new Response("ok");
    const authorization = request.headers.get("authorization");
    if (authorization && !(await holds(authorization.slice("Bearer ".length), env))) return new Response("no", { status: 401 });
    if (pathname.startsWith("/verify")) return new Response("ok");
    return fetch(env.ORIGIN_URL + pathname, { method: request.method, headers: request.headers, redirect: "manual" });
  },
};

async function holds(token, env) {
  const raw = Uint8Array.from(atob(env.TOKEN_KEY), (char) => char.charCodeAt(0));
  imported ??= await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  const end = token.lastIndexOf(".");
  const text = atob(token.slice(end + 1).replaceAll("-", "+").replaceAll("_", "/"));
  const signature = Uint8Array.from(text, (char) => char.charCodeAt(0));
  return crypto.subtle.verify("Ed25519", imported, signature, new TextEncoder().encode(token.slice(0, end)));
}
