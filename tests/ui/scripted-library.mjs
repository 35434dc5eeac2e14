// What the scripted server knows: a few documents with pages, headings and characters outside the basic plane,
// answers whose spans are computed from the texts, and a small graph.

const minutesAgo = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();

const FILLER =
  'The measuring campaign ran through two heating seasons. Sensors were placed on every façade, and their readings were ' +
  'checked against the caretaker’s log each month. Where a sensor failed, the gap was filled from its neighbour.';

function report() {
  const sections = [
    ['Summary', 'Annual transmission loss fell by 31 % after the retrofit. The roof accounts for roughly two thirds of that reduction.'],
    ['Method', FILLER],
    ['Roof', '🏠 The roof was insulated with 28 cm of cellulose in 2023. Its U-value fell from 0.48 to 0.15 W/m²K.'],
    ['Walls', 'The walls were not insulated in the 2023 works; their share of the losses stayed nearly constant.'],
    ['Costs', 'The works cost 412,000 euros, of which the Halden Foundation paid half.'],
  ];
  let text = '';
  const pages = [];
  const headings = [];
  sections.forEach(([title, words], index) => {
    const start = [...text].length;
    const padding = Array.from({ length: 6 }, (_, n) => `${n + 1}. ${FILLER}`).join('\n\n');
    text += `${title}\n\n${words}\n\n${padding}\n\n`;
    pages.push({ number: index + 5, span: [start, [...text].length] });
    headings.push({ title, level: index === 0 ? 1 : 2, span: [start, [...text].length] });
  });
  return { text, pages, headings };
}

const survey = {
  text: 'Survey of 2019\n\nThe house on Kastanienweg was surveyed by Ingrid Halden in 2019.\n\nShe found that most heat leaves through the roof.\n',
  pages: [],
  headings: [{ title: 'Survey of 2019', level: 1, span: [0, 132] }],
};

const record = (id, name, more) => ({
  id,
  name,
  source: `upload:${name}`,
  state: 'ready',
  problem: null,
  title: null,
  author: null,
  date: null,
  language: 'en',
  tags: [],
  version: 1,
  content_hash: '5f0c…',
  bytes: 182_400,
  characters: 12_000,
  summary: '',
  pages: 0,
  chunks: 12,
  entities: 9,
  warnings: [],
  job: 'job_0',
  created_at: minutesAgo(3000),
  updated_at: minutesAgo(1500),
  ...more,
});

export const REPORT = 'doc_0f3a5c7e9b1d2f4a6c8e0b2d';
export const SURVEY = 'doc_1f3a5c7e9b1d2f4a6c8e0b2d';

export const DOCUMENTS = [
  record(REPORT, 'reports/retrofit-2023.pdf', { title: 'Retrofit of Kastanienweg 4: final report', author: 'I. Halden', date: '2023-11-02', pages: 9, chunks: 71, entities: 58, warnings: ['page 8 holds a picture without text'] }),
  record(SURVEY, 'survey-2019.md', { chunks: 3, entities: 6, updated_at: minutesAgo(2) }),
  record('doc_2f3a5c7e9b1d2f4a6c8e0b2d', 'laporan-tahunan.docx', { language: 'id', chunks: 28, entities: 31 }),
  record('doc_3f3a5c7e9b1d2f4a6c8e0b2d', 'members.csv', { chunks: 112, entities: 204, updated_at: minutesAgo(26) }),
  record('doc_4f3a5c7e9b1d2f4a6c8e0b2d', 'scan-1987.pdf', { state: 'needs-ocr', pages: 12, chunks: 0, entities: 0, problem: { code: 'E-CAPABILITY', message: 'it holds pictures of pages and no text', hint: 'run OCR over it and add the result' } }),
  record('doc_5f3a5c7e9b1d2f4a6c8e0b2d', 'old/minutes.doc', { state: 'failed', chunks: 0, entities: 0, problem: { code: 'E-UNSUPPORTED', message: 'legacy Word files cannot be read', hint: 'save it as .docx and add that' } }),
];

export const TEXTS = {
  [REPORT]: { document_id: REPORT, version: 2, ...report() },
  [SURVEY]: { document_id: SURVEY, version: 1, ...survey },
};

/** Where `quote` lies in a text, in code points. */
function place(id, quote) {
  const { text, pages } = TEXTS[id];
  const start = [...text.slice(0, text.indexOf(quote))].length;
  const span = [start, start + [...quote].length];
  const page = pages.find((known) => known.span[0] <= start && start < known.span[1])?.number ?? null;
  const { name } = DOCUMENTS.find((document) => document.id === id);
  return { document_id: id, name, page, span, quote };
}

const cite = (n, id, quote, more = {}) => ({ n, version: TEXTS[id].version, score: 0.9 - n / 20, ...place(id, quote), ...more });

