// Numbers, sizes and times as people read them.

const locale = 'en';
const integer = new Intl.NumberFormat(locale);
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });

/** A message of the API, which begins in lower case, as a sentence of the page. */
export function sentence(text: string): string {
  return text.charAt(0).toLocaleUpperCase(locale) + text.slice(1);
}

/** 1204 → `1,204`. */
export function count(value: number): string {
  return integer.format(value);
}

/** Bytes with one digit of a fraction below ten: `0 B`, `812 B`, `1.4 kB`, `24 MB`. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let index = 0;
  let rest = value;
  while (rest >= 1000 && index < units.length - 1) {
    rest /= 1000;
    index += 1;
  }
  const digits = index > 0 && rest < 10 ? 1 : 0;
  return `${rest.toFixed(digits)} ${units[index]}`;
}

/** Milliseconds: `0.4 ms`, `41 ms`, `1.2 s`. */
export function duration(ms: number): string {
  if (ms < 10) return `${Math.max(0.1, ms).toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

/** Seconds left: `11 s`, `3 min`, `2 h`. */
export function left(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** Nano-USD: `$0`, `$0.0008`, `$1.20`. */
export function cost(nano: number): string {
  if (nano === 0) return '$0';
  const usd = nano / 1e9;
  return `$${usd >= 0.1 ? usd.toFixed(2) : Number(usd.toPrecision(2))}`;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** How long ago, up to a week; then the date. */
export function ago(time: string, now: number): string {
  const then = Date.parse(time);
  if (Number.isNaN(then)) return time;
  const seconds = (now - then) / 1000;
  if (seconds > 7 * 86_400) return dateTime.format(then);
  for (const [unit, size] of STEPS) {
    if (seconds >= size) return relative.format(-Math.floor(seconds / size), unit);
  }
  return relative.format(0, 'second');
}

/** Date and time in the reader's time zone. */
export function moment(time: string): string {
  const then = Date.parse(time);
  return Number.isNaN(then) ? time : dateTime.format(then);
}
