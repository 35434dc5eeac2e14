// Jobs of the workspace shown: lists the open ones, follows all by server-sent events, keeps results until dismissed.
import { effect, signal } from '@preact/signals';
import { addressed, asFailure, call, callJson } from '../api/client';
import type { Job, JobCounts, JobEvent, JobItem, JobState } from '../api/types';
import { t } from '../lib/i18n';
import { announce } from './announce';
import { workspace } from './navigation';
import { loadCounts, loadWorkspaces, workspaceMissing } from './server';

/** A job as it is followed. */
export interface Followed {
  id: string;
  state: JobState;
  counts: JobCounts;
  rate: number;
  left_s: number | null;
  /** The document worked on last and its step. */
  step: { name: string; stage: string; passages?: { done: number; total: number } } | null;
  /** Items that are not ready, once the job ended. */
  items: JobItem[] | null;
  cancelling: boolean;
}

const REFRESH_MS = 400;
const ITEMS = 1000;
const RECONNECT_MS = 5000;

export const jobs = signal<Followed[]>([]);
/** Grows whenever documents changed; lists that show them read it. */
export const changes = signal(0);
/** What each document is in the middle of, by id. */
export const steps = signal<Record<string, string>>({});

let source: EventSource | null = null;
let refresh: ReturnType<typeof setTimeout> | undefined;
let again: ReturnType<typeof setTimeout> | undefined;

export const ended = (job: { state: JobState }) => job.state === 'done' || job.state === 'cancelled';

function update(id: string, change: Partial<Followed>): void {
  const found = jobs.peek().find((job) => job.id === id);
  if (found) jobs.value = jobs.peek().map((job) => (job.id === id ? { ...job, ...change } : job));
  else jobs.value = [{ ...blank(id), ...change }, ...jobs.peek()];
}

function blank(id: string): Followed {
  const counts = { total: 0, open: 0, ready: 0, duplicate: 0, needs_ocr: 0, failed: 0, cancelled: 0 };
  return { id, state: 'queued', counts, rate: 0, left_s: null, step: null, items: null, cancelling: false };
}

/** Starts to follow a job that this page caused in the workspace shown. */
export function follow(job: Job): void {
  update(job.id, { state: job.state, counts: job.counts, items: null });
  touched();
  // A small job may have ended, and said so, before its answer reached this page.
  if (ended(job)) void conclude(job.id);
  else void catchUp(job.id);
}

/** Reads where a job stands, for when events may have been missed. */
async function catchUp(id: string): Promise<void> {
  try {
    const { state, counts } = await callJson<Job>(workspace.peek(), `/v1/jobs/${encodeURIComponent(id)}`);
    const known = jobs.peek().find((job) => job.id === id);
    // What an event said meanwhile is newer.
    if (!known || ended(known)) return;
    update(id, { state, counts });
    if (ended({ state })) void conclude(id);
  } catch {
    // The next event will tell.
  }
}

/** Takes a job's card away. */
export function dismiss(id: string): void {
  jobs.value = jobs.peek().filter((job) => job.id !== id);
}

export async function cancelJob(id: string): Promise<void> {
  update(id, { cancelling: true });
  try {
    await call(workspace.peek(), `/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: 'POST' });
  } catch (error) {
    update(id, { cancelling: false });
    announce(asFailure(error).message);
  }
}

/** Documents changed: lists are read anew, at most every `REFRESH_MS`. */
export function touched(): void {
  refresh ??= setTimeout(() => {
    refresh = undefined;
    changes.value += 1;
    void loadCounts();
  }, REFRESH_MS);
}

function hear(event: JobEvent): void {
  if (event.type === 'stage') {
    steps.value = { ...steps.peek(), [event.document]: event.stage };
    update(event.job, { step: { name: event.name, stage: event.stage }, state: 'running' });
    return;
  }
  if (event.type === 'passages') {
    const { name, done, total } = event;
    update(event.job, { step: { name, stage: 'extract', passages: { done, total } }, state: 'running' });
    return;
  }
  if (event.type === 'item') {
    const { [event.document]: _, ...others } = steps.peek();
    steps.value = others;
    touched();
    return;
  }
  const known = jobs.peek().find((job) => job.id === event.job);
  // Jobs that had ended before this page looked are no news.
  if (!known && ended(event)) return;
  const { state, counts, rate, left_s } = event;
  update(event.job, { state, counts, rate, left_s: left_s ?? null });
  if (ended(event) && known && !ended(known)) void conclude(event.job);
}

async function conclude(id: string): Promise<void> {
  touched();
  steps.value = {};
  void loadWorkspaces();
  try {
    const path = `/v1/jobs/${encodeURIComponent(id)}/items?limit=${ITEMS}`;
    const { items } = await callJson<{ items: JobItem[] }>(workspace.peek(), path);
    update(id, { items: items.filter((item) => item.outcome !== 'ready'), step: null, left_s: null });
  } catch {
    update(id, { items: [], step: null });
  }
  const counts = jobs.peek().find((job) => job.id === id)?.counts;
  if (counts) announce(resultLine(counts));
}

/** `12 indexed, 1 needs OCR, 1 failed`. */
export function resultLine(counts: JobCounts): string {
  const parts = [t('result.ready', { n: counts.ready })];
  if (counts.duplicate > 0) parts.push(t('result.duplicate', { n: counts.duplicate }));
  if (counts.needs_ocr > 0) parts.push(t('result.needs_ocr', { n: counts.needs_ocr }));
  if (counts.failed > 0) parts.push(t('result.failed', { n: counts.failed }));
  if (counts.cancelled > 0) parts.push(t('result.cancelled', { n: counts.cancelled }));
  return parts.join(', ');
}

async function listOpen(name: string): Promise<void> {
  try {
    for (const state of ['queued', 'running']) {
      const { jobs: open } = await callJson<{ jobs: Job[] }>(name, `/v1/jobs?state=${state}&limit=20`);
      if (name !== workspace.peek()) return;
      open.forEach((job) => update(job.id, { state: job.state, counts: job.counts }));
    }
  } catch {
    // Events will name the jobs as they move on.
  }
}

/** Listens to the jobs of workspace `name`; a connection that broke is made anew, and what was missed is read. */
function listen(name: string, broken = false): void {
  source?.close();
  clearTimeout(again);
  const opened = new EventSource(addressed(name, '/v1/events'));
  source = opened;
  opened.onopen = () => {
    if (!broken) return;
    broken = false;
    jobs.peek().filter((job) => !ended(job)).forEach((job) => void catchUp(job.id));
    touched();
  };
  opened.onerror = () => {
    broken = true;
    // The browser reconnects by itself unless the server refused; then it gives up, and this page must not.
    if (opened.readyState !== EventSource.CLOSED || workspaceMissing.peek()) return;
    again = setTimeout(() => listen(name, true), RECONNECT_MS);
  };
  for (const kind of ['stage', 'passages', 'item', 'progress']) {
    opened.addEventListener(kind, (event) => hear(JSON.parse((event as MessageEvent<string>).data) as JobEvent));
  }
}

/** Follows the jobs of whichever workspace is shown; called once. */
export function startJobs(): void {
  effect(() => {
    const name = workspace.value;
    jobs.value = [];
    steps.value = {};
    void listOpen(name);
    listen(name);
  });
}
