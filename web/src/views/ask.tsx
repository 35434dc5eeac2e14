// Ask: the question box, the answer as a document, its evidence beside it, the source of a citation on request.
import { useEffect, useLayoutEffect, useMemo } from 'preact/hooks';
import type { Citation } from '../api/types';
import { t, type MessageKey } from '../lib/i18n';
import { answer, ask, asked, clear, draft, failure, phase, stage, stop } from '../state/ask';
import { route, setQuery, workspace } from '../state/navigation';
import { covered } from '../state/pane';
import { useKeys } from '../state/shortcuts';
import { FailureCard, Skeleton } from '../ui/parts';
import { Icon } from '../ui/icons';
import { SourcePane, type Source } from '../ui/source-pane';
import { Composer, editQuestion } from './composer';
import { AnswerView } from './answer';
import { Evidence } from './evidence';
import { Welcome } from './welcome';

/** The citations and their bridges in reading order; a bridge comes before the sentence it leads to. */
export function sourcesOf(citations: Citation[]): Source[] {
  return citations.flatMap((citation) => {
    const label = String(citation.n);
    const own: Source = { ...citation, label };
    return citation.bridge ? [{ ...citation.bridge, label: `${label}′`, version: citation.version }, own] : [own];
  });
}

export function AskView() {
  const { query } = route.value;
  const question = query.get('q')?.trim() ?? '';
  const mode = query.get('mode') ?? 'auto';
  const name = workspace.value;
  useEffect(() => {
    if (question) ask({ workspace: name, question, mode });
    else clear();
  }, [name, question, mode]);
  useEffect(() => {
    document.title = question ? `${question} – Lorekeep` : 'Lorekeep';
  }, [question]);
  if (!question) return <Welcome />;
  return <Asked question={question} />;
}

function Asked({ question }: { question: string }) {
  const found = asked.value?.question === question ? answer.value : null;
  const sources = useMemo(() => sourcesOf(found?.citations ?? []), [found]);
  const label = route.value.query.get('cite');
  const index = label === null ? -1 : sources.findIndex((source) => source.label === label);
  const show = (at: number, replace: boolean) => setQuery({ cite: sources[at]?.label }, replace);
  const open = (wanted: string) => show(sources.findIndex((source) => source.label === wanted), index >= 0);
  const step = (by: 1 | -1) => {
    const count = sources.length;
    if (count > 0) show(index < 0 ? (by > 0 ? 0 : count - 1) : (index + by + count) % count, index >= 0);
  };
  const close = () => {
    setQuery({ cite: null });
    focusCitation(label);
  };
  // With what is on screen, not a frame after it: Esc right after Enter is meant for the pane.
  useLayoutEffect(() => useKeys({ step, escape: () => index >= 0 && (close(), true) }));
  return (
    <div class={index >= 0 ? 'ask ask--source' : 'ask'}>
      <div class="ask-main" inert={covered.value}>
        <article class="answer" aria-busy={phase.value === 'working'}>
          <Heading question={question} />
          <Progress />
          {found && <AnswerView answer={found} open={open} active={label} />}
        </article>
        <Composer />
      </div>
      {index >= 0 ? (
        <SourcePane workspace={workspace.value} sources={sources} index={index} step={step} close={close} />
      ) : (
        found && <Evidence answer={found} open={open} />
      )}
    </div>
  );
}

function Heading({ question }: { question: string }) {
  return (
    <header class="question">
      <h1 dir="auto">{question}</h1>
      <button type="button" class="icon-button" aria-label={t('ask.edit')} title={t('ask.edit')} onClick={() => editQuestion(question)}>
        <Icon name="edit" />
      </button>
    </header>
  );
}

const STAGES: Record<string, MessageKey> = { answering: 'stage.answering', writing: 'stage.writing' };

function Progress() {
  const again = () => asked.value && ask(asked.value, true);
  if (phase.value === 'failed' && failure.value) return <FailureCard failure={failure.value} retry={again} />;
  if (phase.value === 'stopped') {
    return (
      <p class="actions">
        <span class="muted">{t('ask.stopped')}</span>
        <button type="button" class="button" onClick={again}>
          <Icon name="retry" /> {t('retry')}
        </button>
      </p>
    );
  }
  if (phase.value !== 'working') return null;
  return (
    <>
      <p class="stage">
        <span class="pulse" aria-hidden="true" />
        <span>{t(STAGES[stage.value] ?? 'stage.searching')}</span>
        <button type="button" class="button" onClick={stop}>
          <Icon name="stop" /> {t('stop')}
        </button>
      </p>
      {draft.value ? <p class="prose prose--written" dir="auto">{draft.value}</p> : <Skeleton />}
    </>
  );
}

/** Gives the focus back to the citation that opened the pane. */
function focusCitation(label: string | null): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-cite="${CSS.escape(label ?? '')}"]`)?.focus());
}
