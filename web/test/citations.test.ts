import { expect, it } from 'vitest';
import { paragraphs, segments } from '../src/lib/citations';

it('cuts an answer after each cited sentence', () => {
  expect(segments('Loss fell. [1] The roof did it. [2][3]', [1, 2, 3])).toEqual([
    { text: 'Loss fell.', numbers: [1] },
    { text: 'The roof did it.', numbers: [2, 3] },
  ]);
});

it('leaves brackets of the quoted text alone', () => {
  expect(segments('As shown in [12], it fell. [1] And [a].', [1])).toEqual([
    { text: 'As shown in [12], it fell.', numbers: [1] },
    { text: 'And [a].', numbers: [] },
  ]);
});

it('keeps an answer without citations whole', () => {
  expect(segments('Nothing answers this.', [])).toEqual([{ text: 'Nothing answers this.', numbers: [] }]);
});

it('marks sentences without support, whatever letters stand before them', () => {
  const answer = '🏠 Loss fell [1]. Elephants live there [2].\n\nThe end.';
  const start = [...answer].join('').indexOf('Elephants') - 1;
  const span: [number, number] = [start, start + [...'Elephants live there [2].'].length];
  const plain = { unsupported: false, ends: false };
  expect(paragraphs(answer, [1, 2], [span])).toEqual([
    [
      { text: '🏠 Loss fell', numbers: [1], ...plain },
      { text: '. ', numbers: [], ...plain },
      { text: 'Elephants live there', numbers: [2], unsupported: true, ends: false },
      { text: '.', numbers: [], unsupported: true, ends: true },
    ],
    [{ text: 'The end.', numbers: [], ...plain }],
  ]);
});

it('keeps the lines of a list and drops empty paragraphs', () => {
  const runs = paragraphs('- a [1]\n- b [7]\n\n\n', [1], []).flat();
  expect(runs.map((run) => run.text).join('|')).toBe('- a|\n- b [7]');
});
