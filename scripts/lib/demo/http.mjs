// The few requests that the demo makes itself; anything but the expected answer is a failure with its text.

import { readFileSync } from "node:fs";
import { get } from "node:https";
import { DemoError } from "./children.mjs";

export async function getJson(url, headers = {}) {
  const answer = await fetch(url, { headers });
  const text = await answer.text();
  if (answer.status !== 200) throw new DemoError(`GET ${new URL(url).pathname}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

export async function getBytes(url, contentType) {
  const answer = await fetch(url);
  const bytes = Buffer.from(await answer.arrayBuffer());
  const found = answer.headers.get("content-type") ?? "";
  if (answer.status !== 200 || found.split(";")[0] !== contentType) {
    throw new DemoError(`GET ${new URL(url).pathname}: ${answer.status} ${found}, not 200 ${contentType}`);
  }
  return bytes;
}

/** The status over TLS that only this CA may vouch for. */
export function statusOverTls(url, caFile) {
  return new Promise((resolve, reject) => {
    get(url, { ca: readFileSync(caFile), agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on("error", reject);
  });
}
