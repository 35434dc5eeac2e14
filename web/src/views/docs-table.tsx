// The table of documents. Narrow screens show fewer columns; a document's own page has them all.
import { useState } from 'preact/hooks';
import type { DocumentList, DocumentRecord } from '../api/types';
import { ago, count, moment } from '../lib/format';
import { t } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { steps } from '../state/jobs';
import { route, setQuery, workspace } from '../state/navigation';
import { Confirm } from '../ui/dialog';
import { Icon } from '../ui/icons';
import { ProblemText, StateChip } from '../ui/parts';

interface Props {
  list: DocumentList;
  page: number;
  size: number;
  remove: (id: string, name: string) => void;
  retry: (id: string) => void;
}

type SortKey = 'name' | 'updated_at';

export function DocsTable({ list, page, size, remove, retry }: Props) {
  const [doomed, setDoomed] = useState<DocumentRecord | null>(null);
  if (list.documents.length === 0) return <p class="muted">{t('docs.nomatch')}</p>;
  const first = (page - 1) * size + 1;
  return (
    <>
      <table class="table">
        <caption class="fine">
          {t('docs.shown', { first, last: first + list.documents.length - 1, all: list.total })}
        </caption>
        <thead>
          <tr>
            <SortHead sort="name" label={t('docs.name')} />
            <th scope="col">{t('docs.state')}</th>
            <th scope="col" class="number">{t('docs.pages')}</th>
            <th scope="col" class="number">{t('docs.chunks')}</th>
            <th scope="col" class="number">{t('docs.entities')}</th>
            <SortHead sort="updated_at" label={t('docs.updated')} />
            <th scope="col">
              <span class="visually-hidden">{t('docs.actions')}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {list.documents.map((document) => (
            <Row key={document.id} document={document} retry={retry} remove={setDoomed} />
          ))}
        </tbody>
      </table>
      {doomed && (
        <Confirm
          title={t('docs.delete.title', { name: doomed.name })}
          body={t('docs.delete.body', { n: doomed.chunks })}
          action={t('docs.delete')}
          confirm={() => remove(doomed.id, doomed.name)}
          close={() => setDoomed(null)}
        />
      )}
    </>
  );
}

function SortHead({ sort, label }: { sort: SortKey; label: string }) {
  const { query } = route.value;
  const active = (query.get('sort') ?? 'updated_at') === sort;
  const descending = (query.get('order') ?? 'desc') === 'desc';
  const natural = sort === 'name' ? 'asc' : 'desc';
  const next = active ? (descending ? 'asc' : 'desc') : natural;
  return (
    <th scope="col" aria-sort={active ? (descending ? 'descending' : 'ascending') : undefined}>
      <button type="button" class="sort" onClick={() => setQuery({ sort, order: next, page: null })}>
        {label}
        <span class="sort-mark" aria-hidden="true">
          {active ? (descending ? '↓' : '↑') : ''}
        </span>
      </button>
    </th>
  );
}

function Row(props: { document: DocumentRecord; retry: (id: string) => void; remove: (document: DocumentRecord) => void }) {
  const { document, retry, remove } = props;
  const again = document.state === 'failed' || document.state === 'cancelled' || document.state === 'needs-ocr';
  const number = (value: number) => <td class="number">{value > 0 ? count(value) : '–'}</td>;
  return (
    <tr>
      <th scope="row" class="docs-name">
        <a href={pathTo(workspace.value, `docs/${encodeURIComponent(document.id)}`)} dir="auto">
          {document.name}
        </a>
        {document.title && document.title !== document.name && (
          <span class="docs-title" dir="auto">
            {document.title}
          </span>
        )}
      </th>
      <td>
        <StateChip state={document.state} step={steps.value[document.id]} />
        {document.problem && <ProblemText {...document.problem} />}
      </td>
      {number(document.pages)}
      {number(document.chunks)}
      {number(document.entities)}
      <td title={moment(document.updated_at)} class="docs-time">
        {ago(document.updated_at, Date.now())}
      </td>
      <td class="docs-actions">
        {again && (
          <button type="button" class="icon-button" aria-label={t('docs.retry', { name: document.name })} title={t('retry')} onClick={() => retry(document.id)}>
            <Icon name="retry" />
          </button>
        )}
        <button type="button" class="icon-button" aria-label={t('docs.delete.label', { name: document.name })} title={t('docs.delete')} onClick={() => remove(document)}>
          <Icon name="trash" />
        </button>
      </td>
    </tr>
  );
}
