// A scene: a server, a tab, and what must hold whatever happens in between.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PAN, launch, openPage, serve } from "./harness.mjs";

/** Answers `scene(name, options, body)` with one Chromium for the file. */
export function scenes() {
  let browser;
  before(async () => { browser = await launch(); });
  after(() => browser.close());
  /** Runs `body`; afterwards the console is clean, no policy was broken and no card went anywhere in clear. */
  return function scene(name, options, body) {
    test(name, async (t) => {
      const site = await serve(options.site);
      const tab = await openPage(browser, site, options.tab);
      t.after(async () => { await tab.context.close(); await site.close(); });
      await body({ ...tab, site });
      const expected = options.expected ?? [];
      assert.deepEqual(tab.trouble.filter((line) => !expected.some((pattern) => pattern.test(line))), []);
      for (const request of [...site.requests, ...site.bank.requests]) {
        const sent = JSON.stringify(request).replace(/[^\w]/g, "");
        assert.ok(!sent.includes(PAN) && !/Thandi/i.test(sent), `in clear: ${request.method} ${request.url}`);
      }
    });
  };
}
