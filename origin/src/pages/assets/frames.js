// The bank's pages: the 3-D Secure method in a frame that nobody sees, the challenge in one that everybody does. Their
// content is foreign; the only thing taken from a frame is our own page's word that it has been reached.

/** 3-D Secure gives the method ten seconds. */
const METHOD_MS = 10000;
/** The bank's own limit is shorter (EMV 3-D Secure: at least 30 s after what is typed, ten minutes in all). */
const CHALLENGE_MS = 10 * 60 * 1000;

/** Lets the bank's method page look at the browser; ends when it is done or its time is over, whichever comes first. */
export async function runMethod({ url, data }) {
  const frame = newFrame("scanvault-method");
  frame.hidden = true;
  frame.tabIndex = -1;
  frame.setAttribute("aria-hidden", "true");
  document.body.append(frame);
  try {
    await new Promise((done) => {
      const forget = onWord(frame, "method", done);
      setTimeout(() => { forget(); done(); }, METHOD_MS);
      postInto(frame, url, { threeDSMethodData: data });
    });
  } finally {
    frame.remove();
  }
}

/**
 * Shows the bank's challenge; ends with "done", "gaveUp" or "timeout". In each case the server is asked what it knows:
 * a payer who gives up after approving has still approved.
 */
export function runChallenge({ url, creq }, { size, title }) {
  const dialog = document.getElementById("challenge");
  const [place, ask] = ["challenge-place", "give-up-ask"].map((id) => document.getElementById(id));
  const frame = newFrame("scanvault-challenge");
  frame.title = title;
  // A bank may want a passkey, or the payment it confirms.
  frame.allow = "publickey-credentials-get *; payment *";
  return new Promise((done) => {
    const listeners = new AbortController();
    const on = (target, type, act) => target.addEventListener(type, act, { signal: listeners.signal });
    const forget = onWord(frame, "challenge", () => end("done"));
    const timer = setTimeout(() => end("timeout"), CHALLENGE_MS);

    function end(how) {
      listeners.abort();
      forget();
      clearTimeout(timer);
      frame.remove();
      asking(false);
      if (dialog.open) dialog.close();
      done(how);
    }
    function asking(yes) {
      ask.hidden = !yes;
      document.getElementById("give-up").hidden = yes;
    }
    function offer() {
      asking(true);
      document.getElementById("give-up-no").focus();
    }
    // Escape asks first: a key that is hit by mistake must not end a payment.
    on(dialog, "keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      if (ask.hidden) offer();
      else resume();
    });
    function resume() {
      asking(false);
      document.getElementById("give-up").focus();
    }
    on(dialog, "cancel", (event) => { event.preventDefault(); offer(); });
    on(dialog, "close", () => end("gaveUp")); // a browser that closes it in spite of us
    on(document.getElementById("give-up"), "click", offer);
    on(document.getElementById("give-up-no"), "click", resume);
    on(document.getElementById("give-up-yes"), "click", () => end("gaveUp"));

    asking(false);
    dialog.dataset.size = size;
    place.replaceChildren(frame);
    dialog.showModal();
    document.getElementById("challenge-title").focus();
    postInto(frame, url, { creq });
  });
}

function newFrame(name) {
  const frame = document.createElement("iframe");
  frame.name = name;
  frame.referrerPolicy = "no-referrer";
  return frame;
}

/** Our own framed page tells `{scanvault: word}`: from this origin, and from this very frame, or it is not heard. */
function onWord(frame, word, act) {
  const listener = (event) => {
    if (event.origin !== globalThis.location.origin || event.source !== frame.contentWindow) return;
    if (event.data?.scanvault === word) act();
  };
  globalThis.addEventListener("message", listener);
  return () => globalThis.removeEventListener("message", listener);
}

/** A form of our own, posted into the frame and gone. */
function postInto(frame, url, fields) {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: url, target: frame.name, hidden: true });
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}
