// What goes over the wire: one POST per step of a payment, and what its answer means. Nothing is ever repeated by itself.

// Longer than the server's own deadline for an acquirer: giving up earlier would only create doubt.
const POST_DEADLINE_MS = 60000;
const LOOK_DEADLINE_MS = 15000;

/** The class of a decline, as the server tells it, and our text for it. No answer of the server is shown as it stands. */
const REASONS = {
  card: "declinedCard", csc: "declinedCsc", expiry: "declinedExpiry", scheme: "declinedScheme", bank: "declinedBank",
  three_d_secure: "declinedThreeDSecure", later: "declinedLater", cancelled: "declinedCancelled",
};

/** Sends one step. Without an answer the status is 0, and nobody knows what became of it. */
export async function send(url, body) {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(body),
      cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout?.(POST_DEADLINE_MS),
    });
    const answer = await response.json().catch(() => ({}));
    return readAnswer(response.status, answer, response.headers.has("retry-after"));
  } catch {
    return readAnswer(0, {}, false);
  }
}

/** How the payment of an attempt stands, or null when the server does not say. */
export async function askState(payUrl, attempt) {
  try {
    const response = await fetch(`${payUrl}/state?attempt=${encodeURIComponent(attempt)}`, {
      headers: { accept: "application/json" }, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout?.(LOOK_DEADLINE_MS),
    });
    const answer = response.status === 200 ? readAnswer(200, await response.json(), false) : { kind: "silent" };
    return answer.kind === "silent" ? null : answer;
  } catch {
    return null;
  }
}

/** How the server sees this code now: the data of a page that is made anew, or null when it does not say. */
export async function look(payUrl) {
  try {
    const response = await fetch(payUrl, {
      headers: { accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout?.(LOOK_DEADLINE_MS),
    });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const view = page.querySelector("main[data-state]")?.dataset;
    return view ? { ...view } : null;
  } catch {
    return null;
  }
}

/**
 * What an answer means. `kind` is one of: paid, declined (`text`: our text key), lost (certainly not charged), unknown,
 * method, challenge, redirect, waiting, none, refused (`status`: this POST was not taken), unavailable (it names when to
 * ask again), silent (anything else: the outcome is not known).
 */
export function readAnswer(status, body, hasRetryAfter) {
  const silent = { kind: "silent" };
  if (status >= 400 && status < 500) return { kind: "refused", status };
  if (status === 503 && hasRetryAfter) return { kind: "unavailable" };
  if (status !== 200 || typeof body !== "object" || body === null) return silent;
  const { state, transactionId, reason } = body;
  const text = (value) => (typeof value === "string" ? value : undefined);
  switch (state) {
    case "paid": return { kind: "paid", transactionId, returnUrl: text(body.returnUrl), paidAtMs: body.paidAtMs };
    case "declined": return { kind: "declined", text: Object.hasOwn(REASONS, reason) ? REASONS[reason] : "declined", reason };
    case "unknown": return { kind: body.mayRetry === true ? "lost" : "unknown", text: "lost" };
    case "method": return text(body.url) && text(body.data) ? { kind: "method", url: body.url, data: body.data } : silent;
    case "challenge": return text(body.url) && text(body.creq) ? { kind: "challenge", url: body.url, creq: body.creq } : silent;
    case "redirect": return text(body.url) ? { kind: "redirect", url: body.url } : silent;
    case "waiting": case "none": return { kind: state };
    default: return silent;
  }
}

/** The address when a browser may go there from a page at `base`: https, or whatever the page itself came by; else null. */
export function safeUrl(text, base) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || (url.protocol === "http:" && base.startsWith("http:")) ? url.href : null;
  } catch {
    return null;
  }
}
