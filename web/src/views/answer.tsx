// An answer as a document. Quoted answers look quoted: label, serif, a rule beside each sentence, its source below it.
import type { ComponentChildren } from 'preact';
import type { Answer, Citation } from '../api/types';
import { paragraphs, placeName, segments, withSources, type Run, type Segment } from '../lib/citations';
import { cost, count, duration, sentence } from '../lib/format';
import { t, type MessageKey } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { documentCount } from '../state/server';
import { workspace } from '../state/navigation';
import { Icon } from '../ui/icons';
import { CopyButton } from '../ui/parts';

interface Props {
  answer: Answer;
  open: (label: string) => void;
  /** The label of the citation whose source is open. */
  active: string | null;
}

export function AnswerView(props: Props) {
  const { answer } = props;
  return (
    <>
      {answer.kind === 'quoted' && <Quoted {...props} />}
      {answer.kind === 'generated' && <Generated {...props} />}
      {answer.kind === 'abstained' && <Abstained {...props} />}
      {answer.notices?.map((notice) => (
        <p key={notice} class="note note--warn">
          {sentence(notice)}
        </p>
      ))}
      <Footer answer={answer} />
      <PrintedSources citations={answer.citations} />
    </>
  );
}

function Label({ icon, text, aside }: { icon: 'quote' | 'ask' | 'info'; text: string; aside?: string | undefined }) {
  return (
    <p class="answer-label">
      <Icon name={icon} /> {text}
      {aside && <span class="answer-aside">{aside}</span>}
    </p>
  );
}

function Quoted({ answer, open, active }: Props) {
  const numbers = answer.citations.map((citation) => citation.n);
  const sure = answer.confidence ? t(`confidence.${answer.confidence}` as MessageKey) : undefined;
  return (
    <>
      <Label icon="quote" text={t('answer.quoted')} aside={sure} />
      {segments(answer.answer, numbers).map((segment) => (
        <Quote key={segment.numbers.join()} segment={segment} citations={answer.citations} open={open} active={active} />
      ))}
    </>
  );
}

function Quote(props: { segment: Segment; citations: Citation[]; open: (label: string) => void; active: string | null }) {
  const { segment, citations, open, active } = props;
  const cited = segment.numbers.map((n) => citations.find((citation) => citation.n === n)).filter((found) => found !== undefined);
  if (cited.length === 0) return <p class="prose">{segment.text}</p>;
  const bridges = cited.flatMap((citation) => (citation.bridge ? [{ n: citation.n, bridge: citation.bridge }] : []));
  return (
    <figure class={cited.some((citation) => String(citation.n) === active) ? 'quote quote--active' : 'quote'}>
      {bridges.map(({ n, bridge }) => (
        <p key={n} class="bridge">
          <span class="bridge-label">
            <Icon name="link" /> {t('answer.bridge', { through: bridge.through })}
          </span>{' '}
          <q dir="auto">
            <Cited text={bridge.quote.trim()}>
              <CiteButton label={`${n}′`} place={placeName(bridge)} open={open} active={active} />
            </Cited>
          </q>
        </p>
      ))}
      <blockquote dir="auto">
        <Cited text={segment.text}>
          {cited.map((citation) => (
            <CiteButton key={citation.n} label={String(citation.n)} place={placeName(citation)} open={open} active={active} />
          ))}
        </Cited>
      </blockquote>
      <figcaption>{cited.map(placeName).join(' · ')}</figcaption>
    </figure>
  );
}

function Generated({ answer, open, active }: Props) {
  const numbers = answer.citations.map((citation) => citation.n);
  const byNumber = new Map(answer.citations.map((citation) => [citation.n, citation]));
  const cites = (run: Run) =>
    run.numbers.map((n) => {
      const citation = byNumber.get(n);
      return citation && <CiteButton key={n} label={String(n)} place={placeName(citation)} open={open} active={active} />;
    });
  return (
    <>
      <Label icon="ask" text={t('answer.generated')} aside={answer.cached ? t('answer.kept') : undefined} />
      {paragraphs(answer.answer, numbers, answer.unsupported ?? []).map((runs, index) => (
        <p key={index} class="prose prose--written" dir="auto">
          {runs.map((run, at) => (
            <span key={at} class={run.unsupported ? 'unsupported' : undefined}>
              {run.numbers.length > 0 ? <Cited text={run.text}>{cites(run)}</Cited> : <Words text={run.text} />}
              {run.ends && <Unsupported />}
            </span>
          ))}
        </p>
      ))}
      <Pages answer={answer} />
      <Given answer={answer} />
    </>
  );
}

/** Pages of the web that the model searched, by the numbers in its text. */
function Pages({ answer }: { answer: Answer }) {
  const pages = answer.web_sources ?? [];
  if (pages.length === 0) return null;
  return (
    <details class="given" open>
      <summary>{t('answer.pages', { n: pages.length })}</summary>
      <ol class="plain">
        {pages.map(
          (page, at) =>
            page.url && (
              <li key={at}>
                <span class="given-number">{at + 1}</span>
                <a href={page.url} target="_blank" rel="noopener noreferrer nofollow">
                  {page.title || page.url}
                </a>
                {page.date && <span class="fine">{page.date}</span>}
              </li>
            ),
        )}
      </ol>
    </details>
  );
}

/** Said in words beside the sentence, because a line under it is neither heard nor seen by everybody. */
function Unsupported() {
  return (
    <span class="unsupported-label">
      {' '}
      <Icon name="warn" /> {t('answer.unsupported')}
    </span>
  );
}

