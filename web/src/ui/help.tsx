// The list of shortcuts, and the switch that turns single-key ones off.
import { t, type MessageKey } from '../lib/i18n';
import { shortcuts } from '../state/preferences';
import { helpOpen } from '../state/shortcuts';
import { Dialog } from './dialog';

const KEYS: [string[], MessageKey][] = [
  [['/'], 'help.focus'],
  [['Enter'], 'help.send'],
  [['Shift', 'Enter'], 'help.line'],
  [['[', ']'], 'help.step'],
  [['g', 'a'], 'help.ask'],
  [['g', 'd'], 'help.docs'],
  [['g', 's'], 'help.search'],
  [['g', 'g'], 'help.graph'],
  [['Esc'], 'help.escape'],
  [['?'], 'help.help'],
];

export function Help() {
  if (!helpOpen.value) return null;
  return (
    <Dialog title={t('help.title')} close={() => (helpOpen.value = false)}>
      <dl class="keys">
        {KEYS.map(([keys, text]) => (
          <div key={text}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(text)}</dd>
          </div>
        ))}
      </dl>
      <label class="check">
        <input type="checkbox" checked={shortcuts.value} onChange={(event) => (shortcuts.value = event.currentTarget.checked)} />
        {t('help.enabled')}
      </label>
    </Dialog>
  );
}
