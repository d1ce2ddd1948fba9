// NAME=VALUE files: read by shells (`. .demo/env`), by wrangler's --env-file and by us. One writer, one reader.

// What no shell takes for anything but itself: written bare, for readers that know no quoting.
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** Else single quotes: neither a shell nor dotenv expands anything inside them. */
export function formatEnv(values) {
  return Object.entries(values)
    .map(([name, value]) => {
      if (/['\r\n]/.test(value)) throw new Error(`${name} holds a quote or a line break`);
      return PLAIN.test(value) ? `${name}=${value}\n` : `${name}='${value}'\n`;
    })
    .join("");
}

export function parseEnv(text) {
  const values = {};
  for (const line of text.split("\n")) {
    const found = /^([A-Za-z_][A-Za-z0-9_]*)=(?:'([^']*)'|"([^"]*)"|(.*))$/.exec(line.trim());
    if (found) values[found[1]] = found[2] ?? found[3] ?? found[4];
  }
  return values;
}
