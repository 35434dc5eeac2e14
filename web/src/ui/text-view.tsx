// A document's text with highlighted passages, scrolled so that the one being read stands at 30 % of the height.
// Very long texts are shown in a window around it that grows on request.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { DocumentText, Span } from '../api/types';
import { t } from '../lib/i18n';
import { layout, windowAround, type Block, type Mark, type Run } from '../lib/layout';

const WINDOW = 150_000;
const READING_HEIGHT = 0.3;

interface Props {
  text: DocumentText;
  marks: Mark[];
  /** What to scroll to; changing it, or `turn`, scrolls again. */
  focus: Span | null;
  /** Level of the heading that stands over the text. */
  under: number;
  turn?: string | number;
}

export function TextView({ text, marks, focus, under, turn }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const [grown, setGrown] = useState<[number, number]>([0, 0]);
  const [start, end] = useMemo(() => windowAround(text.text, focus, WINDOW), [text, focus?.[0], focus?.[1]]);
  const shown = useMemo(() => layout(text, marks, [start - grown[0], end + grown[1]]), [text, marks, start, end, grown]);
  useLayoutEffect(() => {
    const target = root.current?.querySelector<HTMLElement>('[data-active]');
    if (target) scrollTo30(target);
  }, [text, focus?.[0], focus?.[1], turn]);
  if (text.text.trim() === '') return <p class="muted">{t('text.empty')}</p>;
  return (
    <div ref={root} class="text" dir="auto">
      {shown.before && <More label={t('text.before')} grow={() => setGrown([grown[0] + WINDOW, grown[1]])} />}
      {shown.blocks.map((block, index) => (
        <BlockView key={index} block={block} under={under} />
      ))}
      {shown.after && <More label={t('text.after')} grow={() => setGrown([grown[0], grown[1] + WINDOW])} />}
    </div>
  );
}

function More({ label, grow }: { label: string; grow: () => void }) {
  return (
    <p class="text-more">
      <button type="button" class="button" onClick={grow}>
        {label}
      </button>
    </p>
  );
}

function BlockView({ block, under }: { block: Block; under: number }) {
  if (block.kind === 'page') return <p class="text-page">{t('text.page', { n: String(block.number) })}</p>;
  const runs = block.runs.map((run, index) => <RunView key={index} run={run} />);
  if (block.kind === 'text') return <p class="text-block">{runs}</p>;
  return (
    <p class={`text-block text-heading text-heading--${Math.min(block.level, 4)}`} role="heading" aria-level={Math.min(block.level + under, 6)}>
      {runs}
    </p>
  );
}

function RunView({ run }: { run: Run }) {
  if (!run.mark) return <>{run.text}</>;
  const active = run.mark.active;
  return (
    <mark class={active ? 'mark mark--active' : 'mark'} data-active={active && run.first ? '' : undefined}>
      {run.text}
    </mark>
  );
}

function scrollTo30(target: HTMLElement): void {
  let box = target.parentElement;
  while (box && !(box.scrollHeight > box.clientHeight && /auto|scroll/.test(getComputedStyle(box).overflowY))) box = box.parentElement;
  const top = target.getBoundingClientRect().top;
  if (box && box !== document.documentElement && box !== document.body) {
    box.scrollTop += top - box.getBoundingClientRect().top - READING_HEIGHT * box.clientHeight;
  } else {
    scrollBy(0, top - READING_HEIGHT * innerHeight);
  }
}
