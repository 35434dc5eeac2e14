// Files on their way to the server, each with its progress; those that could not be sent, and those left out.
import { bytes } from '../lib/format';
import { t } from '../lib/i18n';
import { dismissUploads, retryUploads, skipped, stopUploads, uploads, type Upload } from '../state/uploads';
import { Icon } from '../ui/icons';
import { ProblemText } from '../ui/parts';

const SHOWN = 8;

export function UploadCard() {
  const list = uploads.value;
  const open = list.filter((one) => one.state === 'waiting' || one.state === 'sending');
  const failed = list.filter((one) => one.state === 'failed');
  if (open.length === 0 && failed.length === 0 && skipped.value.length === 0) return null;
  const rows = [...failed, ...open.filter((one) => one.state === 'sending'), ...open.filter((one) => one.state === 'waiting')];
  const title = open.length > 0 ? t('upload.sending', { n: open.length }) : t('upload.problems', { n: failed.length + skipped.value.length });
  return (
    <section class={failed.length > 0 ? 'card card--danger' : 'card'} aria-label={title}>
      <div class="job-head">
        <h2 class="card-title">{title}</h2>
        <span class="actions">
          {failed.length > 0 && (
            <button type="button" class="button" onClick={retryUploads}>
              <Icon name="retry" /> {t('retry')}
            </button>
          )}
          {open.length > 0 ? (
            <button type="button" class="button" onClick={stopUploads}>
              {t('stop')}
            </button>
          ) : (
            <button type="button" class="icon-button" aria-label={t('dismiss')} onClick={dismissUploads}>
              <Icon name="close" />
            </button>
          )}
        </span>
      </div>
      <ul class="plain upload-list">
        {rows.slice(0, SHOWN).map((one) => (
          <Row key={one.key} upload={one} />
        ))}
      </ul>
      {rows.length > SHOWN && <p class="fine">{t('upload.more', { n: rows.length - SHOWN })}</p>}
      {skipped.value.length > 0 && (
        <details>
          <summary>{t('upload.skipped', { n: skipped.value.length })}</summary>
          <p class="fine">{skipped.value.join(', ')}</p>
        </details>
      )}
    </section>
  );
}

function Row({ upload }: { upload: Upload }) {
  return (
    <li>
      <span class="upload-name" dir="auto">
        {upload.name}
      </span>
      <span class="fine">{bytes(upload.size)}</span>
      {upload.failure ? (
        <ProblemText message={upload.failure.message} hint={upload.failure.hint} />
      ) : (
        <progress max={1} value={upload.share} aria-label={t('upload.progress', { name: upload.name })} />
      )}
    </li>
  );
}
