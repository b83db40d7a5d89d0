/**
 * A process that puts documents into an index: `node put-process.ts ROOT FIRST CALLS`. Call number n, counted from FIRST, puts 40 exhibits with the
 * word `calln`; a line says `begin n` and `done n`.
 */
import { createHash } from 'node:crypto';
import { CaseId } from '@casebound/contract';
import { searchIndexConfigSchema } from '../config.ts';
import { createSearchIndex } from '../create-search-index.ts';

const [root = '', first = '0', calls = '1'] = process.argv.slice(2);
const perCall = 40;
const index = await createSearchIndex(searchIndexConfigSchema.parse(undefined), { defaultRoot: root });
for (let call = Number(first); call < Number(first) + Number(calls); call += 1) {
  process.stdout.write(`begin ${call}\n`);
  await index.put(
    CaseId.parse(1),
    Array.from({ length: perCall }, (_, at) => {
      const text = `call${call} ${'some more words '.repeat(200)}`;
      return {
        exhibitId: call * perCall + at + 1,
        batchId: call + 1,
        controlNumber: `ACME${call}-${at}`,
        fields: { call, kind: `Kind ${at % 3}` },
        pages: [{ position: 1, text, sha256: createHash('sha256').update(text).digest('hex') }],
      };
    }),
  );
  process.stdout.write(`done ${call}\n`);
}
await index.close();
