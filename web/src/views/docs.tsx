// Documents: what is in the workspace, what is being indexed, how to add, retry and delete.
import { useEffect } from 'preact/hooks';
import { asFailure, call, callJson } from '../api/client';
import type { DocumentList, Job, StateCounts } from '../api/types';
import { t, type MessageKey } from '../lib/i18n';
import { announce } from '../state/announce';
import { changes, follow, touched } from '../state/jobs';
import { route, setQuery, workspace } from '../state/navigation';
import { useLoaded } from '../state/texts';
import { Empty, FailureCard, Skeleton } from '../ui/parts';
import { AddButtons, Formats } from './add-files';
import { DocsTable } from './docs-table';
import { JobCards } from './job-cards';
import { UploadCard } from './upload-card';

const PAGE = 50;
const STATES: [string, keyof StateCounts][] = [
  ['ready', 'ready'],
  ['processing', 'processing'],
  ['queued', 'queued'],
  ['needs-ocr', 'needs_ocr'],
  ['failed', 'failed'],
  ['cancelled', 'cancelled'],
];

/** The request for what the address asks to see. */
function listPath(query: URLSearchParams, page: number): string {
  const search = new URLSearchParams({ offset: String((page - 1) * PAGE), limit: String(PAGE) });
  const name = query.get('name')?.trim();
  if (name) search.set('document', `*${name}*`);
  for (const key of ['state', 'sort', 'order']) {
    const value = query.get(key);
    if (value) search.set(key, value);
  }
  return `/v1/documents?${search.toString()}`;
}

export function DocsView() {
  const { query } = route.value;
  const name = workspace.value;
  const page = Math.max(1, Number.parseInt(query.get('page') ?? '1', 10) || 1);
  const path = listPath(query, page);
  const key = `${name}\n${path}\n${changes.value}`;
  const { value, failure, reload } = useLoaded(key, () => callJson<DocumentList>(name, path), true);
  useEffect(() => {
    document.title = `${t('nav.docs')} – Lorekeep`;
  }, []);
  const all = value ? Object.values(value.counts).reduce((sum, n) => sum + n, 0) : 0;
  return (
    <div class="docs">
      <header class="view-head">
        <h1>{t('nav.docs')}</h1>
        <AddButtons />
      </header>
      <UploadCard />
      <JobCards />
      {failure && <FailureCard failure={failure} retry={reload} />}
      {!value && !failure && <Skeleton />}
      {value && all === 0 && <FirstFiles />}
      {value && all > 0 && (
        <>
          <Filters counts={value.counts} all={all} query={query} />
          <DocsTable list={value} page={page} size={PAGE} remove={remove} retry={retry} />
          <Pager page={page} total={value.total} />
          <Formats />
        </>
      )}
    </div>
  );
}

function FirstFiles() {
  return (
    <Empty title={t('docs.none')}>
      <p>{t('docs.none.how')}</p>
      <AddButtons />
      <Formats />
    </Empty>
  );
}

function Filters({ counts, all, query }: { counts: StateCounts; all: number; query: URLSearchParams }) {
  const chosen = query.get('state') ?? '';
  const chip = (state: string, label: string, n: number) => (
    <button key={state} type="button" class="chip" aria-pressed={chosen === state} onClick={() => setQuery({ state, page: null })}>
      {label} <span class="chip-count">{n}</span>
    </button>
  );
  return (
    <div class="filters">
      <div class="chips" role="group" aria-label={t('docs.filter.state')}>
        {chip('', t('docs.all'), all)}
        {STATES.filter(([state, key]) => counts[key] > 0 || chosen === state).map(([state, key]) =>
          chip(state, t(`state.${state}` as MessageKey), counts[key]),
        )}
      </div>
      <input
        type="search"
        class="filter-name"
        data-focus=""
        aria-label={t('docs.filter.name')}
        placeholder={t('docs.filter.name')}
        value={query.get('name') ?? ''}
        onInput={(event) => setQuery({ name: event.currentTarget.value, page: null })}
      />
    </div>
  );
}

function Pager({ page, total }: { page: number; total: number }) {
  const pages = Math.ceil(total / PAGE);
  if (pages <= 1) return null;
  return (
    <nav class="pager" aria-label={t('pager')}>
      <button type="button" class="button" disabled={page <= 1} onClick={() => setQuery({ page: page - 1 }, false)}>
        {t('pager.previous')}
      </button>
      <span class="fine">{t('pager.place', { page, pages })}</span>
      <button type="button" class="button" disabled={page >= pages} onClick={() => setQuery({ page: page + 1 }, false)}>
        {t('pager.next')}
      </button>
    </nav>
  );
}

async function remove(id: string, name: string): Promise<void> {
  try {
    await call(workspace.peek(), `/v1/documents/${encodeURIComponent(id)}`, { method: 'DELETE' });
    announce(t('docs.deleted', { name }));
  } catch (error) {
    announce(asFailure(error).message);
  }
  touched();
}

async function retry(id: string): Promise<void> {
  try {
    const { job } = await callJson<{ job: Job | null }>(workspace.peek(), `/v1/documents/${encodeURIComponent(id)}/retry`, { method: 'POST' });
    if (job) follow(job);
  } catch (error) {
    announce(asFailure(error).message);
  }
  touched();
}
