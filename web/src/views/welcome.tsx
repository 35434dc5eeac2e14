// The page before the first question: the box, what it will search, recent questions or how to begin.
import { t } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { workspace } from '../state/navigation';
import { forgetQuestions, recentQuestions } from '../state/preferences';
import { counts, documentCount, status } from '../state/server';
import { Icon } from '../ui/icons';
import { AddButtons } from './add-files';
import { Composer } from './composer';

export function Welcome() {
  return (
    <div class="welcome">
      <h1>{t('welcome.title')}</h1>
      <p class="lead">{t('welcome.lead')}</p>
      <Composer first />
      <Library />
      <Recent />
    </div>
  );
}

function Library() {
  const total = documentCount.value;
  if (status.value === 'unreachable') return <p class="note note--warn">{t('error.unreachable')}</p>;
  if (total === null) return null;
  if (total === 0) {
    return (
      <section class="note">
        <h2>{t('welcome.none')}</h2>
        <p>{t('welcome.none.how')}</p>
        <AddButtons />
      </section>
    );
  }
  const ready = counts.value?.ready ?? 0;
  const open = (counts.value?.queued ?? 0) + (counts.value?.processing ?? 0);
  return (
    <p class="muted">
      <a href={pathTo(workspace.value, 'docs')}>{t('welcome.ready', { n: ready })}</a>
      {open > 0 && ` · ${t('welcome.open', { n: open })}`}
    </p>
  );
}

function Recent() {
  const name = workspace.value;
  const questions = recentQuestions(name);
  if (questions.length === 0) return null;
  return (
    <section class="recent">
      <header>
        <h2>{t('recent')}</h2>
        <button type="button" class="button button--quiet" onClick={() => forgetQuestions(name)}>
          {t('recent.clear')}
        </button>
      </header>
      <ul class="plain">
        {questions.map((question) => (
          <li key={question}>
            <a href={pathTo(name, 'ask', { q: question })} dir="auto">
              <Icon name="ask" /> {question}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
