// The page's icons: 20-unit strokes in the colour of their text, hidden from screen readers (buttons carry names).
const PATHS = {
  ask: 'M3.5 5.5a2 2 0 0 1 2-2h9a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9l-3.5 3v-3a2 2 0 0 1-2-2zM7 7.5h6M7 10h4',
  docs: 'M5.5 2.5h6l3.5 3.5v11.5h-9.5zM11 2.5V6.5h4M8 10h4.5M8 13h4.5',
  search: 'M9 3.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM13 13l4 4',
  graph: 'M5.5 7.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM14.5 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM8 16.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7.4 5.9l5.2.8M6.1 7.4l1.3 5.2M13.4 8.7l-4 4.4',
  sun: 'M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM10 2v1.8M10 16.2V18M2 10h1.8M16.2 10H18M4.3 4.3l1.3 1.3M14.4 14.4l1.3 1.3M4.3 15.7l1.3-1.3M14.4 5.6l1.3-1.3',
  moon: 'M16.5 11.8A7 7 0 0 1 8.2 3.5a7 7 0 1 0 8.3 8.3z',
  screen: 'M3 4.5h14v9H3zM7.5 16.5h5M10 13.5v3',
  close: 'M5 5l10 10M15 5L5 15',
  left: 'M12 4.5L6.5 10l5.5 5.5',
  right: 'M8 4.5l5.5 5.5L8 15.5',
  copy: 'M7 7h9v9.5H7zM4 13V3.5h9',
  check: 'M4 10.5l4 4 8-9',
  retry: 'M15.5 8a6 6 0 1 0 .6 3.5M16 3.5V8h-4.5',
  trash: 'M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.8 11h7.4l.8-11M8.5 8.5v5M11.5 8.5v5',
  stop: 'M5.5 5.5h9v9h-9z',
  send: 'M10 16V4.5M5 9.5l5-5 5 5',
  open: 'M8 4.5H4.5v11h11V12M11.5 3.5h5v5M16.5 3.5L9.5 10.5',
  file: 'M5.5 2.5h6l3.5 3.5v11.5h-9.5zM11 2.5V6.5h4',
  folder: 'M2.5 5h5l1.5 2h8.5v8.5h-15z',
  edit: 'M4 16l.8-3.2L13.5 4l2.5 2.5-8.8 8.7zM12 5.5L14.5 8',
  warn: 'M10 3.5l7 13H3zM10 8v4M10 14.2v.3',
  link: 'M4 10h12M12 6l4 4-4 4',
  info: 'M10 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM10 9v5M10 6.2v.3',
  quote: 'M4 13.5c2.5 0 3.5-1.500 3.500-4V6H4v4h2M11 13.500c2.500 0 3.500-1.500 3.500-4V6H11v4h2',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
