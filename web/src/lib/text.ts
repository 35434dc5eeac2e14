// Code points and the UTF-16 units that JavaScript counts in.

/** Whether every code point of `text` is one unit, so that the two counts agree. */
function simple(text: string): boolean {
  return !/[\uD800-\uDFFF]/.test(text);
}

/** The unit offsets of `points` (code point offsets, any order). Offsets past the end become the end. */
export function unitOffsets(text: string, points: number[]): number[] {
  if (simple(text)) return points.map((point) => Math.min(Math.max(0, point), text.length));
  const order = points.map((point, index) => ({ point, index })).sort((a, b) => a.point - b.point);
  const result = new Array<number>(points.length).fill(text.length);
  let unit = 0;
  let seen = 0;
  for (const { point, index } of order) {
    while (seen < point && unit < text.length) {
      unit += (text.codePointAt(unit) ?? 0) > 0xffff ? 2 : 1;
      seen += 1;
    }
    result[index] = unit;
  }
  return result;
}

/** Where any of `terms` stands in `text` as the beginning of a word, case aside; in order, not overlapping. */
export function termRanges(text: string, terms: string[]): [number, number][] {
  const words = terms.filter((term) => term.trim().length > 1).map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (words.length === 0) return [];
  words.sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.join('|')})[\\p{L}\\p{N}]{0,3}(?![\\p{L}\\p{N}])`, 'giu');
  return [...text.matchAll(pattern)].map((match) => [match.index, match.index + match[0].length]);
}
