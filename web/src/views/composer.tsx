// The question box and its mode.
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { t, type MessageKey } from '../lib/i18n';
import { goAsk } from '../state/ask';
import { route } from '../state/navigation';
import { Icon } from '../ui/icons';

const MODES = ['auto', 'naive', 'local', 'global', 'hybrid', 'mix'];
const LONGEST = 65_536;

const text = signal('');

/** Puts `question` into the box, to be changed and asked again. */
export function editQuestion(question: string): void {
  text.value = question;
  document.querySelector<HTMLTextAreaElement>('.composer textarea')?.focus();
}

export function Composer({ first = false }: { first?: boolean }) {
  const box = useRef<HTMLTextAreaElement>(null);
  const mode = useRef<HTMLSelectElement>(null);
  useEffect(() => {
    // A touch keyboard that opens by itself hides half the page.
    if (first && matchMedia('(pointer: fine)').matches) box.current?.focus();
  }, []);
  const send = () => {
    const question = text.value.trim();
    if (question === '') return;
    text.value = '';
    goAsk(question, mode.current?.value ?? 'auto');
  };
  const key = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={box}
        data-focus=""
        rows={first ? 2 : 1}
        maxLength={LONGEST}
        dir="auto"
        aria-label={t('ask.label')}
        placeholder={first ? t('ask.placeholder') : t('ask.another')}
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
        onKeyDown={key}
      />
      <div class="composer-row">
        <label class="mode">
          <span class="visually-hidden">{t('mode')}</span>
          <select ref={mode} defaultValue={route.value.query.get('mode') ?? 'auto'}>
            {MODES.map((name) => (
              <option key={name} value={name} title={name} selected={name === (route.value.query.get('mode') ?? 'auto')}>
                {t(`mode.${name}` as MessageKey)}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" class="button button--primary" disabled={text.value.trim() === ''}>
          {t('ask.send')} <Icon name="send" />
        </button>
      </div>
    </form>
  );
}
