// Reads server-sent events from a response body (EventSource can only GET).

export interface ServerEvent {
  event: string;
  data: string;
}

/** Splits a stream of text into events; feed it pieces in order. */
export class EventParser {
  #rest = '';

  /** The events completed by `piece`. */
  feed(piece: string): ServerEvent[] {
    let text = this.#rest + piece;
    // A carriage return at the end may be the first half of a line break.
    const held = text.endsWith('\r') ? '\r' : '';
    text = text.slice(0, text.length - held.length).replace(/\r\n?/g, '\n');
    const blocks = text.split('\n\n');
    this.#rest = (blocks.pop() ?? '') + held;
    return blocks.map(parseBlock).filter((event) => event !== null);
  }
}

function parseBlock(block: string): ServerEvent | null {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (line.startsWith('event:')) event = value;
    else if (line.startsWith('data:')) data.push(value);
  }
  return data.length > 0 ? { event, data: data.join('\n') } : null;
}

/** Calls `hear` for every event of `response` until it ends. */
export async function readEvents(response: Response, hear: (event: ServerEvent) => void): Promise<void> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parser.feed(value).forEach(hear);
  }
  parser.feed('\n\n').forEach(hear);
}
