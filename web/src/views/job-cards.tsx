// Running jobs with step, counts, rate and time left; ended ones with their result and what went wrong.
import type { JobItem } from '../api/types';
import { count, left } from '../lib/format';
import { t, type MessageKey } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { cancelJob, dismiss, ended, jobs, resultLine, type Followed } from '../state/jobs';
import { workspace } from '../state/navigation';
import { Icon } from '../ui/icons';
import { ProblemText, StateChip } from '../ui/parts';

const SHOWN_ITEMS = 20;

export function JobCards() {
  return <>{jobs.value.map((job) => (ended(job) ? <Result key={job.id} job={job} /> : <Running key={job.id} job={job} />))}</>;
}

function Running({ job }: { job: Followed }) {
  const { counts } = job;
  const done = counts.total - counts.open;
  const facts = [t('job.done', { done, all: counts.total })];
  if (job.rate > 0) facts.push(t('job.rate', { rate: job.rate < 10 ? job.rate.toFixed(1) : count(Math.round(job.rate)) }));
  if (job.left_s !== null) facts.push(t('job.left', { time: left(job.left_s) }));
  if (counts.failed > 0) facts.push(t('result.failed', { n: counts.failed }));
  return (
    <section class="card job" aria-label={t('job.running')}>
      <div class="job-head">
        <h2 class="card-title">{t('job.running')}</h2>
        <button type="button" class="button" disabled={job.cancelling} onClick={() => void cancelJob(job.id)}>
          {job.cancelling ? t('job.cancelling') : t('cancel')}
        </button>
      </div>
      <progress max={Math.max(1, counts.total)} value={done} aria-label={facts[0]} />
      <p class="job-facts">{facts.join(' · ')}</p>
      {job.step && (
        <p class="fine job-step" dir="auto">
          {t(`step.${job.step.stage}` as MessageKey)}: {job.step.name}
          {job.step.passages && ` · ${t('job.passages', job.step.passages)}`}
        </p>
      )}
    </section>
  );
}

function Result({ job }: { job: Followed }) {
  const wrong = (job.items ?? []).filter((item) => item.outcome !== 'duplicate');
  const twins = (job.items ?? []).filter((item) => item.outcome === 'duplicate');
  const tone = job.counts.failed + job.counts.needs_ocr > 0 ? 'card--warn' : 'card--success';
  return (
    <section class={`card job ${tone}`} aria-label={t('job.result')}>
      <div class="job-head">
        <h2 class="card-title">
          <Icon name={tone === 'card--success' ? 'check' : 'warn'} /> {resultLine(job.counts)}
        </h2>
        <button type="button" class="icon-button" aria-label={t('dismiss')} onClick={() => dismiss(job.id)}>
          <Icon name="close" />
        </button>
      </div>
      <Items items={[...wrong, ...twins]} />
    </section>
  );
}

function Items({ items }: { items: JobItem[] }) {
  if (items.length === 0) return null;
  return (
    <ul class="plain job-items">
      {items.slice(0, SHOWN_ITEMS).map((item) => (
        <li key={item.document_id + item.name}>
          <StateChip state={item.outcome} />
          <span>
            <a href={pathTo(workspace.value, `docs/${encodeURIComponent(item.duplicate_of ?? item.document_id)}`)} dir="auto">
              {item.name}
            </a>
            {item.problem && <ProblemText {...item.problem} />}
          </span>
        </li>
      ))}
      {items.length > SHOWN_ITEMS && (
        <li>
          <a href={pathTo(workspace.value, 'docs', { state: 'failed' })}>{t('job.more', { n: items.length - SHOWN_ITEMS })}</a>
        </li>
      )}
    </ul>
  );
}
