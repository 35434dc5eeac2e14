// One polite live region for what a screen reader should hear.
import { signal } from '@preact/signals';

export const announcement = signal('');

/** Says `text`, also when it is the same as before. */
export function announce(text: string): void {
  announcement.value = '';
  setTimeout(() => {
    announcement.value = text;
  }, 50);
}
