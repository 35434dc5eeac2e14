// Builds the page into `dist`, which is committed: the server embeds it and `cargo build` needs no Node.
import { defineConfig } from 'vite';
import { precompress } from './scripts/precompress.mjs';

const server = process.env.LOREKEEP_URL ?? 'http://127.0.0.1:9621';

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    outDir: 'dist',
    assetsDir: 'assets',
    // The server's content security policy forbids inline scripts and styles; data: URIs would bloat the HTML.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  plugins: [precompress()],
  server: { proxy: Object.fromEntries(['/v1', '/readyz', '/version', '/docs', '/openapi.json'].map((path) => [path, server])) },
  test: { include: ['test/**/*.test.ts'] },
});
