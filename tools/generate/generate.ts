/**
 * `npm run generate` writes the committed artefacts; with `--check` it writes nothing and exits with 1 when one is stale,
 * naming it.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { artefacts } from './artefacts.ts';
import { findStale } from './find-stale.ts';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const read = async (file: string): Promise<string | undefined> =>
  readFile(path.join(root, file), 'utf8').catch(() => undefined);

const stale = await findStale(artefacts, read);
if (process.argv.includes('--check')) {
  for (const { path: file } of stale) console.error(`${file} is stale; run \`npm run generate\`.`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  for (const { path: file, text } of stale) {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), text);
    console.log(`wrote ${file}`);
  }
}
