// Asking again, ever more rarely: bounded, and not at all while nobody looks at the page.

const DELAYS_MS = [1000, 1000, 2000, 2000, 3000, 3000, 5000, 5000, 8000, 8000, 10000, 10000];
const LAST_DELAY_MS = 15000;
/** About ten minutes of a page that is looked at. */
export const MAX_ASKS = 48;

/** How long to wait after `asked` questions; null: no more. */
export function delayAfter(asked) {
  if (asked >= MAX_ASKS) return null;
  return DELAYS_MS[asked] ?? LAST_DELAY_MS;
}

/**
 * Calls `ask` until it answers true (settled), then no more; `onEnd` when it has asked often enough. Answers a function
 * that stops it.
 */
export function poll(ask, onEnd) {
  let asked = 0;
  let timer;
  let stopped = false;

  function stop() {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", wake);
  }
  function plan() {
    clearTimeout(timer);
    if (stopped || document.hidden) return;
    const delay = delayAfter(asked);
    if (delay === null) {
      stop();
      onEnd();
    } else timer = setTimeout(turn, delay);
  }
  async function turn() {
    asked += 1;
    const settled = await ask();
    if (settled) stop();
    else plan();
  }
  // Back from another app: most often that is where it was confirmed.
  function wake() {
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = setTimeout(turn, 0);
  }
  document.addEventListener("visibilitychange", wake);
  plan();
  return stop;
}
