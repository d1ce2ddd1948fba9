// Reads another process's memory, all that it can write to, and looks for byte strings in it. Needs root, since the
// origin is not dumpable.

import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

const PAGE = 4096;
const PIECE = 4 << 20;
const ZEROS = Buffer.alloc(PAGE);

/** Why the memory of `pid` cannot be read here; undefined when it can. */
export function whyNotReadable(pid) {
  if (process.getuid() !== 0) return "reading the origin's memory needs root: it is not dumpable";
  try {
    const memory = openSync(`/proc/${pid}/mem`, "r");
    const [first] = regions(pid);
    try {
      readSync(memory, Buffer.alloc(1), 0, 1, first.from);
    } finally {
      closeSync(memory);
    }
  } catch (error) {
    return `/proc/${pid}/mem cannot be read (${error.code}): root here has no right to trace (CAP_SYS_PTRACE, ptrace_scope)`;
  }
  return undefined;
}

/** What the process can write to. Everything else is a file's content or the kernel's, and holds no secret of ours. */
export function regions(pid) {
  const flags = lockedRegions(pid);
  return readFileSync(`/proc/${pid}/maps`, "utf8").split("\n").flatMap((line) => {
    const [, from, to, rights, name] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line) ?? [];
    if (!rights?.startsWith("rw")) return [];
    return [{ from: Number.parseInt(from, 16), to: Number.parseInt(to, 16), name, isKeyPages: flags.has(from) }];
  });
}

/** Where mappings begin that are locked, not dumped and not inherited: the key pages. */
function lockedRegions(pid) {
  const found = new Set();
  let from;
  for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
    from = /^([0-9a-f]+)-[0-9a-f]+ /.exec(line)?.[1] ?? from;
    const words = line.startsWith("VmFlags:") ? line.split(" ") : [];
    if (["lo", "dd", "dc"].every((flag) => words.includes(flag))) found.add(from);
  }
  return found;
}

/** Stops the process for the time that it takes to copy its memory: a secret that moves is not missed. */
export function* pieces(pid) {
  process.kill(pid, "SIGSTOP");
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    for (const region of regions(pid)) {
      for (let from = region.from; from < region.to; from += PIECE) {
        const bytes = Buffer.alloc(Math.min(PIECE, region.to - from));
        if (readSync(memory, bytes, 0, bytes.length, from) !== bytes.length) throw new Error(`cut short at ${from.toString(16)}`);
        yield { region, from, bytes };
      }
    }
  } finally {
    closeSync(memory);
    process.kill(pid, "SIGCONT");
  }
}

/** Writes what a core would hold, and more: pages that are left out of cores are in it too. */
export function dump(pid, file) {
  const out = openSync(file, "wx", 0o600);
  let written = 0;
  for (const { bytes } of pieces(pid)) written += writeSync(out, bytes);
  closeSync(out);
  return written;
}

/** Many byte strings at once. */
export class Needles {
  #byStart = new Map();
  #isStart = new Uint8Array(1 << 24);
  #longest = 0;
  count = 0;

  add(name, bytes) {
    const needle = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, "latin1");
    if (needle.length < 8) throw new Error(`${name}: so short a needle stands anywhere by chance`);
    const start = needle.readUIntLE(0, 3);
    this.#isStart[start] = 1;
    this.#byStart.set(start, [...(this.#byStart.get(start) ?? []), { name, needle }]);
    this.#longest = Math.max(this.#longest, needle.length);
    this.count += 1;
    return this;
  }

  /** What stands in the memory of `pid`: name, address, mapping. */
  inProcess(pid) {
    const found = [];
    let carried = Buffer.alloc(0);
    let before;
    let read = 0;
    for (const { region, from, bytes } of pieces(pid)) {
      read += bytes.length;
      if (region !== before) carried = Buffer.alloc(0);
      before = region;
      const whole = Buffer.concat([carried, bytes]);
      const base = from - carried.length;
      for (const { name, at } of this.inBytes(whole)) {
        found.push({ name, address: base + at, mapping: region.name || "anonymous", isKeyPages: region.isKeyPages });
      }
      // So long that a needle across the border is seen, so short that none is seen twice.
      carried = Buffer.from(whole.subarray(Math.max(0, whole.length - this.#longest + 1)));
    }
    const seen = new Set();
    return { read, found: found.filter(({ name, address }) => !seen.has(`${name} ${address}`) && seen.add(`${name} ${address}`)) };
  }

  /** The names of what stands in `bytes`, and where. */
  inBytes(bytes) {
    const found = [];
    for (let page = 0; page < bytes.length; page += PAGE) {
      const end = Math.min(page + PAGE, bytes.length);
      if (end - page === PAGE && ZEROS.equals(bytes.subarray(page, end))) continue;
      for (let at = page; at < end; at += 1) {
        if (!this.#isStart[bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)]) continue;
        for (const { name, needle } of this.#byStart.get(bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)) ?? []) {
          if (needle.equals(bytes.subarray(at, at + needle.length))) found.push({ name, at });
        }
      }
    }
    return found;
  }
}
