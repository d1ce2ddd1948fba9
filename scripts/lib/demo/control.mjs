// Acting on the running demo: the driver listens on a Unix socket, `scripts/demo --seal` and the like talk to it.
// One JSON line each way. As a program: `control.mjs stop|seal|unseal|stop-origin|start-origin`.

import { readFileSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { endLeftovers, readRun } from "./paths.mjs";

/** Commands run one after the other; `handle(command)` does it and returns a line to print, or throws. */
export function serveControl(path, handle) {
  rmSync(path, { force: true });
  let queue = Promise.resolve();
  const server = createServer((socket) => {
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (data) => {
      text += data;
      if (!text.endsWith("\n")) return;
      const command = text.trim();
      queue = queue.then(async () => {
        const answer = await handle(command).then(
          (message) => ({ ok: true, message }),
          (error) => ({ ok: false, message: error.message }),
        );
        socket.end(`${JSON.stringify(answer)}\n`);
      });
    });
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(path, () => resolve(server));
  });
}

/** The driver's answer; undefined when no demo is running. */
export function askDriver(path, command) {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(path);
    socket.on("error", (error) => (["ENOENT", "ECONNREFUSED"].includes(error.code) ? resolve(undefined) : reject(error)));
    socket.on("connect", () => socket.write(`${command}\n`));
    socket.on("data", (data) => (text += data));
    socket.on("close", () => text && resolve(JSON.parse(text)));
    socket.on("end", () => !text && reject(new Error("the demo ended before it answered")));
  });
}

/** A zombie has ended, even when its parent takes its time to notice. */
function alive(pid) {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function main(command) {
  const run = readRun();
  const answer = run && (await askDriver(run.control, command));
  if (!answer) {
    const ended = endLeftovers();
    if (ended > 0) console.error(`demo: ended ${ended} processes that a killed demo had left behind`);
    console.error("demo: not running");
    return command === "stop" ? 0 : 1;
  }
  // The driver answers `stop` before it begins to end, as its own end closes the socket.
  while (command === "stop" && alive(run.driver)) await pause(40);
  (answer.ok ? console.log : console.error)(`demo: ${answer.message}`);
  return answer.ok ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv[2]).catch((error) => {
    console.error(`demo: ${error.message}`);
    return 1;
  });
}
