// Addresses of the page: what is shown is in the URL, so that reload, back and a shared link show it again.

export type View = 'ask' | 'docs' | 'document' | 'search' | 'graph' | 'lost';

export interface Route {
  workspace: string;
  view: View;
  /** The document's id in the view `document`. */
  id: string;
  query: URLSearchParams;
}

const VIEWS: Record<string, View> = { ask: 'ask', docs: 'docs', search: 'search', graph: 'graph' };

/** The route of a path and its query. `/` is the question box of `fallback`. */
export function parseRoute(path: string, search: string, fallback: string): Route {
  const parts = path.split('/').filter((part) => part !== '').map(decode);
  const query = new URLSearchParams(search);
  const route = (workspace: string, view: View, id = ''): Route => ({ workspace, view, id, query });
  if (parts.length === 0) return route(fallback, 'ask');
  const [root, workspace = fallback, name = 'ask', id] = parts;
  if (root !== 'w') return route(fallback, 'lost');
  if (name === 'docs' && id) return route(workspace, 'document', id);
  return route(workspace, (id === undefined && VIEWS[name]) || 'lost');
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export type Query = Record<string, string | number | null | undefined>;

/** The path of a view; empty values are left out. */
export function pathTo(workspace: string, view: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value));
  }
  const text = search.toString();
  return `/w/${encodeURIComponent(workspace)}/${view}${text ? `?${text}` : ''}`;
}

/** `10422-10588` as a span. */
export function parseSpan(text: string | null): [number, number] | null {
  const match = /^(\d{1,12})-(\d{1,12})$/.exec(text ?? '');
  if (!match) return null;
  const [start, end] = [Number(match[1]), Number(match[2])];
  return end > start ? [start, end] : null;
}
