// Texts of documents that were opened, the last few of them.
import { asFailure, callJson, type Failure } from '../api/client';
import type { DocumentText } from '../api/types';
import { useEffect, useState } from 'preact/hooks';

const KEPT = 6;
const cache = new Map<string, Promise<DocumentText>>();

/** The extracted text of a document. `version` tells a re-indexed document from the one in the cache. */
function loadText(workspace: string, id: string, version: number | string): Promise<DocumentText> {
  const key = `${workspace}\n${id}\n${version}`;
  const known = cache.get(key);
  if (known) return known;
  const loading = callJson<DocumentText>(workspace, `/v1/documents/${encodeURIComponent(id)}/text`);
  cache.set(key, loading);
  loading.catch(() => cache.delete(key));
  const oldest = cache.keys().next().value;
  if (cache.size > KEPT && oldest !== undefined) cache.delete(oldest);
  return loading;
}

export interface Loaded<T> {
  value: T | null;
  failure: Failure | null;
  reload: () => void;
}

/**
 * Loads with `load` whenever `key` changes; a late answer to an earlier key is dropped. With `keep`, the earlier
 * value is shown until the next one is there.
 */
export function useLoaded<T>(key: string, load: () => Promise<T>, keep = false): Loaded<T> {
  const [state, setState] = useState<{ key: string; value: T | null; failure: Failure | null }>({ key, value: null, failure: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let current = true;
    load().then(
      (value) => current && setState({ key, value, failure: null }),
      (error: unknown) => current && setState({ key, value: null, failure: asFailure(error) }),
    );
    return () => {
      current = false;
    };
    // `load` is a new closure in every render; `key` says when it means something else.
  }, [key, turn]);
  const fresh = state.key === key;
  const reload = () => setTurn(turn + 1);
  return { value: fresh || keep ? state.value : null, failure: fresh ? state.failure : null, reload };
}

/** The text of a document, loaded when first needed. */
export function useText(workspace: string, id: string, version: number | string): Loaded<DocumentText> {
  return useLoaded(`${workspace}\n${id}\n${version}`, () => loadText(workspace, id, version));
}
