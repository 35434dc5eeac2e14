// Starts the page: preferences first, so that nothing is drawn in the wrong theme.
import { render } from 'preact';
import { App } from './app';
import { startJobs } from './state/jobs';
import { startNavigation } from './state/navigation';
import { applyTheme } from './state/preferences';
import { startServer } from './state/server';
import { startShortcuts } from './state/shortcuts';
import './styles/index.css';

applyTheme();
startNavigation();
startServer();
startJobs();
startShortcuts();

const root = document.getElementById('page');
if (root) render(<App />, root);
