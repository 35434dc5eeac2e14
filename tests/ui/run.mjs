// End-to-end tests of the page in Chromium.
//   node run.mjs                          the states that a scripted server brings about
//   BASE_URL=http://127.0.0.1:9621 node run.mjs   those, and the whole main job on a real server with `samples/` indexed
// SHOTS=folder keeps a picture of every failed test.
import { launch, openPage } from './browser.mjs';
import { startScriptedServer } from './scripted-server.mjs';
import { shared } from './shared.mjs';
import { edges } from './edges.mjs';
import { library } from './library.mjs';

const { BASE_URL, SHOTS } = process.env;

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
if (BASE_URL) {
  failed += await runAll(browser, 'real', BASE_URL.replace(/\/$/, ''), {
    ...shared({ question: 'How much did heat loss fall after the renovation?', entity: 'Kestrel', term: 'seagrass' }),
    ...library,
  });
} else {
  console.log('note  BASE_URL is not set: the tests on a real server were not run');
}
await browser.close();
await scripted.close();
process.exit(failed > 0 ? 1 : 0);
