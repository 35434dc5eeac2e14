// Writes a .br and a .gz beside every built text file, so that the server sends them as they are.
// Both formats are produced without time stamps: the same source gives the same bytes.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const TEXT = /\.(js|css|html|svg|json|txt)$/;

/** Every file under `folder`. */
export function filesUnder(folder) {
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesUnder(path) : [path]));
}

function compress(path) {
  const bytes = readFileSync(path);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
  const gzip = gzipSync(bytes, { level: 9 });
  gzip[9] = 255; // The header's operating system byte: "unknown", so that every machine writes the same.
  writeFileSync(`${path}.gz`, gzip);
}

/** The Vite plugin. */
export function precompress() {
  let folder = 'dist';
  return {
    name: 'lorekeep-precompress',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    closeBundle() {
      filesUnder(folder).filter((path) => TEXT.test(path)).forEach(compress);
    },
  };
}
