// The attempt that is under way, kept where a reload finds it: in the history entry of this tab. It holds no card data
// and is no secret: the server takes an attempt once, and tells of it no more than how it stands.

/** The attempt to ask about when the page opens: from the way back of a wallet, or from before a reload; or null. */
export function recall() {
  const fromWallet = new URLSearchParams(globalThis.location.search).get("attempt");
  if (fromWallet) return { attempt: fromWallet, by: "mobilepay" };
  const kept = globalThis.history.state?.scanvault;
  return typeof kept?.attempt === "string" ? kept : null;
}

/** `by` is "card" or "mobilepay"; `shown`: it is paid, and its receipt was shown. */
export function remember({ attempt, by, amountMinor, paidAtMs, shown }) {
  globalThis.history.replaceState({ scanvault: { attempt, by, amountMinor, paidAtMs, shown } }, "");
}

/** It is over: a reload begins anew. */
export function forget() {
  const address = new URL(globalThis.location.href);
  address.searchParams.delete("attempt");
  globalThis.history.replaceState(null, "", address);
}
