// Fails when the built page outgrows its budget (gzip, 1 kB = 1,000 bytes).
import { readFileSync, statSync } from 'node:fs';
import { filesUnder } from './precompress.mjs';

const folder = new URL('../dist', import.meta.url).pathname;
const BUDGETS = [
  { name: 'script', pattern: /\.js$/, limit: 45_000 },
  { name: 'style', pattern: /\.css$/, limit: 12_000 },
];

const files = filesUnder(folder);
const html = readFileSync(`${folder}/index.html`, 'utf8');
let failed = false;
for (const { name, pattern, limit } of BUDGETS) {
  // What index.html names is what the first view loads.
  const core = files.filter((path) => pattern.test(path) && html.includes(path.slice(folder.length)));
  const size = core.reduce((sum, path) => sum + statSync(`${path}.gz`).size, 0);
  const over = size > limit || core.length === 0;
  failed ||= over;
  console.log(`${over ? 'OVER' : 'ok  '} ${name.padEnd(6)} ${size} of ${limit} bytes gzip`);
}
if (/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=/.test(html)) {
  console.log('OVER index.html holds inline code, which the content security policy forbids');
  failed = true;
}
process.exit(failed ? 1 : 0);
