// What is known about the server: its health, workspaces, formats and, for the workspace shown, documents by state.
import { computed, effect, signal } from '@preact/signals';
import { asFailure, callJson, type Failure } from '../api/client';
import type { DocumentList, Format, Health, StateCounts, Workspace } from '../api/types';
import { workspace } from './navigation';

export type Status = Health['status'] | 'unreachable' | 'unknown';

const HEALTH_EVERY_MS = 15_000;

export const health = signal<Health | null>(null);
export const status = signal<Status>('unknown');
export const version = signal('');
export const workspaces = signal<Workspace[] | null>(null);
export const formats = signal<Format[]>([]);
export const counts = signal<StateCounts | null>(null);

/** All documents of the workspace shown; null before it is known. */
export const documentCount = computed(() => {
  const found = counts.value;
  return found && found.queued + found.processing + found.ready + found.needs_ocr + found.failed + found.cancelled;
});

/** Whether the workspace in the address does not exist. */
export const workspaceMissing = computed(
  () => workspaces.value !== null && !workspaces.value.some((known) => known.name === workspace.value),
);

async function checkHealth(): Promise<void> {
  try {
    const response = await fetch('/readyz');
    const found = (await response.json()) as Health;
    health.value = found;
    status.value = found.status;
  } catch {
    health.value = null;
    status.value = 'unreachable';
  }
}

export async function loadWorkspaces(): Promise<Failure | null> {
  try {
    const response = await fetch('/v1/workspaces', { headers: { Accept: 'application/json' } });
    if (response.ok) workspaces.value = ((await response.json()) as { workspaces: Workspace[] }).workspaces;
    return null;
  } catch (error) {
    return asFailure(error);
  }
}

/** Reads the documents by state anew. */
export async function loadCounts(): Promise<void> {
  const name = workspace.peek();
  try {
    const list = await callJson<DocumentList>(name, '/v1/documents?limit=1');
    if (name === workspace.peek()) counts.value = list.counts;
  } catch {
    // The views that need documents show why; the number in the rail just stays away.
  }
}

async function loadOnce(): Promise<void> {
  try {
    const name = workspace.peek();
    formats.value = (await callJson<{ formats: Format[] }>(name, '/v1/formats')).formats;
    version.value = (await callJson<{ version: string }>(name, '/version')).version;
  } catch {
    // The list of formats and the version are only shown, never needed.
  }
}

/** Starts watching; called once. */
export function startServer(): void {
  void checkHealth();
  void loadWorkspaces();
  void loadOnce();
  setInterval(() => {
    if (document.visibilityState === 'visible') void checkHealth();
  }, HEALTH_EVERY_MS);
  effect(() => {
    void workspace.value;
    counts.value = null;
    void loadCounts();
  });
}
