// Small parts that several views use: failures, notes, spinners, chips for states, copy buttons.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Failure } from '../api/client';
import { sentence } from '../lib/format';
import { t, type MessageKey } from '../lib/i18n';
import { announce } from '../state/announce';
import { Icon, type IconName } from './icons';

/** A failed call: what happened, what to do, its code and request id, and a way to try again. */
export function FailureCard({ failure, retry }: { failure: Failure; retry?: () => void }) {
  return (
    <section class="card card--danger" role="alert">
      <h2 class="card-title">
        <Icon name="warn" /> {sentence(failure.message)}
      </h2>
      {failure.hint && <p>{sentence(failure.hint)}</p>}
      {retry && (
        <p class="actions">
          <button type="button" class="button" onClick={retry}>
            <Icon name="retry" /> {t('retry')}
          </button>
        </p>
      )}
      <p class="fine">
        {failure.code}
        {failure.requestId && ` · ${t('error.request', { id: failure.requestId })}`}
      </p>
    </section>
  );
}

/** An empty state: a title, words, and what can be done. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <section class="empty">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** Grey lines that stand for text on its way; they show after 300 ms only. */
export function Skeleton() {
  return (
    <div class="skeleton" aria-hidden="true">
      <span />
      <span />
      <span />
    </div>
  );
}

const STATE_ICONS: Record<string, IconName> = { ready: 'check', 'needs-ocr': 'warn', failed: 'warn', cancelled: 'close' };

/** A document's state or an item's outcome, in words and a shape besides its colour. */
export function StateChip({ state, step }: { state: string; step?: string | undefined }) {
  const key = `state.${state}` as MessageKey;
  const icon = STATE_ICONS[state];
  return (
    <span class={`state state--${state}`}>
      {icon ? <Icon name={icon} /> : <span class="pulse" aria-hidden="true" />}
      {state === 'processing' && step ? t(`step.${step}` as MessageKey) : t(key)}
    </span>
  );
}

/** What went wrong with a document or an upload, and what to do about it. */
export function ProblemText({ message, hint }: { message: string; hint?: string | undefined }) {
  return (
    <span class="problem">
      {sentence(message)}
      {hint && <span>{sentence(hint)}</span>}
    </span>
  );
}

/** Copies `text()`; says so. */
export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      setDone(true);
      announce(t('copied'));
      setTimeout(() => setDone(false), 1500);
    } catch {
      announce(t('copy.failed'));
    }
  };
  return (
    <button type="button" class="button button--quiet" onClick={copy}>
      <Icon name={done ? 'check' : 'copy'} /> {label}
    </button>
  );
}
