// The source of a citation: the document's text beside the answer, the passage highlighted.
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { addressed } from '../api/client';
import type { Place } from '../api/types';
import { placeName } from '../lib/citations';
import { t } from '../lib/i18n';
import { headingsAt, type Mark } from '../lib/layout';
import { pathTo } from '../lib/route';
import { paneOpen } from '../state/pane';
import { useText } from '../state/texts';
import { Icon } from './icons';
import { CopyButton, FailureCard, Skeleton } from './parts';
import { TextView } from './text-view';

/** A place among those that can be stepped through; `label` is what the answer calls it. */
export interface Source extends Place {
  label: string;
  version: number;
}

interface Props {
  workspace: string;
  sources: Source[];
  index: number;
  step: (by: 1 | -1) => void;
  close: () => void;
}

export function SourcePane({ workspace, sources, index, step, close }: Props) {
  const title = useRef<HTMLHeadingElement>(null);
  const source = sources[index];
  // Keyboard and screen reader follow into the pane when it opens, not at every step.
  useLayoutEffect(() => {
    title.current?.focus({ preventScroll: true });
    paneOpen.value = true;
    return () => {
      paneOpen.value = false;
    };
  }, []);
  if (!source) return null;
  return (
    <aside class="pane" aria-label={t('source.title')}>
      <header class="pane-head">
        <div class="pane-name">
          <span class="cite-number">{source.label}</span>
          <h2 ref={title} tabIndex={-1}>
            {source.name}
          </h2>
          <button type="button" class="icon-button" aria-label={t('source.close')} onClick={close}>
            <Icon name="close" />
          </button>
        </div>
        <Tools workspace={workspace} source={source} position={`${index + 1} / ${sources.length}`} step={step} />
      </header>
      <Body workspace={workspace} sources={sources} source={source} index={index} />
    </aside>
  );
}

function Tools(props: { workspace: string; source: Source; position: string; step: (by: 1 | -1) => void }) {
  const { workspace, source, position, step } = props;
  const id = encodeURIComponent(source.document_id);
  const page = pathTo(workspace, `docs/${id}`, { page: source.page, hl: source.span.join('-') });
  return (
    <div class="pane-tools">
      <span class="stepper">
        <button type="button" class="icon-button" aria-label={t('source.previous')} onClick={() => step(-1)}>
          <Icon name="left" />
        </button>
        <span class="fine">{position}</span>
        <button type="button" class="icon-button" aria-label={t('source.next')} onClick={() => step(1)}>
          <Icon name="right" />
        </button>
      </span>
      <CopyButton label={t('source.copy')} text={() => `“${source.quote.trim()}” (${placeName(source)})`} />
      <a class="button button--quiet" href={page}>
        <Icon name="docs" /> {t('source.document')}
      </a>
      <a class="button button--quiet" href={addressed(workspace, `/v1/documents/${id}/original`)} target="_blank" rel="noopener">
        <Icon name="open" /> {t('source.original')}
      </a>
    </div>
  );
}

function Body({ workspace, sources, source, index }: { workspace: string; sources: Source[]; source: Source; index: number }) {
  const { value, failure, reload } = useText(workspace, source.document_id, source.version);
  const marks = useMemo(() => marksOf(sources, index), [sources, index]);
  const path = value ? headingsAt(value, source.span[0]) : [];
  const place = [source.page ? t('text.page', { n: String(source.page) }) : '', ...path].filter((part) => part !== '');
  return (
    <>
      {place.length > 0 && <p class="pane-place">{place.join(' › ')}</p>}
      <div class="pane-body" tabIndex={0} role="region" aria-label={t('source.text', { name: source.name })}>
        {failure && <FailureCard failure={failure} retry={reload} />}
        {!value && !failure && <Skeleton />}
        {value && <TextView text={value} marks={marks} focus={source.span} under={2} turn={index} />}
      </div>
    </>
  );
}

function marksOf(sources: Source[], index: number): Mark[] {
  const current = sources[index];
  return sources
    .map((source, at) => ({ source, mark: { span: source.span, key: source.label, active: at === index } }))
    .filter(({ source }) => source.document_id === current?.document_id)
    .map(({ mark }) => mark);
}
