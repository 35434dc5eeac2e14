// The whole window takes dropped files and folders, from every view, and pasted files.
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { fromDrop, fromInput } from '../lib/files';
import { t } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { navigate, workspace } from '../state/navigation';
import { upload } from '../state/uploads';
import { Icon } from './icons';

const over = signal(false);

const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;

function showDocuments(): void {
  navigate(pathTo(workspace.peek(), 'docs'));
}

async function drop(event: DragEvent): Promise<void> {
  if (!holdsFiles(event) || !event.dataTransfer) return;
  event.preventDefault();
  over.value = false;
  const files = await fromDrop(event.dataTransfer);
  if (files.length === 0) return;
  showDocuments();
  upload(files);
}

function paste(event: ClipboardEvent): void {
  const files = event.clipboardData?.files;
  if (!files || files.length === 0) return;
  event.preventDefault();
  showDocuments();
  upload(fromInput(files));
}

function listen(): () => void {
  const control = new AbortController();
  const { signal: until } = control;
  const hover = (event: DragEvent) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    over.value = true;
  };
  addEventListener('dragenter', hover, { signal: until });
  addEventListener('dragover', hover, { signal: until });
  // Leaving the window has no related target; moving between its elements has one.
  addEventListener('dragleave', (event) => event.relatedTarget === null && (over.value = false), { signal: until });
  addEventListener('drop', (event) => void drop(event), { signal: until });
  addEventListener('paste', paste, { signal: until });
  return () => control.abort();
}

export function DropZone() {
  useEffect(listen, []);
  if (!over.value) return null;
  return (
    <div class="drop" aria-hidden="true">
      <p>
        <Icon name="file" /> {t('drop', { workspace: workspace.value })}
      </p>
    </div>
  );
}
