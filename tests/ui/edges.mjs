// States that only the scripted server brings about: failures, stops, abstentions, uploads that go wrong.
import assert from 'node:assert/strict';
import { accessible, asking } from './checks.mjs';

const file = (name, size = 400) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.alloc(size, 'a') });

/** Puts a drop of files on the window, as a file manager would. */
async function drop(page, names) {
  await page.evaluate((list) => {
    const transfer = new DataTransfer();
    for (const name of list) transfer.items.add(new File(['text'], name));
    const fire = (type) => dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    fire('dragenter');
    globalThis.fireDrop = () => fire('drop');
  }, names);
  await page.locator('.drop').waitFor();
  await page.evaluate(() => globalThis.fireDrop());
}

async function failsAndRetries({ page, url }) {
  await page.goto(asking(url, 'unreachable?'));
  await page.getByRole('alert').getByText('The index is being opened').waitFor();
  assert.equal(await page.locator('h1').textContent(), 'unreachable?', 'the question stays');
  assert.match(await page.getByRole('alert').textContent(), /Try again in a few seconds[^]*E-BUSY · request req_scripted/);
  await accessible(page, 'failure');
  await page.getByRole('button', { name: 'Retry' }).click();
  await page.locator('.quote').first().waitFor();
}

async function cutStream({ page, url }) {
  await page.goto(asking(url, 'cut off?'));
  await page.getByText('The connection ended before the answer did').waitFor();
  await page.getByRole('button', { name: 'Retry' }).click();
  await page.locator('.quote').first().waitFor();
}

async function stops({ page, url }) {
  await page.goto(asking(url, 'slow one?'));
  await page.getByText('Searching the passages').waitFor();
  assert.equal(await page.locator('.answer').getAttribute('aria-busy'), 'true');
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.locator('.answer').getByText('Stopped.').waitFor();
  await page.getByRole('button', { name: 'Edit the question' }).click();
  assert.equal(await page.locator('textarea').inputValue(), 'slow one?');
}

async function newQuestionWins({ page, url }) {
  await page.goto(asking(url, 'slow first?'));
  await page.getByText('Searching the passages').waitFor();
  await page.locator('textarea').fill('generated second?');
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await page.getByText('Written by a model from your documents').waitFor();
  assert.equal(await page.locator('.quote').count(), 0, 'a generated answer does not look quoted');
  assert.match(await page.locator('.answer-foot .fine').first().textContent(), /3,600 tokens · \$0\.00081/);
}

async function marksWhatHasNoSupport({ page, url }) {
  await page.goto(asking(url, 'written?'));
  await page.getByText('Written by a model from your documents').waitFor();
  const marked = (await page.locator('.unsupported').allTextContents()).join('');
  assert.match(marked, /^The owners also keep forty purple elephants\s*2\. +no support found$/, 'exactly the sentence is marked, in words');
  assert.equal(await page.locator('.prose strong').textContent(), 'about a third');
  assert.match(await page.locator('.answer-foot .fine').first().textContent(), /^qwen3-32b · 3 passages of 1,204 · 2\.8 s \(first words after 412 ms\) · 3,600 tokens \(estimated\) · price unknown$/);
  await page.getByText('No support was found in the passages for 1 sentence').waitFor();
  await page.getByText('The 4 passages the model was given').click();
  await accessible(page, 'written answer');
  assert.deepEqual(await page.locator('.given li .fine').allTextContents(), ['cited', 'cited', 'cited']);
  await page.locator('.given a').last().click();
  await page.locator('.mark').first().waitFor();
  await page.goto(asking(url, 'written again?'));
  await page.getByText('kept from before, no cost').waitFor();
}

async function abstains({ page, url }) {
  await page.goto(asking(url, 'nothing?'));
  await page.getByText('Nothing in these 6 documents answers this.').waitFor();
  await page.getByRole('complementary', { name: 'Closest passages' }).waitFor();
  assert.equal(await page.locator('.quote').count(), 0, 'no quote pretends to answer');
  await accessible(page, 'abstention');
  await page.getByRole('button', { name: 'Open the closest passage' }).click();
  await page.locator('.mark--active').first().waitFor();
}

async function bridges({ page, url }) {
  await page.goto(asking(url, 'who paid?'));
  await page.getByText('linked through “Halden”').waitFor();
  await page.locator('.cite[data-cite="3′"]').click();
  await page.locator('.pane h2', { hasText: 'survey-2019.md' }).waitFor();
  const marked = (await page.locator('.mark--active').allTextContents()).join('');
  assert.equal(marked, 'The house on Kastanienweg was surveyed by Ingrid Halden in 2019.');
}

