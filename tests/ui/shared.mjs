// Tests that hold on any server with documents: ask, open citations, go round by keyboard, search, graph; and that
// every view is accessible, light and dark, and fits a narrow screen.
import assert from 'node:assert/strict';
import { accessible, asking, fits, highlight } from './checks.mjs';

const NARROW = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

export function shared({ question, entity, term }) {
  const views = (url) => ({
    welcome: `${url}/w/default/ask`,
    answer: asking(url, question),
    source: asking(url, question, '&cite=1'),
    documents: `${url}/w/default/docs`,
    search: `${url}/w/default/search?q=${term}`,
    graph: `${url}/w/default/graph?q=${entity}`,
  });

  const everyView = (check, options) => ({
    options,
    run: async ({ page, url }) => {
      for (const [name, path] of Object.entries(views(url))) {
        await page.goto(path);
        await settled(page, name);
        await check(page, name);
      }
    },
  });

  return {
    'ask and read a quoted answer': { run: ({ page, url }) => askAndRead(page, url, question) },
    'citations open the exact passage': { run: ({ page, url }) => openCitations(page, url, question) },
    'the address keeps question and citation': { run: ({ page, url }) => reload(page, url, question) },
    'keyboard alone': { run: ({ page, url }) => keyboard(page, url, question) },
    'copy with sources': { options: { permissions: ['clipboard-read', 'clipboard-write'] }, run: ({ page, url }) => copy(page, url, question) },
    'search gives reasons': { run: ({ page, url }) => search(page, url, term) },
    'graph shows the sentence of a relation': { run: ({ page, url }) => graph(page, url, entity) },
    'a document by its tabs': { run: ({ page, url }) => documentTabs(page, url) },
    'theme is kept': { run: ({ page, url }) => theme(page, url) },
    'accessible in light': everyView(accessible, {}),
    'accessible in dark': everyView(accessible, { colorScheme: 'dark' }),
    'accessible and fitting at 360 px': everyView(async (page, name) => {
      await fits(page, name);
      await accessible(page, name);
    }, NARROW),
    'fits at 320 px': everyView(fits, { ...NARROW, viewport: { width: 320, height: 640 } }),
    'the source covers a narrow screen and gives it back': { options: NARROW, run: ({ page, url }) => narrowSource(page, url, question) },
    'reduced motion is obeyed': { options: { reducedMotion: 'reduce' }, run: ({ page, url }) => still(page, url) },
    'prints the answer with its sources': { run: ({ page, url }) => print(page, url, question) },
  };
}

async function settled(page, name) {
  const sign = { answer: '.answer-foot', source: '.mark--active', documents: '.table', search: '.result', graph: '.entities li' }[name];
  await page.locator(sign ?? '.composer').first().waitFor();
  await page.waitForFunction(() => document.querySelector('.skeleton') === null && document.querySelector('.dot--ready') !== null);
}

async function askAndRead(page, url, question) {
  await page.goto(`${url}/`);
  await page.waitForURL(`${url}/w/default/ask`);
  await page.getByRole('textbox', { name: 'Your question' }).fill(question);
  await page.keyboard.press('Enter');
  await page.getByText('Quoted from your documents').waitFor();
  assert.equal(await page.locator('h1').textContent(), question);
  assert.match(await page.locator('.answer-foot .fine').first().textContent(), /^quoted, no model · \d+ passages? of [\d,]+ · [\d.]+ m?s · 0 tokens$/);
  assert.ok((await page.locator('.quote').count()) >= 1, 'quoted sentences');
  const serif = await page.locator('blockquote').first().evaluate((quote) => getComputedStyle(quote).fontFamily);
  assert.match(serif, /serif/, 'quotes are set in a serif face');
  await page.waitForFunction(() => /Answer ready, \d+ sources?/.test(document.querySelector('[aria-live]').textContent));
}

async function openCitations(page, url, question) {
  await page.goto(asking(url, question));
  const answered = await page.request.post(`${url}/v1/ask`, { data: { question }, headers: { Accept: 'application/json' } });
  const body = await answered.text();
  // A stream holds the whole answer in its last event.
  const answer = body.startsWith('{') ? JSON.parse(body) : JSON.parse(body.match(/event: ?done\ndata: ?(.+)/)[1]);
  for (const citation of answer.citations) {
    await page.locator(`.cite[data-cite="${citation.n}"]`).click();
    await page.locator('.pane h2', { hasText: citation.name }).waitFor();
    await page.waitForFunction((quote) => [...document.querySelectorAll('.mark--active')].map((m) => m.textContent).join('') === quote, citation.quote);
    const { height, scrolled } = await highlight(page);
    assert.ok(Math.abs(height - 0.3) < 0.05 || (scrolled === 0 && height < 0.3), `highlight at ${height} of the height`);
    if (citation.page) assert.match(await page.locator('.pane-place').textContent(), new RegExp(`Page ${citation.page}`));
    const original = await page.getByRole('link', { name: 'Open original' }).getAttribute('href');
    assert.match(original, new RegExp(`${citation.document_id}/original`));
  }
}

async function reload(page, url, question) {
  await page.goto(asking(url, question));
  await page.locator('.evidence-card').first().click();
  await page.waitForURL(/[?&]cite=1/);
  const before = await highlight(page);
  await page.reload();
  assert.equal((await highlight(page)).text, before.text);
  await page.goBack();
  await page.locator('.evidence').waitFor();
}

