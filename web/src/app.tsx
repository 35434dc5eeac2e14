// Chooses the view for the address.
import { useEffect } from 'preact/hooks';
import { t } from './lib/i18n';
import { pathTo } from './lib/route';
import { route, workspace } from './state/navigation';
import { lastWorkspace } from './state/preferences';
import { workspaceMissing, workspaces } from './state/server';
import { DropZone } from './ui/drop-zone';
import { Frame } from './ui/frame';
import { Help } from './ui/help';
import { Empty } from './ui/parts';
import { AskView } from './views/ask';
import { DocsView } from './views/docs';
import { DocumentView } from './views/document';
import { GraphView } from './views/graph';
import { SearchView } from './views/search';

export function App() {
  const name = workspace.value;
  useEffect(() => {
    if (workspaces.value?.some((known) => known.name === name)) lastWorkspace.value = name;
  }, [name, workspaces.value]);
  return (
    <>
      <Frame>{workspaceMissing.value ? <NoWorkspace /> : <Current />}</Frame>
      <DropZone />
      <Help />
    </>
  );
}

function Current() {
  const { view, id } = route.value;
  switch (view) {
    case 'ask':
      return <AskView />;
    case 'docs':
      return <DocsView />;
    case 'document':
      return <DocumentView key={id} id={id} />;
    case 'search':
      return <SearchView />;
    case 'graph':
      return <GraphView />;
    default:
      return <Empty title={t('lost')} />;
  }
}

function NoWorkspace() {
  return (
    <Empty title={t('workspace.missing', { name: workspace.value })}>
      <p>{t('workspace.others')}</p>
      <ul class="plain">
        {(workspaces.value ?? []).map(({ name }) => (
          <li key={name}>
            <a href={pathTo(name, 'ask')}>{name}</a>
          </li>
        ))}
      </ul>
    </Empty>
  );
}
