// An answer's text as pieces: words and the numbers of the citations that support them; and answers as plain text.
import type { Answer, Citation } from '../api/types';
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

/** `retrofit.pdf, p. 7`. */
export function placeName(place: { name: string; page?: number | null }): string {
  return place.page ? t('place.page', { name: place.name, page: String(place.page) }) : place.name;
}

/** The answer with its numbered sources below, for the clipboard. */
export function withSources(answer: Answer): string {
  const source = (citation: Citation) => `[${citation.n}] ${placeName(citation)}: “${citation.quote.trim()}”`;
  return `${answer.answer.trim()}\n\n${answer.citations.map(source).join('\n')}`;
}
