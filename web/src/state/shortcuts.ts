// Single-key shortcuts: `/` focus, `g` and a letter to go, `[` and `]` through citations, `?` help, Esc close.
import { signal } from '@preact/signals';
import { pathTo } from '../lib/route';
import { navigate, workspace } from './navigation';
import { shortcuts } from './preferences';

export const helpOpen = signal(false);

/** What the view on screen does with `[`, `]` and Esc; it returns whether it did anything. */
export interface Keys {
  step?: (by: 1 | -1) => void;
  escape?: () => boolean;
}

let keys: Keys = {};
let goUntil = 0;

const GO_MS = 1200;
const GOALS: Record<string, string> = { a: 'ask', d: 'docs', s: 'search', g: 'graph' };

/** Gives the keys to the view on screen; returns the function that takes them back. */
export function useKeys(next: Keys): () => void {
  keys = next;
  return () => {
    if (keys === next) keys = {};
  };
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function act(key: string, now: number): boolean {
  const goal = GOALS[key];
  if (goal && now < goUntil) {
    goUntil = 0;
    navigate(pathTo(workspace.peek(), goal));
    return true;
  }
  goUntil = key === 'g' ? now + GO_MS : 0;
  if (key === '?') helpOpen.value = true;
  else if (key === '/') document.querySelector<HTMLElement>('[data-focus]')?.focus();
  else if ((key === '[' || key === ']') && keys.step) keys.step(key === ']' ? 1 : -1);
  else return key === 'g';
  return true;
}

/** Listens on the whole page; called once. */
export function startShortcuts(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape') {
      if (keys.escape?.()) event.preventDefault();
    } else if (shortcuts.value && !typing(event.target) && act(event.key, event.timeStamp)) {
      event.preventDefault();
    }
  });
}
