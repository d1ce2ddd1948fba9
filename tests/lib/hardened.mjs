// The one place that holds every answer of an edge to its headers, whichever client asked and whatever a test looks at:
// Node's own channels tell of each answer to its HTTP client and to `fetch`, Chromium tells of each of its own. Whoever
// starts an edge names it here, and says when it is closed: its port may be another server's later. An answer that lacks
// something ends the test process with what it lacks.

import { subscribe } from "node:diagnostics_channel";
import { assertHardened } from "./answers.mjs";

const edges = new Set();
let seen = 0;

/** From now on what comes from this address is held to it. */
export function watch(url) {
  edges.add(portOf(url));
  return url;
}

/** Nothing of the edge comes from there any more. */
export function unwatch(url) {
  edges.delete(portOf(url));
}

/** How many answers there were so far. */
export const answersSeen = () => seen;

/** A browser whose contexts are watched, too. */
export function watchBrowser(browser) {
  const newContext = browser.newContext.bind(browser);
  browser.newContext = async (...args) => {
    const context = await newContext(...args);
    context.on("response", (answer) => {
      if (/^https?:/.test(answer.url())) check(answer.url(), { status: answer.status(), headers: answer.headers() });
    });
    return context;
  };
  return browser;
}

// A subscriber that throws is an uncaught exception: the test that runs, and the process, fail with its words.
subscribe("http.client.response.finish", ({ request, response }) => {
  const { remoteAddress, remotePort } = response.socket ?? {};
  if (!["127.0.0.1", "::1"].includes(remoteAddress)) return;
  check(`http://127.0.0.1:${remotePort}${request.path}`, { status: response.statusCode, headers: response.headers, raw: response.rawHeaders });
});

subscribe("undici:request:headers", ({ request, response }) => {
  const raw = response.headers.map((bytes) => bytes.toString("latin1"));
  const headers = {};
  for (let at = 0; at < raw.length; at += 2) headers[raw[at].toLowerCase()] = raw[at + 1];
  check(`${request.origin}${request.path}`, { status: response.statusCode, headers, raw });
});

function check(url, answer) {
  if (!edges.has(portOf(url))) return;
  seen += 1;
  try {
    assertHardened(answer);
  } catch (error) {
    error.message = `an answer of the edge is not hardened: ${answer.status} ${url.slice(0, 200)}: ${error.message}`;
    throw error;
  }
}

function portOf(url) {
  const { port, protocol } = new URL(url);
  return port || (protocol === "https:" ? "443" : "80");
}
