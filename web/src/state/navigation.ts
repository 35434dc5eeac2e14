// Where the reader is. Holds the current route and changes it; the views read it.
import { computed, signal } from '@preact/signals';
import { parseRoute, pathTo, type Query } from '../lib/route';
import { lastWorkspace } from './preferences';

const address = signal(location.pathname + location.search);

/** The route that is shown. */
export const route = computed(() => {
  const [path = '/', search = ''] = address.value.split('?', 2);
  return parseRoute(path, search, lastWorkspace.peek());
});

/** The workspace that is shown. */
export const workspace = computed(() => route.value.workspace);

/** Shows `path`; `replace` leaves no entry in the history. */
export function navigate(path: string, replace = false): void {
  if (path === address.peek()) return;
  const before = route.peek();
  history[replace ? 'replaceState' : 'pushState'](null, '', path);
  address.value = path;
  const after = route.peek();
  if (before.view !== after.view || before.id !== after.id) {
    scrollTo(0, 0);
    requestAnimationFrame(focusMain);
  }
}

/** Takes keyboard and screen reader along to a new view, unless that view has taken the focus itself. */
function focusMain(): void {
  const main = document.getElementById('main');
  if (main && !main.contains(document.activeElement)) main.focus({ preventScroll: true });
}

/** Changes parts of the current query and keeps the rest. */
export function setQuery(change: Query, replace = true): void {
  const { workspace: name, view, id, query } = route.peek();
  const merged = { ...Object.fromEntries(query), ...change };
  navigate(pathTo(name, view === 'document' ? `docs/${encodeURIComponent(id)}` : view, merged), replace);
}

/** Handles clicks on links of the page itself; those with a modifier key are the browser's. */
export function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (!link || link.origin !== location.origin || link.target || link.hasAttribute('download')) return;
  if (!link.pathname.startsWith('/w/') && link.pathname !== '/') return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}

/** Follows the browser's back and forward, and gives `/` its full address. */
export function startNavigation(): void {
  addEventListener('popstate', () => {
    address.value = location.pathname + location.search;
  });
  document.addEventListener('click', followLink);
  if (location.pathname === '/') navigate(pathTo(workspace.peek(), 'ask'), true);
}
