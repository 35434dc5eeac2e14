// Whether the source pane covers the page, as it does on narrow screens; what it covers is then inert.
import { computed, signal } from '@preact/signals';

const narrow = matchMedia('(max-width: 1000px)');
const isNarrow = signal(narrow.matches);
narrow.addEventListener('change', () => {
  isNarrow.value = narrow.matches;
});

/** Set by the pane while it is on screen. */
export const paneOpen = signal(false);

export const covered = computed(() => paneOpen.value && isNarrow.value);
