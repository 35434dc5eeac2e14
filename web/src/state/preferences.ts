// What this browser remembers: theme, single-key shortcuts, last workspace, recent questions. Nothing leaves it.
import { effect, signal, type Signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const RECENT = 6;

function stored<T>(key: string, initial: T, valid: (value: unknown) => value is T): Signal<T> {
  const name = `lorekeep.${key}`;
  let value = initial;
  try {
    const read: unknown = JSON.parse(localStorage.getItem(name) ?? 'null');
    if (valid(read)) value = read;
  } catch {
    // Storage is refused or holds something else: start afresh.
  }
  const cell = signal(value);
  effect(() => {
    const text = JSON.stringify(cell.value);
    try {
      localStorage.setItem(name, text);
    } catch {
      // Private windows may refuse; the preference then lasts as long as the page.
    }
  });
  return cell;
}

const isTheme = (value: unknown): value is Theme => value === 'system' || value === 'light' || value === 'dark';
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean';
const isName = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isRecent = (value: unknown): value is Record<string, string[]> =>
  typeof value === 'object' && value !== null && Object.values(value).every((list) => Array.isArray(list));

export const theme = stored<Theme>('theme', 'system', isTheme);
export const shortcuts = stored<boolean>('shortcuts', true, isFlag);
export const lastWorkspace = stored<string>('workspace', 'default', isName);
const recent = stored<Record<string, string[]>>('recent', {}, isRecent);

/** The last questions asked in `workspace`, newest first. */
export function recentQuestions(workspace: string): string[] {
  return recent.value[workspace] ?? [];
}

export function rememberQuestion(workspace: string, question: string): void {
  const others = (recent.peek()[workspace] ?? []).filter((other) => other !== question);
  recent.value = { ...recent.peek(), [workspace]: [question, ...others].slice(0, RECENT) };
}

export function forgetQuestions(workspace: string): void {
  recent.value = { ...recent.peek(), [workspace]: [] };
}

/** Keeps the document's theme as chosen; `system` leaves it to the style sheet. */
export function applyTheme(): void {
  effect(() => {
    if (theme.value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
  });
}
