import { describe, expect, it } from 'vitest';
import { termRanges, unitOffsets } from '../src/lib/text';

describe('code points', () => {
  it('equal units in the basic plane', () => {
    expect(unitOffsets('Nghiên cứu', [0, 7, 99])).toEqual([0, 7, 10]);
  });
  it('are counted across surrogate pairs, in any order', () => {
    const text = 'a🏠b🏠c';
    expect(unitOffsets(text, [4, 0, 2, 5])).toEqual([6, 0, 3, 7]);
    const [start, end] = unitOffsets(text, [1, 2]);
    expect(text.slice(start, end)).toBe('🏠');
  });
});

describe('terms', () => {
  const found = (text: string, terms: string[]) => termRanges(text, terms).map(([start, end]) => text.slice(start, end));
  it('are found as beginnings of words, case aside', () => {
    expect(found('Roofs and the roof; waterproof', ['roof'])).toEqual(['Roofs', 'roof']);
  });
  it('may hold any character', () => {
    expect(found('C++ (and c++)', ['c++'])).toEqual(['C++', 'c++']);
    expect(found('nothing', ['', ' '])).toEqual([]);
  });
});
