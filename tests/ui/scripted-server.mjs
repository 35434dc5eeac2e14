// A scripted stand-in for the server: brings about the states that a healthy server with the samples does not show
// (failures, slow streams, uploads that fail, unknown workspaces). Serves the built page under the real server's policy.
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { DOCUMENTS, TEXTS, answerTo, ENTITIES, entityPage, searchFor } from './scripted-library.mjs';

const DIST = new URL('../../web/dist/', import.meta.url).pathname;
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const CSP =
  "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; worker-src 'self' blob:; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const now = () => new Date().toISOString();

/** Starts the server on a free port; `close` ends it. */
export async function startScriptedServer(port = 0) {
  const state = { documents: structuredClone(DOCUMENTS), jobs: new Map(), followers: new Set(), failures: new Map() };
  const server = createServer((request, response) => void route(state, request, response));
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close, state };
}

async function route(state, request, response) {
  const url = new URL(request.url, 'http://localhost');
  response.setHeader('Content-Security-Policy', CSP);
  response.setHeader('X-Request-Id', 'req_scripted');
  const workspace = request.headers['x-lorekeep-workspace'] ?? url.searchParams.get('workspace') ?? 'default';
  const path = decodeURIComponent(url.pathname);
  if (!path.startsWith('/v1') && path !== '/readyz' && path !== '/version') return page(response, path);
  if (!['default', 'empty'].includes(workspace)) return problem(response, 404, 'E-NOT-FOUND', `there is no workspace \`${workspace}\``);
  const body = request.method === 'GET' ? '' : await read(request);
  const key = `${request.method} ${path}`;
  const handler = Object.entries(ROUTES).find(([pattern]) => new RegExp(`^${pattern}$`).test(key));
  if (!handler) return problem(response, 404, 'E-NOT-FOUND', `nothing is at ${path}`);
  const documents = workspace === 'empty' ? [] : state.documents;
  return handler[1]({ state, request, response, url, path, body, documents, id: path.split('/')[3] });
}

const ROUTES = {
  'GET /readyz': ({ response }) => json(response, { status: 'ready', checks: [{ name: 'store', ok: true, detail: '2 workspaces', took_ms: 0.2 }] }),
  'GET /version': ({ response }) => json(response, { name: 'lorekeep', version: '0.1.0', api: 'v1' }),
  'GET /v1/workspaces': ({ response }) =>
    json(response, { workspaces: [{ name: 'default', documents: 6, chunks: 214, bytes: 1 }, { name: 'empty', documents: 0, chunks: 0, bytes: 0 }] }),
  'GET /v1/formats': ({ response }) =>
    json(response, { formats: [['pdf', ['pdf']], ['markdown', ['md', 'markdown']], ['text', ['txt']], ['word', ['docx']], ['csv', ['csv']]].map(([name, extensions]) => ({ name, extensions, media_type: 'x/y' })) }),
  'GET /v1/documents': list,
  'POST /v1/documents': add,
  'GET /v1/documents/[^/]+': ({ response, documents, id }) => found(response, documents.find((document) => document.id === id)),
  'GET /v1/documents/[^/]+/text': ({ response, id }) => found(response, TEXTS[id]),
  'GET /v1/documents/[^/]+/chunks': ({ response, id }) => json(response, { chunks: chunksOf(id) }),
  'POST /v1/documents/[^/]+/retry': ({ state, response, documents, id }) => {
    const document = documents.find((known) => known.id === id);
    document.state = 'queued';
    document.problem = null;
    json(response, { job: begin(state, [document], undefined) }, 202);
  },
  'DELETE /v1/documents/[^/]+': ({ state, response, id }) => {
    state.documents = state.documents.filter((document) => document.id !== id);
    json(response, { deleted: [id], count: 1 });
  },
  'GET /v1/jobs': ({ response }) => json(response, { jobs: [] }),
  'GET /v1/jobs/[^/]+': ({ state, response, id }) => json(response, shown(state.jobs.get(id))),
  'GET /v1/jobs/[^/]+/items': ({ state, response, id }) => json(response, { items: state.jobs.get(id).items }),
  'POST /v1/jobs/[^/]+/cancel': ({ state, response, id }) => {
    state.jobs.get(id).cancelled = true;
    json(response, { cancelled: true });
  },
  'GET /v1/events': follow,
  'POST /v1/ask': ask,
  'POST /v1/search': ({ response, body }) => json(response, searchFor(JSON.parse(body).query)),
  'GET /v1/graph/stats': ({ response, documents }) =>
    json(response, { entities: documents.length ? ENTITIES.length : 0, relations: 6, mentions: 40, isolated: 1 }),
  'GET /v1/graph/entities': ({ response, url }) =>
    json(response, { entities: ENTITIES.filter((entity) => entity.name.toLowerCase().includes((url.searchParams.get('q') ?? '').toLowerCase())) }),
  'GET /v1/graph/entities/.+': ({ response, path }) => found(response, entityPage(path.slice('/v1/graph/entities/'.length))),
};

