// The native API's shapes as the page reads them. Times are RFC 3339, spans are [start, end) in Unicode code points.

export type Span = [number, number];

export type DocumentState = 'queued' | 'processing' | 'ready' | 'needs-ocr' | 'failed' | 'cancelled';

export interface Problem {
  code: string;
  message: string;
  hint?: string;
}

export interface DocumentRecord {
  id: string;
  name: string;
  source: string;
  state: DocumentState;
  problem: Problem | null;
  title: string | null;
  author: string | null;
  date: string | null;
  language: string | null;
  tags: string[];
  version: number;
  content_hash: string | null;
  bytes: number;
  characters: number;
  summary: string;
  pages: number;
  chunks: number;
  entities: number;
  warnings: string[];
  job: string | null;
  created_at: string;
  updated_at: string;
}

export interface StateCounts {
  queued: number;
  processing: number;
  ready: number;
  needs_ocr: number;
  failed: number;
  cancelled: number;
}

export interface DocumentList {
  documents: DocumentRecord[];
  total: number;
  counts: StateCounts;
}

export interface DocumentText {
  document_id: string;
  version: number;
  text: string;
  pages: { number: number; span: Span }[];
  headings: { title: string; level: number; span: Span }[];
}

export interface Chunk {
  id: number;
  position: number;
  span: Span;
  page: number | null;
  headings: string[];
  tokens: number;
  text: string;
}

export interface JobCounts {
  total: number;
  open: number;
  ready: number;
  duplicate: number;
  needs_ocr: number;
  failed: number;
  cancelled: number;
}

export type JobState = 'queued' | 'running' | 'done' | 'cancelled';

export interface Job {
  id: string;
  kind: string;
  state: JobState;
  label: string | null;
  counts: JobCounts;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
}

export interface JobItem {
  document_id: string;
  name: string;
  outcome: string;
  duplicate_of: string | null;
  problem: Problem | null;
}

export type JobEvent =
  | { type: 'stage'; job: string; document: string; name: string; stage: string }
  | { type: 'item'; job: string; document: string; name: string; outcome: string; problem: Problem | null }
  | { type: 'passages'; job: string; document: string; name: string; done: number; total: number }
  | { type: 'progress'; job: string; state: JobState; counts: JobCounts; rate: number; left_s: number | null };

/** Where a piece of evidence lies. */
export interface Place {
  document_id: string;
  name: string;
  page?: number | null;
  span: Span;
  quote: string;
}

export interface Citation extends Place {
  n: number;
  version: number;
  score: number;
  bridge?: Place & { through: string };
}

/** A passage that a model was given; the answer cites it by `n`. */
export type Given = Omit<Place, 'quote'> & { n: number };

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cost_nano_usd: number | null;
  estimated: boolean;
}

export interface Answer {
  kind: 'quoted' | 'generated' | 'abstained';
  answer: string;
  citations: Citation[];
  entities: { name: string; type: string }[];
  mode: string;
  confidence?: string;
  took_ms: number;
  searched: number;
  usage: Usage;
  /** The model that wrote it. */
  model?: string;
  /** Until the first piece of a written answer had arrived. */
  first_token_ms?: number;
  /** Sentences of a written answer for which no support was found: spans of `answer`. */
  unsupported?: Span[];
  /** Passages that the model was given. */
  sources?: Given[];
  /** Pages of the web that the model searched: the first is what the text calls `[1]`. */
  web_sources?: WebSource[];
  /** Kept from an earlier, equal question: cost nothing now. */
  cached?: boolean;
  notices?: string[];
}

/** A page of the web; without an address it only holds its number. */
export interface WebSource {
  url: string;
  title?: string;
  date?: string;
}

export type Reason =
  | { type: 'terms'; terms: string[] }
  | { type: 'similar'; cosine: number }
  | { type: 'path'; phrases: string[] }
  | { type: 'graph'; entities: string[] }
  | { type: 'neighbour' };

export interface SearchResult {
  rank: number;
  score: number;
  document: { id: string; name: string; title: string; version: number };
  chunk_id: number;
  position: number;
  page: number | null;
  span: Span;
  headings: string[];
  text: string;
  reasons: Reason[];
}

export interface SearchResults {
  query: string;
  mode: string;
  took_ms: number;
  searched: number;
  results: SearchResult[];
  notices: string[];
}

export interface Entity {
  id: number;
  name: string;
  type: string;
  description: string;
  degree: number;
  documents: string[];
}

export interface Relation {
  id: number;
  source: string;
  target: string;
  keywords: string;
  description: string;
  weight: number;
  evidence?: Place[];
}

export interface EntityPage {
  entity: Entity;
  relations: Relation[];
  passages: { chunk_id: number; document_id: string; name: string; page: number | null; span: Span; text: string }[];
}

export interface GraphStats {
  entities: number;
  relations: number;
  mentions: number;
  isolated: number;
}

export interface Workspace {
  name: string;
  documents: number;
  chunks: number;
  bytes: number;
}

export interface Health {
  status: 'ready' | 'starting' | 'stopping' | 'degraded';
  checks: { name: string; ok: boolean; detail: string; took_ms: number }[];
}

export interface Format {
  name: string;
  extensions: string[];
  media_type: string;
}