async function uploads({ page, url }) {
  await page.goto(`${url}/w/default/docs`);
  await page.locator('.table').waitFor();
  await page.locator('.file-input').first().setInputFiles([file('fresh.txt'), file('a scan.pdf'), file('ancient.doc')]);
  const card = page.getByRole('region', { name: 'Result' });
  await card.getByText('1 indexed, 1 needs OCR, 1 failed').waitFor();
  assert.match(await card.textContent(), /Legacy Word files cannot be read[^]*Save it as .docx/);
  await page.waitForFunction(() => /1 indexed, 1 needs OCR, 1 failed/.test(document.querySelector('[aria-live]').textContent));
  await accessible(page, 'result');
  await page.locator('.docs-name a', { hasText: 'fresh.txt' }).waitFor();
  await card.getByRole('button', { name: 'Dismiss' }).click();
  await card.waitFor({ state: 'detached' });
}

async function missedEvents({ page, url }) {
  await page.goto(`${url}/w/default/docs`);
  await page.locator('.table').waitFor();
  await page.locator('.file-input').first().setInputFiles([file('instant.txt')]);
  await page.getByRole('heading', { name: '1 indexed' }).waitFor();
}

async function dropsAnywhere({ page, url }) {
  await page.goto(`${url}/w/default/search`);
  await page.locator('.search-box').waitFor();
  await drop(page, ['dropped.md']);
  await page.waitForURL(/\/docs$/);
  await page.getByRole('heading', { name: '1 indexed' }).waitFor();
}

async function cancels({ page, url }) {
  await page.goto(`${url}/w/default/docs`);
  await page.locator('.table').waitFor();
  await page.locator('.file-input').first().setInputFiles([file('slow-1.txt'), file('slow-2.txt')]);
  const running = page.getByRole('region', { name: 'Indexing' });
  await running.getByText(/of 2 files/).waitFor();
  await accessible(page, 'running job');
  await running.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: '0 indexed, 2 cancelled' }).waitFor();
}

async function refusedUpload({ page, url }) {
  await page.goto(`${url}/w/default/docs`);
  await page.locator('.table').waitFor();
  await page.locator('.file-input').first().setInputFiles([file('refused.pdf'), file('taken.txt')]);
  await page.getByText('The file is larger than 256 MB').waitFor();
  await page.getByRole('heading', { name: '1 indexed' }).waitFor();
}

async function retriesAndDeletes({ page, url }) {
  await page.goto(`${url}/w/default/docs?state=needs-ocr`);
  await page.getByRole('button', { name: 'Retry scan-1987.pdf' }).click();
  await page.getByRole('heading', { name: '0 indexed, 1 needs OCR' }).waitFor();
  await page.goto(`${url}/w/default/docs?name=members`);
  await page.getByRole('button', { name: 'Delete members.csv' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete members.csv?' });
  await accessible(page, 'dialog');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  assert.equal(await page.locator('.docs-name a').count(), 1, 'cancel keeps it');
  await page.getByRole('button', { name: 'Delete members.csv' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await page.getByText('No document matches.').waitFor();
}

async function emptyWorkspace({ page, url }) {
  await page.goto(`${url}/w/empty/ask`);
  await page.getByText('No documents yet').waitFor();
  await accessible(page, 'empty workspace');
  await page.goto(`${url}/w/empty/docs`);
  await page.getByText('Put documents in').waitFor();
  await page.goto(`${url}/w/empty/graph`);
  await page.getByText('No entities yet').waitFor();
  await page.getByRole('combobox', { name: 'Workspace' }).selectOption('default');
  await page.waitForURL(/\/w\/default\/graph/);
}

async function unknownWorkspace({ page, url }) {
  await page.goto(`${url}/w/gone/ask`);
  await page.getByText('There is no workspace called “gone”').waitFor();
  await page.getByRole('link', { name: 'default' }).click();
  await page.locator('.composer').waitFor();
}

async function lostDocument({ page, url }) {
  await page.goto(`${url}/w/default/docs/doc_none`);
  await page.getByRole('alert').getByText('There is no such document').waitFor();
}

async function filterKeepsFocus({ page, url }) {
  await page.goto(`${url}/w/default/docs`);
  const box = page.getByRole('searchbox', { name: 'Filter by name' });
  await box.pressSequentially('retro', { delay: 20 });
  await page.waitForFunction(() => document.querySelectorAll('.docs-name').length === 1);
  assert.equal(await box.inputValue(), 'retro');
  assert.match(page.url(), /name=retro/);
}

const tests = {
  'a failure keeps the question and can be retried': failsAndRetries,
  'a cut stream is named': cutStream,
  'stop stops': stops,
  'a new question wins over a running one': newQuestionWins,
  'a written answer marks what has no support': marksWhatHasNoSupport,
  'an abstention shows the closest passages': abstains,
  'a bridge sentence is shown and opens': bridges,
  'an upload ends in a result sheet': uploads,
  'a job that ended before its answer is not missed': missedEvents,
  'files can be dropped on any view': dropsAnywhere,
  'a job can be cancelled': cancels,
  'one refused file stops no other': refusedUpload,
  'retry and delete, after asking': retriesAndDeletes,
  'an empty workspace says how to begin': emptyWorkspace,
  'an unknown workspace is named': unknownWorkspace,
  'an unknown document is named': lostDocument,
  'filtering keeps the focus': filterKeepsFocus,
};

export const edges = Object.fromEntries(Object.entries(tests).map(([name, run]) => [name, { run }]));
