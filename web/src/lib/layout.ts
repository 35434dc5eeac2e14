// Cuts a document's text into the blocks that are shown: page marks, headings, paragraphs, with marked runs.
// No character is added, lost or moved: the blocks' runs joined give the text of the window.
import type { DocumentText, Span } from '../api/types';
import { unitOffsets } from './text';

/** A highlighted span of code points; `active` is the one being read. */
export interface Mark {
  span: Span;
  key: string;
  active: boolean;
}

/** A piece of a block with one appearance. `first` is set on the first run of a mark. */
export interface Run {
  text: string;
  mark: Mark | null;
  first: boolean;
}

export type Block =
  | { kind: 'page'; number: number }
  | { kind: 'heading'; level: number; runs: Run[] }
  | { kind: 'text'; runs: Run[] };

export interface Layout {
  blocks: Block[];
  /** Whether text was left out before and after the window. */
  before: boolean;
  after: boolean;
}

interface Cut {
  at: number;
  page?: number;
  level?: number;
}

interface UnitMark {
  start: number;
  end: number;
  mark: Mark;
}

/** Lays out `document` between two unit offsets, which are moved outward to the next paragraph breaks. */
export function layout(document: DocumentText, marks: Mark[], window: [number, number]): Layout {
  const { text } = document;
  const [start, end] = widen(text, window);
  const unitMarks = toUnits(text, marks);
  const cuts = cutsOf(document).filter((cut) => cut.at >= start && cut.at < end);
  const blocks: Block[] = [];
  let at = start;
  for (const cut of [...cuts, { at: end }]) {
    at = paragraphs(text, at, Math.max(at, cut.at), unitMarks, blocks);
    if (cut.page !== undefined) blocks.push({ kind: 'page', number: cut.page });
    if (cut.level !== undefined && cut.at >= at) {
      const stop = lineEnd(text, cut.at, end);
      blocks.push({ kind: 'heading', level: cut.level, runs: runsOf(text, cut.at, stop, unitMarks) });
      at = stop;
    }
  }
  return { blocks, before: start > 0, after: end < text.length };
}

/** The unit window of `size` around `span`, or the beginning of the text. */
export function windowAround(text: string, span: Span | null, size: number): [number, number] {
  if (text.length <= size) return [0, text.length];
  const [from = 0] = span ? unitOffsets(text, [span[0]]) : [0];
  const start = Math.max(0, Math.min(from - Math.floor(size / 3), text.length - size));
  return [start, start + size];
}

function widen(text: string, [start, end]: [number, number]): [number, number] {
  const head = start <= 0 ? 0 : text.lastIndexOf('\n', start) + 1;
  const tail = end >= text.length ? -1 : text.indexOf('\n', end);
  return [head, tail < 0 ? text.length : tail + 1];
}

function toUnits(text: string, marks: Mark[]): UnitMark[] {
  const offsets = unitOffsets(text, marks.flatMap((mark) => mark.span));
  return marks
    .map((mark, index) => ({ start: offsets[2 * index] ?? 0, end: offsets[2 * index + 1] ?? 0, mark }))
    .filter((mark) => mark.end > mark.start)
    .sort((a, b) => a.start - b.start);
}

function cutsOf(document: DocumentText): Cut[] {
  const places = [...document.pages.map((page) => page.span[0]), ...document.headings.map((heading) => heading.span[0])];
  const offsets = unitOffsets(document.text, places);
  const pages: Cut[] = document.pages.map((page, index) => ({ at: offsets[index] ?? 0, page: page.number }));
  const depths = depthsOf(document.headings);
  const headings: Cut[] = document.headings.map((_, index) => ({
    at: offsets[document.pages.length + index] ?? 0,
    level: depths[index] ?? 1,
  }));
  // A page begins before the heading at its top.
  return [...pages, ...headings].sort((a, b) => a.at - b.at || Number(a.page === undefined) - Number(b.page === undefined));
}

/** How deep each heading lies in the sections of others, from 1: documents skip levels, an outline must not. */
function depthsOf(headings: DocumentText['headings']): number[] {
  const open: number[] = [];
  return headings.map(({ span }) => {
    while ((open.at(-1) ?? Infinity) <= span[0]) open.pop();
    open.push(span[1]);
    return open.length;
  });
}

function lineEnd(text: string, from: number, end: number): number {
  const newline = text.indexOf('\n', from);
  return newline < 0 || newline >= end ? end : newline + 1;
}

/** Adds the paragraphs of `text[from..to]`, which blank lines part, and returns `to`. */
function paragraphs(text: string, from: number, to: number, marks: UnitMark[], blocks: Block[]): number {
  const blank = /\n[^\S\n]*\n\s*/g;
  let at = from;
  while (at < to) {
    blank.lastIndex = at;
    const match = blank.exec(text);
    const stop = match && match.index + match[0].length < to ? match.index + match[0].length : to;
    blocks.push({ kind: 'text', runs: runsOf(text, at, stop, marks) });
    at = stop;
  }
  return to;
}

/** Cuts `text[from..to]` where marks begin and end. Where marks overlap, the active one wins, then the earlier. */
function runsOf(text: string, from: number, to: number, marks: UnitMark[]): Run[] {
  const inside = marks.filter((mark) => mark.start < to && mark.end > from);
  const borders = inside.flatMap((mark) => [mark.start, mark.end]).filter((at) => at > from && at < to);
  const edges = [...new Set([from, ...borders, to])].sort((a, b) => a - b);
  return edges.slice(0, -1).map((start, index) => {
    const end = edges[index + 1] ?? to;
    const over = inside.filter((mark) => mark.start <= start && mark.end >= end);
    const best = over.find((mark) => mark.mark.active) ?? over[0];
    return { text: text.slice(start, end), mark: best?.mark ?? null, first: best?.start === start };
  });
}

/** The headings that govern a place, outermost first. */
export function headingsAt(document: DocumentText, point: number): string[] {
  return document.headings.filter(({ span }) => span[0] <= point && point < span[1]).map(({ title }) => title);
}
