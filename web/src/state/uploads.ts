// Uploads: sends files in batches, knows how far each is, hands the job over to `jobs`. Survives a change of view.
import { signal } from '@preact/signals';
import { asFailure, Failure } from '../api/client';
import { batches, send, shares, type Added, type NamedFile } from '../api/upload';
import { sift } from '../lib/files';
import { follow } from './jobs';
import { workspace } from './navigation';
import { formats } from './server';

export interface Upload {
  key: number;
  name: string;
  size: number;
  /** 0..1 of its bytes have left. */
  share: number;
  state: 'waiting' | 'sending' | 'sent' | 'failed';
  failure: Failure | null;
  item: NamedFile;
}

export const uploads = signal<Upload[]>([]);
/** Names in a folder that are in no readable format and were left out. */
export const skipped = signal<string[]>([]);

let nextKey = 0;
let control = new AbortController();
let queue: Promise<void> = Promise.resolve();

function update(keys: number[], change: (index: number) => Partial<Upload>): void {
  uploads.value = uploads.peek().map((upload) => {
    const index = keys.indexOf(upload.key);
    return index < 0 ? upload : { ...upload, ...change(index) };
  });
}

/** Adds files to the workspace shown. */
export function upload(files: NamedFile[]): void {
  const found = sift(files, formats.peek());
  skipped.value = found.skipped;
  const added = found.send.map((item): Upload => {
    nextKey += 1;
    return { key: nextKey, name: item.name, size: item.file.size, share: 0, state: 'waiting', failure: null, item };
  });
  if (added.length === 0) return;
  // What has been sent is the job's to show now.
  uploads.value = [...uploads.peek().filter((one) => one.state !== 'sent'), ...added];
  const name = workspace.peek();
  queue = queue.then(() => sendAll(name, added));
}

/** Sends the files again that could not be sent. */
export function retryUploads(): void {
  const failed = uploads.peek().filter((one) => one.state === 'failed');
  uploads.value = uploads.peek().filter((one) => one.state !== 'failed');
  upload(failed.map((one) => one.item));
}

/** Stops sending; what was sent stays. */
export function stopUploads(): void {
  control.abort();
  uploads.value = uploads.peek().filter((one) => one.state === 'failed');
}

/** Takes away what is sent, failed or was left out. */
export function dismissUploads(): void {
  skipped.value = [];
  uploads.value = uploads.peek().filter((one) => one.state === 'waiting' || one.state === 'sending');
}

async function sendAll(name: string, list: Upload[]): Promise<void> {
  control = new AbortController();
  let job: string | undefined;
  for (const batch of batches(list.map((one) => ({ ...one, file: one.item.file })))) {
    if (control.signal.aborted) return;
    job = (await sendBatch(name, batch, job)) ?? job;
  }
}

/** Sends a batch; one that the server refuses is sent file by file, so that one bad file stops no other. */
async function sendBatch(name: string, batch: Upload[], job: string | undefined): Promise<string | undefined> {
  const keys = batch.map((one) => one.key);
  update(keys, () => ({ state: 'sending' }));
  try {
    const added = await sendJob(name, batch, job);
    update(keys, () => ({ state: 'sent', share: 1 }));
    if (name === workspace.peek()) follow(added.job);
    return added.job.id;
  } catch (error) {
    const failure = asFailure(error);
    if (failure.code === 'E-CANCELLED') return undefined;
    if (batch.length === 1 || failure.status === 0) {
      update(keys, () => ({ state: 'failed', failure }));
      return undefined;
    }
    let last = job;
    for (const one of batch) last = (await sendBatch(name, [one], last)) ?? last;
    return last;
  }
}

/** Extends `job`; a job that has ended meanwhile cannot be extended, so a new one is begun. */
async function sendJob(name: string, batch: Upload[], job: string | undefined): Promise<Added> {
  const keys = batch.map((one) => one.key);
  const sizes = batch.map((one) => one.size);
  const files = batch.map((one) => one.item);
  const sent = (bytes: number) => {
    const done = shares(sizes, bytes);
    update(keys, (index) => ({ share: done[index] ?? 0 }));
  };
  try {
    return await send(name, files, job, sent, control.signal);
  } catch (error) {
    const gone = error instanceof Failure && (error.status === 404 || error.status === 409);
    if (!gone || job === undefined) throw error;
    return send(name, files, undefined, sent, control.signal);
  }
}
