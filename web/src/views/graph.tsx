// The graph as tables: find an entity, read what it is, how it is related, and the sentence behind every relation.
import { useEffect, useRef } from 'preact/hooks';
import { callJson } from '../api/client';
import type { Entity, EntityPage, GraphStats, Place, Relation } from '../api/types';
import { placeName } from '../lib/citations';
import { t } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { route, setQuery, workspace } from '../state/navigation';
import { useLoaded } from '../state/texts';
import { Icon } from '../ui/icons';
import { Empty, FailureCard, Skeleton } from '../ui/parts';

const FOUND = 30;

const entityPath = (name: string) => pathTo(workspace.value, 'graph', { entity: name, q: route.value.query.get('q') });

export function GraphView() {
  const { query } = route.value;
  const name = workspace.value;
  const wanted = query.get('q')?.trim() ?? '';
  const entity = query.get('entity') ?? '';
  const stats = useLoaded(name, () => callJson<GraphStats>(name, '/v1/graph/stats'));
  useEffect(() => {
    document.title = `${entity || t('nav.graph')} – Lorekeep`;
  }, [entity]);
  if (stats.failure) return <FailureCard failure={stats.failure} retry={stats.reload} />;
  if (stats.value?.entities === 0) return <Empty title={t('graph.none')} />;
  return (
    <div class="graph">
      <header class="view-head">
        <h1>{t('nav.graph')}</h1>
        {stats.value && <p class="fine">{t('graph.stats', { entities: stats.value.entities, relations: stats.value.relations })}</p>}
      </header>
      <Box query={wanted} />
      <div class={entity ? 'graph-columns graph-columns--entity' : 'graph-columns'}>
        <Found key={wanted} query={wanted} current={entity} />
        {entity && <Detail key={entity} name={entity} />}
      </div>
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
        setQuery({ q: input.current?.value.trim(), entity: null }, false);
      }}
    >
      <input ref={input} type="search" data-focus="" dir="auto" aria-label={t('graph.label')} placeholder={t('graph.label')} defaultValue={query} key={query} />
      <button type="submit" class="button button--primary">
        <Icon name="search" /> {t('graph.find')}
      </button>
    </form>
  );
}

function Found({ query, current }: { query: string; current: string }) {
  const name = workspace.value;
  const path = `/v1/graph/entities?limit=${FOUND}&q=${encodeURIComponent(query)}`;
  const { value, failure, reload } = useLoaded(`${name}\n${path}`, () => callJson<{ entities: Entity[] }>(name, path));
  if (failure) return <FailureCard failure={failure} retry={reload} />;
  if (!value) return <Skeleton />;
  if (value.entities.length === 0) return <p class="muted">{t('graph.nomatch', { query })}</p>;
  return (
    <nav class="entities" aria-label={t('graph.found')}>
      <h2 class="overline">{query ? t('graph.found') : t('graph.popular')}</h2>
      <ul class="plain">
        {value.entities.map((entity) => (
          <li key={entity.id}>
            <a href={entityPath(entity.name)} aria-current={entity.name === current ? 'true' : undefined}>
              <span dir="auto">{entity.name}</span>
              <span class="fine">{[kind(entity.type), t('graph.degree', { n: entity.degree })].filter(Boolean).join(' · ')}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** A type that is not known is not worth a word. */
function kind(type: string): string {
  return type === 'unknown' ? '' : type;
}

function Detail({ name: entity }: { name: string }) {
  const name = workspace.value;
  const path = `/v1/graph/entities/${encodeURIComponent(entity)}`;
  const { value, failure, reload } = useLoaded(`${name}\n${path}`, () => callJson<EntityPage>(name, path));
  if (failure) return <FailureCard failure={failure} retry={reload} />;
  if (!value) return <Skeleton />;
  const found = value.entity;
  return (
    <article class="entity">
      <header>
        <h2 dir="auto">{found.name}</h2>
        <p class="fine">
          {[kind(found.type), t('graph.degree', { n: found.degree }), t('graph.documents', { n: found.documents.length })].filter(Boolean).join(' · ')}
        </p>
      </header>
      {found.description && (
        <p class="prose" dir="auto">
          {found.description}
        </p>
      )}
      <p class="actions">
        <a class="button" href={pathTo(name, 'ask', { q: t('graph.ask.question', { name: found.name }) })}>
          <Icon name="ask" /> {t('graph.ask')}
        </a>
        <a class="button" href={pathTo(name, 'search', { q: found.name })}>
          <Icon name="search" /> {t('graph.passages', { n: value.passages.length })}
        </a>
      </p>
      <Relations relations={value.relations} of={found.name} />
    </article>
  );
}

function Relations({ relations, of }: { relations: Relation[]; of: string }) {
  if (relations.length === 0) return <p class="muted">{t('graph.norelations')}</p>;
  return (
    // Narrow screens lay this table out as blocks; the roles keep it a table for screen readers.
    <table class="table relations" role="table">
      <caption class="overline">{t('graph.relations', { n: relations.length })}</caption>
      <thead>
        <tr>
          <th scope="col">{t('graph.entity')}</th>
          <th scope="col">{t('graph.how')}</th>
          <th scope="col">{t('graph.sentence')}</th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        {relations.map((relation) => {
          const other = relation.source === of ? relation.target : relation.source;
          return (
            <tr key={relation.id} role="row">
              <th scope="row" role="rowheader">
                <a href={entityPath(other)} dir="auto">
                  {other}
                </a>
              </th>
              <td role="cell" dir="auto">
                {relation.keywords || '–'}
              </td>
              <td role="cell">
                <Sentences relation={relation} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

const SENTENCES = 3;

function Sentences({ relation }: { relation: Relation }) {
  const evidence = relation.evidence ?? [];
  if (evidence.length === 0) return <span dir="auto">{relation.description}</span>;
  const [shown, rest] = [evidence.slice(0, SENTENCES), evidence.slice(SENTENCES)];
  return (
    <>
      {shown.map((place, at) => (
        <Sentence key={at} place={place} />
      ))}
      {rest.length > 0 && (
        <details>
          <summary>{t('graph.more', { n: rest.length })}</summary>
          {rest.map((place, at) => (
            <Sentence key={at} place={place} />
          ))}
        </details>
      )}
    </>
  );
}

function Sentence({ place }: { place: Place }) {
  const href = pathTo(workspace.value, `docs/${encodeURIComponent(place.document_id)}`, { page: place.page, hl: place.span.join('-') });
  return (
    <p class="sentence">
      <q dir="auto">{place.quote.trim()}</q> <a href={href}>{placeName(place)}</a>
    </p>
  );
}
