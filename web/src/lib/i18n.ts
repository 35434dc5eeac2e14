// Messages: flat keys, `{name}` placeholders and ICU-light plurals `{n, plural, one {# source} other {# sources}}`.
// Other languages are JSON files of the same keys; `en` is bundled and fills their gaps.
import en from '../messages/en.json';

export type MessageKey = keyof typeof en;
export type Values = Record<string, string | number>;

const locale = 'en';
const numbers = new Intl.NumberFormat(locale);
const plurals = new Intl.PluralRules(locale);

/** The message `key` with its placeholders filled. */
export function t(key: MessageKey, values: Values = {}): string {
  return format(en[key], values);
}

/** Fills `pattern`; numbers are grouped. Unknown placeholders stay as they are, so that a slip is seen. */
export function format(pattern: string, values: Values): string {
  let out = '';
  let at = 0;
  while (at < pattern.length) {
    const open = pattern.indexOf('{', at);
    if (open < 0) break;
    const close = closing(pattern, open);
    if (close < 0) break;
    out += pattern.slice(at, open) + fill(pattern.slice(open + 1, close), values);
    at = close + 1;
  }
  return out + pattern.slice(at);
}

function closing(pattern: string, open: number): number {
  let depth = 0;
  for (let at = open; at < pattern.length; at += 1) {
    if (pattern[at] === '{') depth += 1;
    else if (pattern[at] === '}' && --depth === 0) return at;
  }
  return -1;
}

function fill(body: string, values: Values): string {
  const [name = '', kind] = body.split(',', 2).map((part) => part.trim());
  const value = values[name];
  if (value === undefined) return `{${body}}`;
  const shown = typeof value === 'number' ? numbers.format(value) : value;
  if (kind !== 'plural') return shown;
  const forms = new Map<string, string>();
  const list = body.slice(body.indexOf('plural') + 'plural'.length + 1);
  for (let at = list.indexOf('{'); at >= 0; ) {
    const end = closing(list, at);
    if (end < 0) break;
    const selector = list.slice(0, at).trim().split(/[\s}]+/).at(-1) ?? '';
    forms.set(selector, list.slice(at + 1, end));
    at = list.indexOf('{', end);
  }
  const chosen = forms.get(`=${value}`) ?? forms.get(plurals.select(Number(value))) ?? forms.get('other') ?? '';
  return format(chosen, values).replaceAll('#', shown);
}
