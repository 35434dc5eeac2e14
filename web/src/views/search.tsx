// Search: passages without an answer, each with the reasons why it was found.
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { callJson } from '../api/client';
import type { Reason, SearchResult, SearchResults } from '../api/types';
import { duration } from '../lib/format';
import { t } from '../lib/i18n';
import { termRanges } from '../lib/text';
import { announce } from '../state/announce';
import { route, setQuery, workspace } from '../state/navigation';
import { covered } from '../state/pane';
import { useKeys } from '../state/shortcuts';
import { useLoaded } from '../state/texts';
import { Icon } from '../ui/icons';
import { Empty, FailureCard, Skeleton } from '../ui/parts';
import { SourcePane, type Source } from '../ui/source-pane';

const LIMIT = 20;

export function SearchView() {
  const query = route.value.query.get('q')?.trim() ?? '';
  useEffect(() => {
    document.title = `${query || t('nav.search')} – Lorekeep`;
  }, [query]);
  return (
    <div class="search">
      <div inert={covered.value}>
        <h1>{t('nav.search')}</h1>
        <Box query={query} />
      </div>
      {query ? <Results key={query} query={query} /> : <p class="muted">{t('search.lead')}</p>}
    </div>
  );
}

function Box({ query }: { query: string }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <form
      class="search-box"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        setQuery({ q: input.current?.value.trim(), cite: null }, false);
      }}
    >
      <input ref={input} type="search" data-focus="" dir="auto" aria-label={t('search.label')} placeholder={t('search.label')} defaultValue={query} key={query} />
      <button type="submit" class="button button--primary">
        <Icon name="search" /> {t('nav.search')}
      </button>
    </form>
  );
}

function Results({ query }: { query: string }) {
  const name = workspace.value;
  const load = () => callJson<SearchResults>(name, '/v1/search', { method: 'POST', json: { query, limit: LIMIT } });
  const { value, failure, reload } = useLoaded(`${name}\n${query}`, load);
  const sources = useMemo(() => (value?.results ?? []).map(sourceOf), [value]);
  const label = route.value.query.get('cite');
  const index = label === null ? -1 : sources.findIndex((source) => source.label === label);
  const show = (at: number, replace: boolean) => setQuery({ cite: sources[at]?.label }, replace);
  const step = (by: 1 | -1) => {
    if (sources.length > 0) show(index < 0 ? 0 : (index + by + sources.length) % sources.length, index >= 0);
  };
  const close = () => {
    setQuery({ cite: null });
    requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-result="${CSS.escape(label ?? '')}"]`)?.focus());
  };
  useLayoutEffect(() => useKeys({ step, escape: () => index >= 0 && (close(), true) }));
  useEffect(() => {
    if (value) announce(t('search.announce', { n: value.results.length }));
  }, [value]);
  if (failure) return <FailureCard failure={failure} retry={reload} />;
  if (!value) return <Skeleton />;
  if (value.results.length === 0) {
    return (
      <Empty title={t('search.none')}>
        <p>{t('tips.words')}</p>
      </Empty>
    );
  }
  return (
    <div class={index >= 0 ? 'split split--source' : 'split'}>
      <div inert={covered.value}>
        <p class="fine">{t('search.found', { n: value.results.length, all: value.searched, time: duration(value.took_ms) })}</p>
        {value.notices.map((notice) => (
          <p key={notice} class="note note--warn">
            {notice}
          </p>
        ))}
        <ol class="plain results">
          {value.results.map((result, at) => (
            <Result key={result.chunk_id} result={result} active={at === index} open={() => show(at, index >= 0)} />
          ))}
        </ol>
      </div>
      {index >= 0 && <SourcePane workspace={name} sources={sources} index={index} step={step} close={close} />}
    </div>
  );
}

function sourceOf(result: SearchResult): Source {
  const { document, page, span, text, rank } = result;
  return { document_id: document.id, name: document.name, version: document.version, page, span, quote: text, label: String(rank) };
}

function Result({ result, active, open }: { result: SearchResult; active: boolean; open: () => void }) {
  const terms = result.reasons.flatMap((reason) => (reason.type === 'terms' ? reason.terms : []));
  return (
    <li class={active ? 'result result--active' : 'result'}>
      <h2>
        <button type="button" class="text-button" data-result={result.rank} onClick={open}>
          <span class="cite-number">{result.rank}</span> <span dir="auto">{result.document.name}</span>
        </button>
        {result.page && <span class="fine">{t('text.page', { n: String(result.page) })}</span>}
      </h2>
      {result.headings.length > 0 && <p class="fine">{result.headings.join(' › ')}</p>}
      <p class="result-text" dir="auto">
        <Highlighted text={result.text} terms={terms} />
      </p>
      <ul class="plain reasons" aria-label={t('search.why')}>
        {result.reasons.map((reason, at) => (
          <li key={at}>{reasonText(reason)}</li>
        ))}
      </ul>
    </li>
  );
}

function Highlighted({ text, terms }: { text: string; terms: string[] }) {
  const ranges = termRanges(text, terms);
  let at = 0;
  const parts = ranges.flatMap(([start, end]) => {
    const before = text.slice(at, start);
    at = end;
    return [before, <strong key={start}>{text.slice(start, end)}</strong>];
  });
  return (
    <>
      {parts}
      {text.slice(at)}
    </>
  );
}

function reasonText(reason: Reason): string {
  switch (reason.type) {
    case 'terms':
      return t('reason.terms', { terms: reason.terms.join(', ') });
    case 'similar':
      return t('reason.similar', { cosine: reason.cosine.toFixed(2) });
    case 'path':
      return t('reason.path', { path: reason.phrases.join(' → ') });
    case 'graph':
      return t('reason.graph', { entities: reason.entities.slice(0, 4).join(', ') });
    default:
      return t('reason.neighbour');
  }
}
