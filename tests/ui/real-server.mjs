// Starts the real program on a fresh data folder with the bundled samples, and ends it.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const READY_WITHIN_MS = 120_000;

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** An environment in which no configuration of this machine is found. */
function environment(folder) {
  const kept = Object.entries(process.env).filter(([name]) => !/^(LOREKEEP_|XDG_|OPENAI_|OLLAMA_|PORT$)/.test(name));
  return { ...Object.fromEntries(kept), HOME: folder };
}

async function samplesReady(url) {
  try {
    const { counts, total } = await (await fetch(`${url}/v1/documents?limit=1`)).json();
    return total > 0 && counts.queued + counts.processing === 0;
  } catch {
    return false;
  }
}

/** `{ url, close }` once the samples are indexed. */
export async function startRealServer(binary) {
  const folder = await mkdtemp(join(tmpdir(), 'lorekeep-ui-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const options = ['start', '--no-open', '--port', String(port), '--data', join(folder, 'data')];
  const program = spawn(resolve(binary), options, { cwd: folder, env: environment(folder), stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  program.stdout.on('data', (piece) => (output += piece));
  program.stderr.on('data', (piece) => (output += piece));
  const ended = new Promise((done) => program.on('exit', done));
  const close = async () => {
    program.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await samplesReady(url))) {
    if (program.exitCode !== null || program.signalCode !== null || Date.now() > deadline) {
      await close();
      throw new Error(`${binary} did not get ready:\n${output}`);
    }
    await pause(100);
  }
  return { url, close };
}
