import { expect, it } from 'vitest';
import { segments } from '../src/lib/citations';

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
