// A modal dialog on the browser's own <dialog>: focus trap, Esc and restoring focus come with it.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { t } from '../lib/i18n';
import { Icon } from './icons';

export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      class="dialog"
      aria-labelledby={id}
      onClose={close}
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="icon-button" aria-label={t('close')} onClick={close}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** Asks before something that cannot be undone. */
export function Confirm(props: { title: string; body: string; action: string; confirm: () => void; close: () => void }) {
  return (
    <Dialog title={props.title} close={props.close}>
      <p>{props.body}</p>
      <p class="actions actions--end">
        <button type="button" class="button" onClick={props.close}>
          {t('cancel')}
        </button>
        <button
          type="button"
          class="button button--danger"
          onClick={() => {
            props.close();
            props.confirm();
          }}
        >
          {props.action}
        </button>
      </p>
    </Dialog>
  );
}
