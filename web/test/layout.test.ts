import { describe, expect, it } from 'vitest';
import type { DocumentText } from '../src/api/types';
import { headingsAt, layout, windowAround, type Block } from '../src/lib/layout';

const TEXT = 'Intro 🏠\n\nFirst line.\nSecond line.\n\nRoof\nThe roof is new. It is blue.\n';
const points = (needle: string): [number, number] => {
  const start = [...TEXT.slice(0, TEXT.indexOf(needle))].length;
  return [start, start + [...needle].length];
};
const DOCUMENT: DocumentText = {
  document_id: 'doc_1',
  version: 1,
  text: TEXT,
  pages: [{ number: 3, span: [0, points('Roof')[0]] }, { number: 4, span: [points('Roof')[0], [...TEXT].length] }],
  headings: [{ title: 'Intro 🏠', level: 1, span: [0, [...TEXT].length] }, { title: 'Roof', level: 2, span: [points('Roof')[0], [...TEXT].length] }],
};
const all: [number, number] = [0, TEXT.length];
const words = (block: Block) => (block.kind === 'page' ? '' : block.runs.map((run) => run.text).join(''));

describe('layout', () => {
  it('loses, adds and moves no character', () => {
    const marks = [{ span: points('First line.\nSecond line.\n\nRoof\nThe'), key: 'a', active: false }, { span: points('roof is'), key: 'b', active: true }];
    expect(layout(DOCUMENT, marks, all).blocks.map(words).join('')).toBe(TEXT);
  });
  it('puts a page before the heading at its top', () => {
    const kinds = layout(DOCUMENT, [], all).blocks.map((block) => (block.kind === 'page' ? `page ${block.number}` : block.kind));
    expect(kinds).toEqual(['page 3', 'heading', 'text', 'page 4', 'heading', 'text']);
  });
  it('leaves no level out of the outline', () => {
    const headings = [2, 4, 4, 2].map((level, index) => ({ title: '', level, span: [[0, 30], [8, 20], [20, 30], [30, 60]][index] as [number, number] }));
    const blocks = layout({ ...DOCUMENT, pages: [], headings }, [], all).blocks;
    expect(blocks.flatMap((block) => (block.kind === 'heading' ? [block.level] : []))).toEqual([1, 2, 2, 1]);
  });
  it('marks exactly the span, the active mark over others, its first run only once', () => {
    const marks = [{ span: points('The roof is new.'), key: 'a', active: false }, { span: points('roof is'), key: 'b', active: true }];
    const runs = layout(DOCUMENT, marks, all).blocks.flatMap((block) => (block.kind === 'page' ? [] : block.runs));
    const marked = runs.filter((run) => run.mark).map((run) => [run.mark?.key, run.text, run.first]);
    expect(marked).toEqual([['a', 'The ', true], ['b', 'roof is', true], ['a', ' new.', false]]);
  });
  it('shows a window of whole lines and says what is left out', () => {
    const at = TEXT.indexOf('Second');
    const shown = layout(DOCUMENT, [], [at + 2, at + 5]);
    expect(shown.blocks.map(words).join('')).toBe('Second line.\n');
    expect([shown.before, shown.after]).toEqual([true, true]);
  });
});

describe('windows', () => {
  it('hold short texts whole and long ones around the passage', () => {
    expect(windowAround(TEXT, null, 1000)).toEqual([0, TEXT.length]);
    const long = 'x'.repeat(1000);
    expect(windowAround(long, [500, 510], 90)).toEqual([470, 560]);
    expect(windowAround(long, [990, 999], 90)).toEqual([910, 1000]);
  });
});

it('headings lead to a place', () => {
  expect(headingsAt(DOCUMENT, points('blue')[0])).toEqual(['Intro 🏠', 'Roof']);
  expect(headingsAt(DOCUMENT, points('First')[0])).toEqual(['Intro 🏠']);
});
