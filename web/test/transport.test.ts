import { describe, expect, it } from 'vitest';
import { failureFrom } from '../src/api/client';
import { EventParser } from '../src/api/sse';
import { batches, shares } from '../src/api/upload';
import { sift } from '../src/lib/files';
import { parseRoute, parseSpan, pathTo } from '../src/lib/route';

describe('server-sent events', () => {
  it('are found wherever the stream is cut', () => {
    const stream = ': hello\n\nevent: stage\ndata: {"stage":"searching"}\n\nevent: done\r\ndata: a\r\ndata: b\r\n\r\n';
    for (const size of [1, 3, 1000]) {
      const parser = new EventParser();
      const events = (stream.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []).flatMap((piece) => parser.feed(piece));
      expect(events).toEqual([{ event: 'stage', data: '{"stage":"searching"}' }, { event: 'done', data: 'a\nb' }]);
    }
  });
});

describe('failures', () => {
  it('carry what the problem says', () => {
    const body = JSON.stringify({ detail: 'there is no workspace `x`', code: 'E-NOT-FOUND', hint: 'make it', request_id: 'req_1' });
    expect(failureFrom(404, body, null)).toMatchObject({ message: 'there is no workspace `x`', code: 'E-NOT-FOUND', hint: 'make it', requestId: 'req_1' });
  });
  it('make do with a status', () => {
    expect(failureFrom(502, '<html>', 'req_2')).toMatchObject({ message: 'The server answered with status 502', code: 'HTTP 502', requestId: 'req_2' });
  });
});

describe('uploads', () => {
  const file = (size: number) => ({ file: { size } });
  it('share requests when small and travel alone when large', () => {
    const sizes = [1, 2, 40_000_000, 3].map(file);
    expect(batches(sizes).map((batch) => batch.length)).toEqual([2, 1, 1]);
    expect(batches(Array.from({ length: 70 }, () => file(10))).map((batch) => batch.length)).toEqual([32, 32, 6]);
  });
  it('know how far each file is', () => {
    expect(shares([100, 0, 100], 150)).toEqual([1, 1, 0.5]);
    expect(shares([100, 100], 0)).toEqual([0, 0]);
  });
  it('leave out of a folder what is hidden or cannot be read', () => {
    const named = (name: string) => ({ name, file: new File([], name) });
    const formats = [{ name: 'pdf', extensions: ['pdf'], media_type: 'application/pdf' }];
    const { send, skipped } = sift(['a/b.PDF', 'a/.git/x.pdf', 'a/c.exe', 'lone.doc'].map(named), formats);
    expect(send.map((item) => item.name)).toEqual(['a/b.PDF', 'lone.doc']);
    expect(skipped).toEqual(['a/c.exe']);
  });
});

describe('addresses', () => {
  it('say what is shown', () => {
    expect(parseRoute('/', '', 'lab')).toMatchObject({ workspace: 'lab', view: 'ask' });
    expect(parseRoute('/w/a%20b/docs/doc_1', '?hl=3-9', 'lab')).toMatchObject({ workspace: 'a b', view: 'document', id: 'doc_1' });
    expect(parseRoute('/w/lab/what', '', 'lab').view).toBe('lost');
    expect(parseRoute('/w/%E0%A4/ask', '', 'lab').view).toBe('ask');
    expect(pathTo('a b', 'ask', { q: 'x & y', cite: null, page: 2 })).toBe('/w/a%20b/ask?q=x+%26+y&page=2');
  });
  it('hold spans', () => {
    expect(parseSpan('10422-10588')).toEqual([10422, 10588]);
    expect([parseSpan(null), parseSpan('9-3'), parseSpan('a-b')]).toEqual([null, null, null]);
  });
});
