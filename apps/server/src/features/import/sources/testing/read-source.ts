/** Reads a source whole, in a process of its own: `node read-source.ts PATH` prints how much memory that took at most. */
import { extractText } from '../../text/extract-text.ts';
import { expandEntry } from '../expand-entry.ts';
import { digestBytes } from '../hash-bytes.ts';
import { openImportRoot } from '../open-import-root.ts';

const [place = ''] = process.argv.slice(2);
await using root = await openImportRoot(place, { limits: { maxTextChars: 1_000_000 } });
let items = 0;
let bytes = 0;
for await (const entry of root.list()) {
  for await (const found of expandEntry(root, entry)) {
    if (found.type === 'problem') throw new Error(found.problem.reason);
    items++;
    bytes += (await digestBytes(await found.open())).size;
    await extractText(found, root.workspace);
  }
}
process.stdout.write(JSON.stringify({ items, bytes, peakMegabytes: process.resourceUsage().maxRSS / 1024 }));
