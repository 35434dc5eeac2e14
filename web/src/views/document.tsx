// One document: its text with the passage of the address highlighted, its chunks, its details.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { addressed, callJson } from '../api/client';
import type { Chunk, DocumentRecord, Span } from '../api/types';
import { bytes, count, moment } from '../lib/format';
import { t, type MessageKey } from '../lib/i18n';
import type { Mark } from '../lib/layout';
import { parseSpan, pathTo } from '../lib/route';
import { changes } from '../state/jobs';
import { route, setQuery, workspace } from '../state/navigation';
import { useLoaded, useText } from '../state/texts';
import { Icon } from '../ui/icons';
import { FailureCard, ProblemText, Skeleton, StateChip } from '../ui/parts';
import { TextView } from '../ui/text-view';

const TABS = ['text', 'chunks', 'details'] as const;
const CHUNKS = 50;

type Tab = (typeof TABS)[number];

export function DocumentView({ id }: { id: string }) {
  const name = workspace.value;
  const path = `/v1/documents/${encodeURIComponent(id)}`;
  const key = `${name}\n${path}\n${changes.value}`;
  const { value, failure, reload } = useLoaded(key, () => callJson<DocumentRecord>(name, path), true);
  const tab = TABS.find((known) => known === route.value.query.get('tab')) ?? 'text';
  useEffect(() => {
    if (value) document.title = `${value.name} – Lorekeep`;
  }, [value]);
  if (failure) return <FailureCard failure={failure} retry={reload} />;
  if (!value) return <Skeleton />;
  return (
    <article class="document">
      <Head document={value} />
      <Tabs tab={tab} />
      <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {tab === 'text' && <TextTab document={value} />}
        {tab === 'chunks' && <ChunksTab document={value} />}
        {tab === 'details' && <Details document={value} />}
      </div>
    </article>
  );
}

function Head({ document }: { document: DocumentRecord }) {
  const original = addressed(workspace.value, `/v1/documents/${encodeURIComponent(document.id)}/original`);
  return (
    <header class="view-head">
      <div>
        <p class="crumb">
          <a href={pathTo(workspace.value, 'docs')}>
            <Icon name="left" /> {t('nav.docs')}
          </a>
        </p>
        <h1 dir="auto">{document.name}</h1>
        <p class="document-state">
          <StateChip state={document.state} />
          {document.pages > 0 && <span>{t('document.pages', { n: document.pages })}</span>}
          <span>{t('document.chunks', { n: document.chunks })}</span>
        </p>
        {document.problem && <ProblemText {...document.problem} />}
      </div>
      <a class="button" href={original} target="_blank" rel="noopener">
        <Icon name="open" /> {t('source.original')}
      </a>
    </header>
  );
}

function Tabs({ tab }: { tab: Tab }) {
  const move = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const next = TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length];
    if (by === 0 || !next) return;
    setQuery({ tab: next });
    globalThis.document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={t('document.tabs')} onKeyDown={move}>
      {TABS.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`tab-${name}`}
          aria-selected={name === tab}
          aria-controls={name === tab ? 'tab-panel' : undefined}
          tabIndex={name === tab ? 0 : -1}
          onClick={() => setQuery({ tab: name === 'text' ? null : name })}
        >
          {t(`tab.${name}` as MessageKey)}
        </button>
      ))}
    </div>
  );
}

function TextTab({ document }: { document: DocumentRecord }) {
  const { query } = route.value;
  const { value, failure, reload } = useText(workspace.value, document.id, document.updated_at);
  const hl = query.get('hl');
  const page = query.get('page');
  const marks = useMemo<Mark[]>(() => {
    const span = parseSpan(hl);
    return span ? [{ span, key: 'hl', active: true }] : [];
  }, [hl]);
  if (failure) return <FailureCard failure={failure} retry={reload} />;
  if (!value) return <Skeleton />;
  const pageSpan = value.pages.find((known) => String(known.number) === page)?.span;
  // A page without a passage is opened at its first character.
  const focus: Span | null = parseSpan(hl) ?? (pageSpan ? [pageSpan[0], pageSpan[0] + 1] : null);
  const shown = marks.length > 0 || !focus ? marks : [{ span: focus, key: 'page', active: true }];
  return <TextView text={value} marks={shown} focus={focus} under={1} />;
}

function ChunksTab({ document }: { document: DocumentRecord }) {
  const [limit, setLimit] = useState(CHUNKS);
  const name = workspace.value;
  const path = `/v1/documents/${encodeURIComponent(document.id)}/chunks?limit=${limit}`;
  const key = `${name}\n${path}\n${document.updated_at}`;
  const { value, failure, reload } = useLoaded(key, () => callJson<{ chunks: Chunk[] }>(name, path), true);
  if (failure) return <FailureCard failure={failure} retry={reload} />;
  if (!value) return <Skeleton />;
  const { chunks } = value;
  return (
    <>
      <ol class="plain chunks">
        {chunks.map((chunk) => (
          <ChunkCard key={chunk.id} chunk={chunk} />
        ))}
      </ol>
      {chunks.length < document.chunks && (
        <button type="button" class="button" onClick={() => setLimit(Math.min(1000, limit + CHUNKS))}>
          {t('more')}
        </button>
      )}
    </>
  );
}

function ChunkCard({ chunk }: { chunk: Chunk }) {
  const facts = [
    `#${chunk.position + 1}`,
    chunk.page ? t('text.page', { n: String(chunk.page) }) : '',
    t('document.tokens', { n: chunk.tokens }),
    ...chunk.headings,
  ];
  return (
    <li class="chunk">
      <p class="fine">
        <button type="button" class="text-button" onClick={() => setQuery({ tab: null, hl: chunk.span.join('-'), page: chunk.page }, false)}>
          {t('document.show')}
        </button>
        {' · '}
        {facts.filter((fact) => fact !== '').join(' · ')}
      </p>
      <p class="text-block" dir="auto">
        {chunk.text}
      </p>
    </li>
  );
}

function Details({ document }: { document: DocumentRecord }) {
  const rows: [MessageKey, string | null | undefined][] = [
    ['details.title', document.title],
    ['details.author', document.author],
    ['details.date', document.date],
    ['details.language', document.language],
    ['details.tags', document.tags.join(', ')],
    ['details.source', document.source],
    ['details.size', bytes(document.bytes)],
    ['details.characters', count(document.characters)],
    ['details.entities', count(document.entities)],
    ['details.version', String(document.version)],
    ['details.added', moment(document.created_at)],
    ['details.changed', moment(document.updated_at)],
    ['details.id', document.id],
    ['details.hash', document.content_hash],
  ];
  return (
    <>
      <dl class="details">
        {rows
          .filter(([, value]) => value)
          .map(([key, value]) => (
            <div key={key}>
              <dt>{t(key)}</dt>
              <dd dir="auto">{value}</dd>
            </div>
          ))}
      </dl>
      {document.warnings.length > 0 && (
        <section class="note note--warn">
          <h2>{t('details.warnings')}</h2>
          <ul>
            {document.warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
