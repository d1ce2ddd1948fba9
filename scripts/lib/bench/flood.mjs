// So many GETs a second, sent when they are due whatever became of those before: a flood does not wait. A process of its
// own, so that what is measured beside it does not share its thread.
//   flood.mjs PORT PATH PER_SECOND SECONDS      prints how many of each status

import { Agent, request } from "node:http";

const [port, path, perSecond, seconds] = process.argv.slice(2).map((text, at) => (at === 1 ? text : Number(text)));
const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const counts = {};
const began = performance.now();
let sent = 0;
let open = 0;

const timer = setInterval(() => {
  const elapsed = (performance.now() - began) / 1000;
  for (; sent < Math.min(elapsed, seconds) * perSecond; sent += 1) one();
  if (elapsed >= seconds) clearInterval(timer);
}, 5);

function one() {
  open += 1;
  const count = (what) => {
    counts[what] = (counts[what] ?? 0) + 1;
    open -= 1;
    if (open === 0 && sent >= seconds * perSecond) {
      console.log(JSON.stringify(counts));
      process.exit(0);
    }
  };
  const asked = request({ host: "127.0.0.1", port, path, agent, headers: { "cf-connecting-ip": "203.0.113.7" } }, (answer) => {
    answer.resume();
    answer.on("end", () => count(answer.statusCode));
  });
  asked.on("error", () => count("failed"));
  asked.end();
}
