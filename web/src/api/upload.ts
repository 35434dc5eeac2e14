// Sends files. XMLHttpRequest instead of fetch, because only it reports how much has been sent.
import { asFailure, Failure, failureFrom } from './client';
import type { Job } from './types';

/** A file and the name (with its folders) that it shall have. */
export interface NamedFile {
  file: File;
  name: string;
}

export interface Added {
  job: Job;
  documents: { id: string; name: string; source: string }[];
}

const BATCH_FILES = 32;
const BATCH_BYTES = 16 * 1024 * 1024;

/** Groups files so that many small ones share a request and a large one travels alone. Keeps their order. */
export function batches<T extends { file: { size: number } }>(files: T[]): T[][] {
  const groups: T[][] = [];
  let bytes = 0;
  for (const item of files) {
    const last = groups.at(-1);
    if (!last || last.length >= BATCH_FILES || bytes + item.file.size > BATCH_BYTES) {
      groups.push([item]);
      bytes = item.file.size;
    } else {
      last.push(item);
      bytes += item.file.size;
    }
  }
  return groups;
}

/** How far each file of a batch is (0..1) when `sent` of all its bytes have left. */
export function shares(sizes: number[], sent: number): number[] {
  let before = 0;
  return sizes.map((size) => {
    const share = size === 0 ? Number(sent >= before) : (sent - before) / size;
    before += size;
    return Math.min(1, Math.max(0, share));
  });
}

function form(files: NamedFile[], job: string | undefined): FormData {
  const data = new FormData();
  if (job) data.append('job', job);
  for (const { file, name } of files) {
    // Browsers and proxies may cut folders off a file name; the fields before it keep them.
    data.append('source', `upload:${name}`);
    data.append('name', name);
    data.append('file', file, name);
  }
  return data;
}

/** Sends `files` in one request, extending `job` if given. `sent` hears the bytes that have left. */
export function send(
  workspace: string,
  files: NamedFile[],
  job: string | undefined,
  sent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Added> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/v1/documents');
    request.setRequestHeader('X-Lorekeep-Workspace', workspace);
    request.setRequestHeader('Accept', 'application/json');
    request.upload.onprogress = (event) => sent(event.loaded);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve(JSON.parse(request.responseText) as Added);
      else reject(failureFrom(request.status, request.responseText, request.getResponseHeader('X-Request-Id')));
    };
    request.onerror = () => reject(asFailure(new TypeError()));
    request.onabort = () => reject(new Failure('cancelled', 'E-CANCELLED', undefined, undefined, 0));
    signal.addEventListener('abort', () => request.abort());
    request.send(form(files, job));
  });
}