async function keyboard(page, url, question) {
  await page.goto(asking(url, question));
  await page.locator('.answer-foot').waitFor();
  await page.locator('h1').click();
  await page.keyboard.press(']');
  const first = await highlight(page);
  const count = Number((await page.locator('.stepper .fine').textContent()).split('/')[1]);
  await page.keyboard.press(']');
  if (count > 1) await page.waitForFunction((text) => document.querySelector('.mark--active')?.textContent !== text, first.text);
  await page.keyboard.press('[');
  await page.waitForFunction(() => document.querySelector('.stepper .fine').textContent.startsWith('1 /'));
  await page.keyboard.press('Escape');
  await page.locator('.pane').waitFor({ state: 'detached' });
  await page.waitForFunction(() => document.activeElement?.classList.contains('cite'));
  await page.keyboard.press('Enter');
  await page.locator('.pane').waitFor();
  await page.keyboard.press('Escape');
  // Closing gives the focus back a frame later; a key pressed before that would lose it again.
  await page.waitForFunction(() => document.activeElement?.classList.contains('cite'));
  await page.keyboard.press('/');
  assert.ok(await page.locator('textarea').evaluate((box) => box === document.activeElement), '`/` goes to the box');
  await page.keyboard.type('g d');
  assert.match(page.url(), /\/ask/, 'keys typed into the box are text');
  await page.locator('textarea').evaluate((box) => box.blur());
  await page.keyboard.press('g');
  await page.keyboard.press('d');
  await page.waitForURL(/\/docs$/);
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await page.getByRole('checkbox').uncheck();
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  assert.match(page.url(), /\/docs$/, 'shortcuts can be turned off');
}

async function copy(page, url, question) {
  await page.goto(asking(url, question));
  await page.getByRole('button', { name: 'Copy with sources' }).click();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(text, /\[1\][^]*\n\n\[1\] .+: “/);
}

async function search(page, url, term) {
  await page.goto(`${url}/w/default/search`);
  await page.getByRole('searchbox', { name: 'Search the passages' }).fill(term);
  await page.keyboard.press('Enter');
  await page.locator('.reasons li', { hasText: 'words:' }).first().waitFor();
  assert.ok((await page.locator('.result-text strong').count()) > 0, 'matched words stand out');
  await page.locator('.result h2 button').first().click();
  assert.ok((await highlight(page)).text.length > 0);
}

async function graph(page, url, entity) {
  await page.goto(`${url}/w/default/graph`);
  await page.getByRole('searchbox', { name: 'Find an entity' }).fill(entity);
  await page.keyboard.press('Enter');
  await page.locator('.entities a', { hasText: new RegExp(entity, 'i') }).first().click();
  await page.locator('.relations tbody tr').first().waitFor();
  const link = page.locator('.sentence a').first();
  const quote = await page.locator('.sentence q').first().textContent();
  await link.click();
  await page.locator('.mark--active').first().waitFor();
  const marked = (await page.locator('.mark--active').allTextContents()).join('');
  assert.equal(marked.trim(), quote, 'the document shows the sentence');
}

async function documentTabs(page, url) {
  await page.goto(`${url}/w/default/docs?state=ready&sort=name&order=desc`);
  await page.locator('.docs-name a').first().click();
  await page.locator('.text, [role=alert], .muted').first().waitFor();
  await accessible(page, 'document text');
  await page.getByRole('tab', { name: 'Text' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.waitForURL(/tab=chunks/);
  await page.getByRole('tab', { name: 'Details' }).click();
  await page.locator('.details dt', { hasText: 'Version' }).waitFor();
  await accessible(page, 'document details');
  await page.getByRole('tab', { name: 'Chunks' }).click();
  await page.locator('.chunk').first().waitFor();
  await accessible(page, 'document chunks');
}

async function theme(page, url) {
  await page.goto(`${url}/w/default/ask`);
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  const button = page.getByRole('button', { name: /^Theme/ });
  await button.click();
  await button.click();
  assert.notEqual(await background(), light, 'dark after light');
  await page.reload();
  await page.locator('.composer').waitFor();
  assert.notEqual(await background(), light, 'dark after a reload');
}

async function narrowSource(page, url, question) {
  await page.goto(asking(url, question));
  await page.locator('.cite').first().click();
  await highlight(page);
  assert.ok(await page.locator('.ask-main').evaluate((part) => part.inert), 'what is covered is inert');
  const covers = await page.locator('.pane').evaluate((pane) => pane.getBoundingClientRect().height >= innerHeight);
  assert.ok(covers, 'the source covers the screen');
  await page.goBack();
  await page.locator('.evidence').waitFor();
  assert.ok(!(await page.locator('.ask-main').evaluate((part) => part.inert)));
}

async function still(page, url) {
  await page.goto(`${url}/w/default/docs`);
  await page.locator('.table').waitFor();
  const moving = await page.evaluate(() => document.getAnimations().filter((animation) => animation.playState === 'running').length);
  assert.equal(moving, 0);
}

async function print(page, url, question) {
  await page.goto(asking(url, question));
  await page.locator('.answer-foot').waitFor();
  await page.emulateMedia({ media: 'print' });
  assert.ok(await page.locator('.print-only').isVisible(), 'numbered sources');
  assert.ok(!(await page.locator('.composer').isVisible()), 'nothing to press');
  assert.ok(!(await page.locator('.rail').isVisible()), 'no rail');
}
