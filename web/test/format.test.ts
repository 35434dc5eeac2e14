import { describe, expect, it } from 'vitest';
import { ago, bytes, cost, duration, left, sentence } from '../src/lib/format';
import { format, t } from '../src/lib/i18n';

describe('figures', () => {
  it('carry units and no false precision', () => {
    expect([0, 812, 1400, 24_300_000].map(bytes)).toEqual(['0 B', '812 B', '1.4 kB', '24 MB']);
    expect([0.4, 41.3, 1234, 61_000].map(duration)).toEqual(['0.4 ms', '41 ms', '1.2 s', '61 s']);
    expect([0.2, 11, 200, 9000].map(left)).toEqual(['1 s', '11 s', '3 min', '3 h']);
    expect([0, 812_000, 1_200_000_000].map(cost)).toEqual(['$0', '$0.00081', '$1.20']);
    expect(sentence('the index is open')).toBe('The index is open');
  });
  it('tell how long ago', () => {
    const now = Date.parse('2026-05-02T12:00:00Z');
    expect(ago('2026-05-02T11:58:00Z', now)).toBe('2 minutes ago');
    expect(ago('2026-05-01T10:00:00Z', now)).toBe('yesterday');
    expect(ago('2026-05-02T12:00:01Z', now)).toBe('now');
    expect(ago('2026-04-02T12:00:00Z', now)).toContain('2026');
  });
});

describe('messages', () => {
  it('fill placeholders and choose plurals', () => {
    expect(t('ask.announce', { n: 1 })).toBe('Answer ready, 1 source');
    expect(t('ask.announce', { n: 1204 })).toBe('Answer ready, 1,204 sources');
    expect(format('{n, plural, =0 {none} one {# file of {all}} other {# files}}', { n: 1, all: 'many' })).toBe('1 file of many');
    expect(format('{n, plural, =0 {none} other {#}}', { n: 0 })).toBe('none');
  });
  it('keep braces of values and unknown placeholders', () => {
    expect(format('a {x} {y}', { x: '{y}' })).toBe('a {y} {y}');
    expect(format('{', {})).toBe('{');
  });
});
