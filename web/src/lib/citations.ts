// An answer's text as pieces: words and the numbers of the citations that support them; and answers as plain text.
import type { Answer, Citation, Span } from '../api/types';
import { t } from './i18n';

export interface Segment {
  text: string;
  numbers: number[];
}

/** Cuts `answer` after each group of `[n]` that names one of `known`; any other bracket stays text. */
export function segments(answer: string, known: number[]): Segment[] {
  const result: Segment[] = [];
  let text = '';
  let at = 0;
  for (const match of answer.matchAll(/\s?\[(\d+)\]/g)) {
    const number = Number(match[1]);
    if (!known.includes(number)) continue;
    text += answer.slice(at, match.index);
    at = match.index + match[0].length;
    const last = result.at(-1);
    if (text.trim() === '' && last) last.numbers.push(number);
    else result.push({ text: text.trim(), numbers: [number] });
    text = '';
  }
  const rest = (text + answer.slice(at)).trim();
  if (rest !== '') result.push({ text: rest, numbers: [] });
  return result;
}

/** A stretch of a written answer: its words, then the numbers that stand behind them. */
export interface Run extends Segment {
  /** No support was found for the sentence that it belongs to. */
  unsupported: boolean;
  /** It ends that sentence, or the part of it in this paragraph. */
  ends: boolean;
}

/** The paragraphs of a written answer as runs. `unsupported` are spans of `answer` in code points. */
export function paragraphs(answer: string, known: number[], unsupported: Span[]): Run[][] {
  const units = unitsOf(answer);
  const marks = unsupported.map(([start, end]): Span => [units(start), units(end)]);
  return [...answer.matchAll(/[^\n]+(?:\n[^\n]+)*/g)].flatMap((match) => {
    const [text, from] = [match[0], match.index];
    const to = from + text.length;
    const cuts = [from, ...marks.flat().filter((at) => at > from && at < to), to];
    const runs = cuts.slice(1).flatMap((end, index) => {
      const start = cuts[index] ?? from;
      const marked = marks.some((mark) => mark[0] <= start && end <= mark[1]);
      const parts = runsOf(answer.slice(start, end), known);
      return parts.map((part, at): Run => ({ ...part, unsupported: marked, ends: marked && at === parts.length - 1 }));
    });
    return runs.some((run) => run.text.trim() !== '') ? [runs] : [];
  });
}

/** Like `segments`, without trimming: what a model wrote keeps its lines. */
function runsOf(text: string, known: number[]): Segment[] {
  const runs: Segment[] = [];
  let at = 0;
  for (const match of text.matchAll(/[ \t]?\[(\d+)\]/g)) {
    const number = Number(match[1]);
    if (!known.includes(number)) continue;
    const before = text.slice(at, match.index);
    const last = runs.at(-1);
    if (before === '' && last) last.numbers.push(number);
    else runs.push({ text: before, numbers: [number] });
    at = match.index + match[0].length;
  }
  if (at < text.length) runs.push({ text: text.slice(at), numbers: [] });
  return runs;
}

/** Where a code point begins in UTF-16 units. */
function unitsOf(text: string): (point: number) => number {
  const starts: number[] = [];
  let at = 0;
  for (const letter of text) {
    starts.push(at);
    at += letter.length;
  }
  return (point) => starts[point] ?? text.length;
}

/** `retrofit.pdf, p. 7`. */
export function placeName(place: { name: string; page?: number | null }): string {
  return place.page ? t('place.page', { name: place.name, page: String(place.page) }) : place.name;
}

/** The answer with its numbered sources below, for the clipboard. */
export function withSources(answer: Answer): string {
  const source = (citation: Citation) => `[${citation.n}] ${placeName(citation)}: “${citation.quote.trim()}”`;
  return `${answer.answer.trim()}\n\n${answer.citations.map(source).join('\n')}`;
}
