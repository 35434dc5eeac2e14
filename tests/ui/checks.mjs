// What several tests check: accessibility, overflow, where a highlight stands.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';

const fromWeb = createRequire(new URL('../../web/package.json', import.meta.url));
const AXE = readFileSync(fromWeb.resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** No violation of WCAG 2.2 AA that axe can see. */
export async function accessible(page, where) {
  // In a window as high as the page nothing lies half under a bar that stays in view, whatever the fonts.
  const size = page.viewportSize();
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ ...size, height: Math.max(height, size.height) });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate((tags) => globalThis.axe.run(document, { runOnly: tags }), TAGS);
  await page.setViewportSize(size);
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((node) => node.html.slice(0, 160)).join('\n  ')}`);
  assert.deepEqual(found, [], `accessibility of ${where}`);
}

/** Nothing sticks out at the side. */
export async function fits(page, where) {
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(excess <= 0, `${where} is ${excess} px too wide`);
}

/** The highlighted passage: its text, and where in the pane's height it begins (0 top, 1 bottom). */
export async function highlight(page) {
  await page.locator('.mark--active').first().waitFor();
  return page.evaluate(() => {
    const pane = document.querySelector('.pane-body');
    const marks = [...document.querySelectorAll('.mark--active')];
    const box = pane.getBoundingClientRect();
    const height = (marks[0].getBoundingClientRect().top - box.top) / box.height;
    return { text: marks.map((mark) => mark.textContent).join(''), height, scrolled: pane.scrollTop };
  });
}

export const asking = (url, question, more = '') => `${url}/w/default/ask?q=${encodeURIComponent(question)}${more}`;
