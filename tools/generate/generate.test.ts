import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { errorTable, operations } from '@casebound/contract';
import { describe, expect, it } from 'vitest';
import { artefacts } from './artefacts.ts';
import { findStale } from './find-stale.ts';

const root = path.resolve(import.meta.dirname, '../..');
const committed = async (file: string): Promise<string> => readFile(path.join(root, file), 'utf8');

describe('committed artefacts', () => {
  it('are fresh; `npm run generate` makes them so', async () => {
    const stale = await findStale(artefacts, committed);
    expect(stale.map(({ path: file }) => file)).toEqual([]);
  });

  it('that differ or are missing are found', async () => {
    const entries = [
      { path: 'same', render: () => 'a\nb\n' },
      { path: 'changed', render: async () => 'new' },
      { path: 'missing', render: () => 'x' },
    ];
    const files = new Map([
      ['same', 'a\r\nb\r\n'],
      ['changed', 'old'],
    ]);
    expect(await findStale(entries, async (file) => files.get(file))).toEqual([
      { path: 'changed', text: 'new' },
      { path: 'missing', text: 'x' },
    ]);
  });

  it('name every operation and every error', async () => {
    const api: unknown = JSON.parse(await committed('openapi.json'));
    const ids = [...JSON.stringify(api).matchAll(/"operationId":"(\w+)"/g)].map((match) => match[1] ?? '');
    expect(ids.toSorted()).toEqual(Object.keys(operations).toSorted());
    const errors = await committed('docs/errors.md');
    expect(Object.keys(errorTable).filter((code) => !errors.includes(`\`${code}\``))).toEqual([]);
  });
});
