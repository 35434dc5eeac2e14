// The question in hand: sends it, follows the stream, keeps the answer until another question replaces it.
import { signal } from '@preact/signals';
import { asFailure, call, Failure, failureFrom, isAbort } from '../api/client';
import { readEvents, type ServerEvent } from '../api/sse';
import type { Answer } from '../api/types';
import { t } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { announce } from './announce';
import { navigate, route, workspace } from './navigation';
import { rememberQuestion } from './preferences';

export interface Asked {
  workspace: string;
  question: string;
  mode: string;
}

export type Phase = 'idle' | 'working' | 'done' | 'stopped' | 'failed';

export const asked = signal<Asked | null>(null);
export const phase = signal<Phase>('idle');
export const stage = signal('');
export const draft = signal('');
export const answer = signal<Answer | null>(null);
export const failure = signal<Failure | null>(null);

let running: AbortController | null = null;

const same = (a: Asked | null, b: Asked) => a?.workspace === b.workspace && a.question === b.question && a.mode === b.mode;

/** Asks, unless exactly this was asked last; `again` asks anyway. */
export function ask(next: Asked, again = false): void {
  if (same(asked.peek(), next) && !again) return;
  running?.abort();
  const control = new AbortController();
  running = control;
  asked.value = next;
  answer.value = null;
  failure.value = null;
  draft.value = '';
  stage.value = 'searching';
  phase.value = 'working';
  rememberQuestion(next.workspace, next.question);
  void run(next, control);
}

/** Forgets the question, so that the empty box is shown. */
export function clear(): void {
  running?.abort();
  running = null;
  asked.value = null;
  phase.value = 'idle';
}

/** Stops the answer in the making. */
export function stop(): void {
  running?.abort();
}

async function run(next: Asked, control: AbortController): Promise<void> {
  try {
    const json = { question: next.question, mode: next.mode };
    const options = { method: 'POST', json, signal: control.signal, accept: 'text/event-stream' };
    const response = await call(next.workspace, '/v1/ask', options);
    if (response.headers.get('Content-Type')?.startsWith('application/json')) finish((await response.json()) as Answer, control);
    else await readEvents(response, (event) => hear(event, control));
    if (running === control && phase.peek() === 'working') throw new Failure(t('ask.cut'), 'E-CUT', undefined, undefined, 0);
  } catch (error) {
    if (running !== control) return;
    if (isAbort(error)) {
      phase.value = 'stopped';
      announce(t('ask.stopped'));
      return;
    }
    failure.value = asFailure(error);
    phase.value = 'failed';
  }
}

function hear({ event, data }: ServerEvent, control: AbortController): void {
  if (running !== control) return;
  if (event === 'error') throw failureFrom(0, data, null);
  if (event === 'done') finish(JSON.parse(data) as Answer, control);
  else if (event === 'stage') stage.value = (JSON.parse(data) as { stage: string }).stage;
  else if (event === 'answer') draft.value += (JSON.parse(data) as { text: string }).text;
}

function finish(result: Answer, control: AbortController): void {
  if (running !== control) return;
  answer.value = result;
  phase.value = 'done';
  announce(result.kind === 'abstained' ? t('ask.announce.none') : t('ask.announce', { n: result.citations.length }));
}

/** Shows the answer to `question`; asking the same again asks anew. */
export function goAsk(question: string, mode: string): void {
  const path = pathTo(workspace.peek(), 'ask', { q: question, mode: mode === 'auto' ? null : mode });
  const current = asked.peek();
  if (current?.question === question && current.mode === mode && route.peek().query.get('q')) ask(current, true);
  navigate(path);
}
