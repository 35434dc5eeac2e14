// The whole main job on a real server: add a document, watch it being indexed, ask about it, open it, delete it.
import assert from 'node:assert/strict';
import { asking, highlight } from './checks.mjs';

const NAME = 'ui-test-lighthouse.txt';
const FACT = 'The lighthouse keeper of Vardness is called Tormod Ekrenfell.';
const TEXT = `Notes on Vardness\n\n${FACT} He has kept a log since 1998.\n`;

async function mainJob({ page, url }) {
  await page.goto(`${url}/w/default/docs`);
  await page.locator('.table').waitFor();
  await page.locator('.file-input').first().setInputFiles([{ name: NAME, mimeType: 'text/plain', buffer: Buffer.from(TEXT) }]);
  await page.getByRole('heading', { name: /^1 (indexed|already there)/ }).waitFor({ timeout: 30_000 });
  await page.goto(asking(url, 'Who is the lighthouse keeper of Vardness?'));
  await page.locator('.quote', { hasText: 'Tormod Ekrenfell' }).first().waitFor();
  await page.locator('.quote', { hasText: 'Tormod Ekrenfell' }).locator('.cite').last().click();
  assert.match((await highlight(page)).text, /Tormod Ekrenfell/);
  await page.goto(`${url}/w/default/docs?name=${NAME}`);
  await page.getByRole('button', { name: `Delete ${NAME}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No document matches.').waitFor();
}

async function unreadable({ page, url }) {
  await page.goto(`${url}/w/default/docs`);
  await page.locator('.table').waitFor();
  await page.locator('.file-input').first().setInputFiles([{ name: 'ui-test-legacy.doc', mimeType: 'application/msword', buffer: Buffer.from([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) }]);
  await page.getByRole('heading', { name: /1 failed/ }).waitFor({ timeout: 30_000 });
  // The reasons are fetched once the job has ended: they follow the heading. Times out unless the remedy is told.
  await page.getByRole('region', { name: 'Result' }).getByText(/docx/).first().waitFor({ timeout: 30_000 });
  await page.goto(`${url}/w/default/docs?name=ui-test-legacy.doc`);
  await page.getByRole('button', { name: 'Delete ui-test-legacy.doc' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No document matches.').waitFor();
}

async function abstains({ page, url }) {
  await page.goto(asking(url, 'Which quarterback won the 1987 Zanzibar chess olympiad?'));
  await page.getByText('No answer found').waitFor();
}

export const samples = {
  'add, ask, open, delete': { run: mainJob },
  'a file that cannot be read says why': { run: unreadable },
  'weak evidence abstains': { run: abstains },
};