function page(response, path) {
  const file = join(DIST, normalize(path));
  const asset = path.startsWith('/assets/') && existsSync(file) ? file : join(DIST, 'index.html');
  response.setHeader('Content-Type', TYPES[extname(asset)] ?? 'application/octet-stream');
  response.end(readFileSync(asset));
}

function json(response, value, status = 200) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
}

function problem(response, status, code, detail, hint) {
  response.writeHead(status, { 'Content-Type': 'application/problem+json' });
  response.end(JSON.stringify({ type: `https://lorekeep.dev/errors/${code}`, title: code, status, detail, code, hint, request_id: 'req_scripted' }));
}

function found(response, value) {
  if (value) json(response, value);
  else problem(response, 404, 'E-NOT-FOUND', 'there is no such document');
}

async function read(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

function list({ response, url, documents }) {
  const [state, name] = [url.searchParams.get('state'), url.searchParams.get('document')?.replaceAll('*', '').toLowerCase()];
  const shown = documents.filter((document) => (!state || document.state === state) && (!name || document.name.toLowerCase().includes(name)));
  if (url.searchParams.get('sort') === 'name') shown.sort((a, b) => a.name.localeCompare(b.name));
  if (url.searchParams.get('order') === 'desc') shown.reverse();
  const count = (wanted) => documents.filter((document) => document.state === wanted).length;
  const counts = { queued: count('queued'), processing: count('processing'), ready: count('ready'), needs_ocr: count('needs-ocr'), failed: count('failed'), cancelled: count('cancelled') };
  const offset = Number(url.searchParams.get('offset') ?? 0);
  json(response, { documents: shown.slice(offset, offset + Number(url.searchParams.get('limit') ?? 50)), total: shown.length, counts });
}

function chunksOf(id) {
  const { text } = TEXTS[id] ?? { text: '' };
  return text.split('\n\n').slice(0, 8).map((part, position) => ({ id: position + 1, position, span: [text.indexOf(part), text.indexOf(part) + part.length], page: null, headings: ['Findings'], tokens: 80, text: part }));
}

/**
 * Names in the multipart body decide what happens: `*.doc` fails, `*scan*` needs OCR, `*refused*` is refused whole,
 * `*instant*` has ended before the request is answered.
 */
async function add({ state, response, body }) {
  const names = [...body.matchAll(/name="file"; filename="([^"]+)"/g)].map((match) => match[1]);
  if (names.some((name) => name.includes('refused'))) return problem(response, 413, 'E-TOO-LARGE', 'the file is larger than 256 MB', 'split it');
  const documents = names.map((name) => blank(name));
  state.documents = [...documents, ...state.documents];
  const job = begin(state, documents);
  if (names.some((name) => name.includes('instant'))) await pause(1000);
  json(response, { job, documents: documents.map(({ id, name, source }) => ({ id, name, source })) }, 202);
}

function blank(name) {
  const template = DOCUMENTS[0];
  const id = `doc_${Buffer.from(name).toString('hex').slice(0, 24).padEnd(24, '0')}`;
  return { ...template, id, name, source: `upload:${name}`, title: null, state: 'queued', problem: null, pages: 0, chunks: 0, entities: 0, updated_at: now() };
}

const outcomeOf = (name) => (name.endsWith('.doc') ? 'failed' : name.includes('scan') ? 'needs-ocr' : 'ready');
const PROBLEMS = {
  failed: { code: 'E-UNSUPPORTED', message: 'legacy Word files cannot be read', hint: 'save it as .docx and add that' },
  'needs-ocr': { code: 'E-CAPABILITY', message: 'it holds pictures of pages and no text', hint: 'run OCR over it and add the result' },
};

function begin(state, documents) {
  const id = `job_${state.jobs.size + 1}`;
  const job = { id, kind: 'add', state: 'running', label: null, created_at: now(), started_at: now(), ended_at: null, counts: countsOf([], documents.length), items: [], cancelled: false };
  state.jobs.set(id, job);
  void work(state, job, documents);
  return shown(job);
}

const shown = ({ items, cancelled, ...job }) => job;

function countsOf(items, total) {
  const count = (outcome) => items.filter((item) => item.outcome === outcome).length;
  return { total, open: total - items.length, ready: count('ready'), duplicate: 0, needs_ocr: count('needs-ocr'), failed: count('failed'), cancelled: count('cancelled') };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function work(state, job, documents) {
  for (const document of documents) {
    for (const stage of ['parse', 'chunk', 'extract', 'embed', 'index']) {
      document.state = 'processing';
      tell(state, 'stage', { type: 'stage', job: job.id, document: document.id, name: document.name, stage });
      await pause(60);
      for (let waited = 0; document.name.includes('slow') && !job.cancelled && waited < 20_000; waited += 50) await pause(50);
    }
    const outcome = job.cancelled ? 'cancelled' : outcomeOf(document.name);
    Object.assign(document, { state: outcome, problem: PROBLEMS[outcome] ?? null, chunks: outcome === 'ready' ? 12 : 0, updated_at: now() });
    job.items.push({ document_id: document.id, name: document.name, outcome, duplicate_of: null, problem: document.problem });
    job.counts = countsOf(job.items, documents.length);
    if (job.counts.open === 0) job.state = job.cancelled ? 'cancelled' : 'done';
    tell(state, 'item', { type: 'item', job: job.id, document: document.id, name: document.name, outcome, problem: document.problem });
    tell(state, 'progress', { type: 'progress', job: job.id, state: job.state, counts: job.counts, rate: 3.4, left_s: job.counts.open * 0.3 });
  }
}

function tell(state, event, data) {
  for (const follower of state.followers) follower.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

function follow({ state, request, response }) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write(': hello\n\n');
  state.followers.add(response);
  request.on('close', () => state.followers.delete(response));
}

/** `unreachable` fails with 503 the first time, `cut` ends in the middle, `slow` takes five seconds. */
async function ask({ state, response, body }) {
  const { question } = JSON.parse(body);
  const tries = (state.failures.get(question) ?? 0) + 1;
  state.failures.set(question, tries);
  if (question.includes('unreachable') && tries === 1) {
    return problem(response, 503, 'E-BUSY', 'the index is being opened', 'try again in a few seconds');
  }
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const send = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  send('stage', { stage: 'searching' });
  if (question.includes('cut') && tries === 1) return response.end();
  if (question.includes('slow')) await pause(5000);
  if (response.destroyed) return undefined;
  send('stage', { stage: 'answering' });
  const answer = answerTo(question);
  answer.citations.forEach((citation) => send('citation', citation));
  send('done', answer);
  return response.end();
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { url } = await startScriptedServer(Number(process.argv[2] ?? 9700));
  console.log(url);
}