/** Text with the little Markdown that models cannot help writing: bold and code. */
function Words({ text }: { text: string }) {
  return (
    <>
      {text.split(/(\*\*[^*\n]+\*\*|`[^`\n]+`)/).map((part, at) => {
        if (at % 2 === 0) return part;
        return part.startsWith('`') ? <code key={at}>{part.slice(1, -1)}</code> : <strong key={at}>{part.slice(2, -2)}</strong>;
      })}
    </>
  );
}

/** What the model was given to write from, cited or not. */
function Given({ answer }: { answer: Answer }) {
  const given = answer.sources ?? [];
  if (given.length === 0) return null;
  const cited = new Set(answer.citations.map((citation) => citation.n));
  return (
    <details class="given">
      <summary>{t('answer.given', { n: given.length })}</summary>
      <ol class="plain">
        {given.map((source) => (
          <li key={source.n}>
            <span class="given-number">{source.n}</span>
            <a href={pathTo(workspace.value, `docs/${encodeURIComponent(source.document_id)}`, { page: source.page, hl: source.span.join('-') })}>
              {placeName(source)}
            </a>
            {cited.has(source.n) && <span class="fine">{t('answer.given.cited')}</span>}
          </li>
        ))}
      </ol>
    </details>
  );
}

function Abstained({ answer, open }: Props) {
  const total = documentCount.value;
  return (
    <>
      <Label icon="info" text={t('answer.abstained')} />
      <p class="prose abstained">{total ? t('answer.nothing', { n: total }) : answer.answer}</p>
      {answer.citations.length > 0 && <p class="muted">{t('answer.closest', { n: answer.citations.length })}</p>}
      <ul class="tips">
        <li>{t('tips.words')}</li>
        <li>{t('tips.one')}</li>
        <li>
          <a href={pathTo(workspace.value, 'docs')}>{t('tips.add')}</a>
        </li>
      </ul>
      {answer.citations.length > 0 && (
        <button type="button" class="button" onClick={() => open(String(answer.citations[0]?.n))}>
          <Icon name="docs" /> {t('answer.closest.open')}
        </button>
      )}
    </>
  );
}

const LONG_WORD = 24;

/** Text and its citation numbers, which never begin a line: they stay with the last word, unless it is a giant or marked up. */
function Cited({ text, children }: { text: string; children: ComponentChildren }) {
  const at = text.lastIndexOf(' ') + 1;
  if (text.length - at > LONG_WORD || /[*`]/.test(text.slice(at))) {
    return (
      <>
        <Words text={text} /> {children}
      </>
    );
  }
  return (
    <>
      <Words text={text.slice(0, at)} />
      <span class="nowrap">
        {text.slice(at)} {children}
      </span>
    </>
  );
}

/** The number of a citation; pressing it shows the source. */
export function CiteButton(props: { label: string; place: string; open: (label: string) => void; active: string | null }) {
  const { label, place, open, active } = props;
  return (
    <button
      type="button"
      class="cite"
      data-cite={label}
      title={place}
      aria-label={t('cite.label', { n: label, place })}
      aria-pressed={active === label}
      onClick={() => open(label)}
    >
      {label}
    </button>
  );
}

/** `quoted, no model · 3 passages of 1,204 · 41 ms · 0 tokens`; of a written answer the model, tokens and cost. */
export function summary(answer: Answer): string {
  const { usage } = answer;
  const written = answer.kind === 'generated';
  const first = answer.first_token_ms === undefined ? '' : ` (${t('summary.first', { time: duration(answer.first_token_ms) })})`;
  const parts = [
    written && answer.model ? answer.model : t(`summary.${answer.kind}` as MessageKey),
    t('summary.passages', { n: answer.citations.length, all: answer.searched }),
    duration(answer.took_ms) + first,
    t('summary.tokens', { n: usage.total_tokens }) + (usage.estimated ? ` (${t('summary.estimated')})` : ''),
  ];
  if (usage.total_tokens > 0) parts.push(usage.cost_nano_usd === null ? t('summary.price') : cost(usage.cost_nano_usd));
  return parts.join(' · ');
}

function Footer({ answer }: { answer: Answer }) {
  return (
    <footer class="answer-foot">
      <p class="fine">{summary(answer)}</p>
      <p class="actions">
        <CopyButton label={t('copy')} text={() => answer.answer.trim()} />
        {answer.citations.length > 0 && <CopyButton label={t('copy.sources')} text={() => withSources(answer)} />}
      </p>
      {answer.entities.length > 0 && (
        <p class="chips">
          <span class="fine">{t('answer.entities')}</span>
          {answer.entities.map((entity) => (
            <a key={entity.name} class="chip" href={pathTo(workspace.value, 'graph', { entity: entity.name })}>
              {entity.name}
            </a>
          ))}
        </p>
      )}
    </footer>
  );
}

/** Paper has no side pane: the numbered sources stand below the answer there, and only there. */
function PrintedSources({ citations }: { citations: Citation[] }) {
  return (
    <section class="print-only">
      <h2>{t('evidence')}</h2>
      <ol class="plain">
        {citations.map((citation) => (
          <li key={citation.n}>
            [{citation.n}] {placeName(citation)}: “{citation.quote.trim()}”
          </li>
        ))}
      </ol>
      <p class="fine">{t('print.from', { workspace: workspace.value, count: count(citations.length) })}</p>
    </section>
  );
}
