// End-to-end tests of the page in Chromium.
//   node tests/ui/run.mjs                     the states that a scripted server brings about
//   node tests/ui/run.mjs --binary lorekeep   those, and the whole main job on the real program, started for it
//   BASE_URL=http://127.0.0.1:9621 node tests/ui/run.mjs   the same on a server that runs with the samples indexed
// SHOTS=folder keeps a picture of every failed test. Needs `npm ci` in `web/` and Chromium.
import { parseArgs } from 'node:util';
import { launch, openPage } from './browser.mjs';
import { startScriptedServer } from './scripted-server.mjs';
import { shared } from './shared.mjs';
import { edges } from './edges.mjs';
import { samples } from './library.mjs';
import { startRealServer } from './real-server.mjs';

const { BASE_URL, SHOTS } = process.env;
const { values: { binary } } = parseArgs({ options: { binary: { type: 'string' } } });

async function runAll(browser, label, url, tests) {
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    const { page, context, faults } = await openPage(browser, test.options);
    try {
      await test.run({ page, context, url, browser });
      if (faults.length > 0) throw new Error(`faults in the page:\n${faults.join('\n')}`);
      console.log(`ok    ${label}: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${label}: ${name}\n${error.stack ?? error}`);
      if (SHOTS) await page.screenshot({ path: `${SHOTS}/${label} ${name}.png`.replaceAll(' ', '-') });
    }
    await context.close();
  }
  return failed;
}

const scripted = await startScriptedServer();
const browser = await launch();
let failed = await runAll(browser, 'scripted', scripted.url, {
  ...shared({ question: 'What does the 2023 retrofit save?', entity: 'Halden', term: 'u-value' }),
  ...edges,
});
const real = binary ? await startRealServer(binary) : null;
const url = real?.url ?? BASE_URL?.replace(/\/$/, '');
if (url) {
  failed += await runAll(browser, 'real', url, {
    ...shared({ question: 'How much did heat loss fall after the renovation?', entity: 'Kestrel', term: 'seagrass' }),
    ...samples,
  });
} else {
  console.log('note  neither --binary nor BASE_URL: the tests on a real server were not run');
}
await browser.close();
await real?.close();
await scripted.close();
process.exit(failed > 0 ? 1 : 0);