const base = { mode: 'auto', took_ms: 41.3, searched: 1204, usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, cost_nano_usd: 0 } };

/** The scripted answer: `nothing` abstains, `generated` is a model's, anything else is quoted with a bridge. */
export function answerTo(question) {
  const citations = [
    cite(1, REPORT, 'Annual transmission loss fell by 31 % after the retrofit.'),
    cite(2, REPORT, 'Its U-value fell from 0.48 to 0.15 W/m²K.'),
    cite(3, REPORT, 'The works cost 412,000 euros, of which the Halden Foundation paid half.', {
      bridge: { through: 'Halden', ...place(SURVEY, 'The house on Kastanienweg was surveyed by Ingrid Halden in 2019.') },
    }),
  ];
  const entities = ['Roof', 'Halden Foundation', 'Kastanienweg 4'].map((name) => ({ name, type: 'unknown' }));
  if (question.includes('nothing')) {
    return { ...base, kind: 'abstained', answer: 'Nothing in your documents answers this.', citations, entities: [] };
  }
  if (question.includes('generated')) {
    const answer = 'Losses fell by about a third [1], mostly through the roof [2].\n\nHalf of the cost was covered [3].';
    const usage = { prompt_tokens: 3412, completion_tokens: 188, total_tokens: 3600, cost_nano_usd: 812_000 };
    return { ...base, kind: 'generated', answer, citations, entities, usage };
  }
  if (question.includes('written')) {
    const doubtful = 'The owners also keep forty purple elephants [2].';
    const answer = `🏠 Losses fell by **about a third** [1], mostly through the roof [2]. ${doubtful}\n\n- Half of the cost was covered [3].\n- See \`https://example.org/x\`.`;
    const start = [...answer.slice(0, answer.indexOf(doubtful))].length;
    const sources = citations.map(({ n, document_id, name, page, span }) => ({ n, document_id, name, page, span }));
    return {
      ...base,
      kind: 'generated',
      model: 'qwen3-32b',
      answer,
      citations,
      entities,
      sources: [...sources, { n: 4, ...place(SURVEY, 'She found that most heat leaves through the roof.') }],
      unsupported: [[start, start + [...doubtful].length]],
      took_ms: 2840,
      first_token_ms: 412,
      cached: question.includes('again'),
      usage: { prompt_tokens: 3412, completion_tokens: 188, total_tokens: 3600, cost_nano_usd: null, estimated: true },
      notices: ['no support was found in the passages for 1 sentence of the answer; it is marked'],
    };
  }
  return { ...base, kind: 'quoted', confidence: 'likely', answer: citations.map((citation) => `${citation.quote} [${citation.n}]`).join(' '), citations, entities };
}

export const ENTITIES = ['Halden Foundation', 'Ingrid Halden', 'Kastanienweg 4', 'Roof', 'U-value'].map((name, index) => ({
  id: index + 1,
  name,
  type: ['organization', 'person', 'location', 'unknown', 'concept'][index],
  description: 'The Halden Foundation paid half of the works of 2023.',
  degree: 6 - index,
  documents: ['reports/retrofit-2023.pdf', 'survey-2019.md'],
  chunks: [1, 2],
}));

export function entityPage(name) {
  const entity = ENTITIES.find((known) => known.name === name);
  if (!entity) return undefined;
  const evidence = [place(REPORT, 'The works cost 412,000 euros, of which the Halden Foundation paid half.')];
  const relation = (id, target, keywords) => ({ id, source: name, target, keywords, description: '', weight: 1, evidence });
  return { entity, relations: [relation(1, 'Kastanienweg 4', 'paid half of'), relation(2, 'Ingrid Halden', 'was founded by')], passages: [] };
}

export function searchFor(query) {
  const result = (rank, id, quote, reasons) => {
    const { span, page, name } = place(id, quote);
    return { rank, score: 1 / rank, document: { id, name, title: name, version: TEXTS[id].version }, chunk_id: rank, position: rank, page, span, headings: ['Retrofit', 'Roof'], text: quote, reasons };
  };
  const results = query.includes('nothing')
    ? []
    : [
        result(1, REPORT, 'Its U-value fell from 0.48 to 0.15 W/m²K.', [{ type: 'terms', terms: ['u-value', 'fell'] }, { type: 'similar', cosine: 0.71 }]),
        result(2, SURVEY, 'She found that most heat leaves through the roof.', [{ type: 'path', phrases: ['retrofit', 'Ingrid Halden', 'roof'] }]),
      ];
  return { query, mode: 'auto', took_ms: 2.4, searched: 1204, results, entities: [], relations: [], keywords: { high_level: [], low_level: [] }, notices: [] };
}
