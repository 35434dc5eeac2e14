// Calls to the native API: adds the workspace, turns every failure into one `Failure` that can be shown.
import { t } from '../lib/i18n';

/** A call that failed: what happened, what to do, and the id to quote when reporting it. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly hint: string | undefined,
    readonly requestId: string | undefined,
    readonly status: number,
  ) {
    super(message);
  }
}

/** Whether `error` is the user's own cancellation. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** Any thrown value as a `Failure`; a failed `fetch` means that the server was not reached. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof TypeError) return new Failure(t('error.unreachable'), 'E-UNREACHABLE', t('error.unreachable.hint'), undefined, 0);
  return new Failure(error instanceof Error ? error.message : String(error), 'E-INTERNAL', undefined, undefined, 0);
}

/** The failure that a response's body (`application/problem+json`, as a rule) describes. */
export function failureFrom(status: number, body: string, requestId: string | null): Failure {
  let problem: Record<string, unknown> = {};
  try {
    problem = JSON.parse(body) as Record<string, unknown>;
  } catch {
    // A proxy's page or nothing: the status alone must do.
  }
  const text = (key: string) => (typeof problem[key] === 'string' ? (problem[key] as string) : undefined);
  const message = text('detail') ?? text('title') ?? t('error.status', { status });
  return new Failure(message, text('code') ?? `HTTP ${status}`, text('hint'), text('request_id') ?? requestId ?? undefined, status);
}

export interface CallOptions {
  method?: string;
  json?: unknown;
  signal?: AbortSignal;
  accept?: string;
}

/** Sends a request about `workspace`; rejects with `Failure` unless it succeeded. */
export async function call(workspace: string, path: string, options: CallOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { 'X-Lorekeep-Workspace': workspace, Accept: options.accept ?? 'application/json' };
  const init: RequestInit = { method: options.method ?? 'GET', headers };
  if (options.json !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.json);
  }
  if (options.signal) init.signal = options.signal;
  const response = await fetch(path, init);
  if (!response.ok) throw failureFrom(response.status, await response.text(), response.headers.get('X-Request-Id'));
  return response;
}

/** As `call`, and reads the JSON body. */
export async function callJson<T>(workspace: string, path: string, options: CallOptions = {}): Promise<T> {
  const response = await call(workspace, path, options);
  return (await response.json()) as T;
}

/** A path with its workspace in the query, for links and event streams, which cannot carry headers. */
export function addressed(workspace: string, path: string): string {
  return `${path}${path.includes('?') ? '&' : '?'}workspace=${encodeURIComponent(workspace)}`;
}
