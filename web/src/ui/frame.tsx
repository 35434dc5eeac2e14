// The frame around every view: rail with the views, header with workspace, state, theme and help.
import type { ComponentChildren } from 'preact';
import { count } from '../lib/format';
import { t, type MessageKey } from '../lib/i18n';
import { pathTo } from '../lib/route';
import { announcement } from '../state/announce';
import { navigate, route, workspace } from '../state/navigation';
import { covered } from '../state/pane';
import { theme, type Theme } from '../state/preferences';
import { documentCount, health, status, version, workspaces } from '../state/server';
import { helpOpen } from '../state/shortcuts';
import { Icon, type IconName } from './icons';

const VIEWS: { view: string; icon: IconName; key: string }[] = [
  { view: 'ask', icon: 'ask', key: 'a' },
  { view: 'docs', icon: 'docs', key: 'd' },
  { view: 'search', icon: 'search', key: 's' },
  { view: 'graph', icon: 'graph', key: 'g' },
];

export function Frame({ children }: { children: ComponentChildren }) {
  return (
    <>
      <a class="skip" href="#main">
        {t('skip')}
      </a>
      <div class="frame">
        <Header />
        <Rail />
        <main id="main" tabIndex={-1} class={`main main--${route.value.view}`}>
          {children}
        </main>
      </div>
      <div class="visually-hidden" aria-live="polite">
        {announcement.value}
      </div>
    </>
  );
}

function Header() {
  return (
    <header class="header" inert={covered.value}>
      <a class="brand" href={pathTo(workspace.value, 'ask')}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" />
          <path class="brand-l" d="M9 7.5v17h14" />
          <path class="brand-lines" d="M15 11h8M15 17h5" />
        </svg>
        <span>Lorekeep</span>
      </a>
      <WorkspaceSwitch />
      <span class="header-gap" />
      <StatusDot />
      <ThemeSwitch />
      <button type="button" class="icon-button" aria-label={t('help.open')} onClick={() => (helpOpen.value = true)}>
        <span aria-hidden="true">?</span>
      </button>
    </header>
  );
}

function WorkspaceSwitch() {
  const names = (workspaces.value ?? []).map((known) => known.name);
  const all = names.includes(workspace.value) ? names : [workspace.value, ...names];
  return (
    <label class="workspace">
      <span class="workspace-label">{t('workspace')}</span>
      <select
        value={workspace.value}
        onChange={(event) => navigate(pathTo(event.currentTarget.value, route.value.view === 'document' ? 'docs' : route.value.view))}
      >
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function StatusDot() {
  const now = status.value;
  const words = t(`status.${now}` as MessageKey);
  return (
    <>
      <button type="button" class="status" popovertarget="health" aria-label={t('status.label', { status: words })}>
        <span class={`dot dot--${now}`} aria-hidden="true" />
        <span class="status-words">{words}</span>
      </button>
      <div id="health" popover="auto" class="popover">
        <h2>{words}</h2>
        <ul class="checks">
          {(health.value?.checks ?? []).map((check) => (
            <li key={check.name}>
              <span class={`dot dot--${check.ok ? 'ready' : 'degraded'}`} aria-hidden="true" />
              <span>
                {check.name}: {check.detail}
              </span>
            </li>
          ))}
        </ul>
        {now === 'unreachable' && <p>{t('error.unreachable.hint')}</p>}
        <p class="fine">
          {version.value && `Lorekeep ${version.value} · `}
          <a href="/docs">{t('status.api')}</a>
        </p>
      </div>
    </>
  );
}

const THEMES: Record<Theme, { icon: IconName; next: Theme }> = {
  system: { icon: 'screen', next: 'light' },
  light: { icon: 'sun', next: 'dark' },
  dark: { icon: 'moon', next: 'system' },
};

function ThemeSwitch() {
  const { icon, next } = THEMES[theme.value];
  const name = (which: Theme) => t(`theme.${which}` as MessageKey);
  const label = t('theme.label', { now: name(theme.value), next: name(next) });
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={() => (theme.value = next)}>
      <Icon name={icon} />
    </button>
  );
}

function Rail() {
  const current = route.value.view === 'document' ? 'docs' : route.value.view;
  return (
    <nav class="rail" inert={covered.value} aria-label={t('nav')}>
      {VIEWS.map(({ view, icon }) => (
        <a key={view} href={pathTo(workspace.value, view)} aria-current={current === view ? 'page' : undefined}>
          <Icon name={icon} />
          <span>{t(`nav.${view}` as MessageKey)}</span>
          {view === 'docs' && documentCount.value !== null && documentCount.value > 0 && (
            <span class="rail-count">{count(documentCount.value)}</span>
          )}
        </a>
      ))}
    </nav>
  );
}
