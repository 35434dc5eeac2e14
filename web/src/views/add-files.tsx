// The buttons that add files or a folder, and the formats that can be read.
import { useRef } from 'preact/hooks';
import { fromInput } from '../lib/files';
import { t } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { navigate, workspace } from '../state/navigation';
import { formats } from '../state/server';
import { upload } from '../state/uploads';
import { Icon } from '../ui/icons';

function take(input: HTMLInputElement): void {
  if (!input.files || input.files.length === 0) return;
  const files = fromInput(input.files);
  // Choosing the same file again shall count as a change.
  input.value = '';
  navigate(pathTo(workspace.peek(), 'docs'));
  upload(files);
}

export function AddButtons() {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  return (
    <div class="actions">
      <button type="button" class="button button--primary" onClick={() => files.current?.click()}>
        <Icon name="file" /> {t('add.files')}
      </button>
      <button type="button" class="button" onClick={() => folder.current?.click()}>
        <Icon name="folder" /> {t('add.folder')}
      </button>
      <input ref={files} class="file-input" type="file" multiple hidden onChange={(event) => take(event.currentTarget)} />
      <input
        ref={folder}
        class="folder-input"
        type="file"
        hidden
        {...{ webkitdirectory: true }}
        onChange={(event) => take(event.currentTarget)}
      />
    </div>
  );
}

/** `.pdf .docx .md …`, folded away. */
export function Formats() {
  if (formats.value.length === 0) return null;
  const extensions = [...new Set(formats.value.flatMap((format) => format.extensions))].sort();
  return (
    <details class="formats">
      <summary>{t('formats', { n: formats.value.length })}</summary>
      <p>{extensions.map((extension) => `.${extension}`).join(' ')}</p>
    </details>
  );
}
