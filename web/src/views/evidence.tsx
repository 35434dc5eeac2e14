// The numbered evidence beside an answer: where each quote stands, in its own words.
import type { Answer, Citation } from '../api/types';
import { placeName } from '../lib/citations';
import { t } from '../lib/i18n';
import { Icon } from '../ui/icons';

const SHORT = 280;

export function Evidence({ answer, open }: { answer: Answer; open: (label: string) => void }) {
  if (answer.citations.length === 0) return null;
  const closest = answer.kind === 'abstained';
  return (
    <aside class="evidence" aria-label={closest ? t('evidence.closest') : t('evidence')}>
      <h2 class="overline">
        {closest ? t('evidence.closest') : t('evidence')}
        <span>{t('evidence.of', { n: answer.citations.length, all: answer.searched })}</span>
      </h2>
      <ol class="plain">
        {answer.citations.map((citation) => (
          <li key={citation.n}>
            <Card citation={citation} open={open} />
          </li>
        ))}
      </ol>
    </aside>
  );
}

function Card({ citation, open }: { citation: Citation; open: (label: string) => void }) {
  const quote = citation.quote.trim();
  return (
    <button type="button" class="evidence-card" onClick={() => open(String(citation.n))}>
      <span class="evidence-head">
        <span class="cite-number">{citation.n}</span>
        <span class="evidence-name">{placeName(citation)}</span>
        <Icon name="right" />
      </span>
      <span class="evidence-quote" dir="auto">
        {quote.length > SHORT ? `${quote.slice(0, SHORT).trimEnd()}…` : quote}
      </span>
    </button>
  );
}
