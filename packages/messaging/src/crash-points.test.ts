import { glob, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { crashPointNames } from './crash-points.ts';

test('the list of crash points has exactly those of the source, each once', async () => {
  const used: string[] = [];
  for await (const file of glob('**/*.ts', { cwd: import.meta.dirname })) {
    if (file.endsWith('.test.ts')) continue;
    const text = await readFile(path.join(import.meta.dirname, file), 'utf8');
    for (const [, name = ''] of text.matchAll(/\bcrashPoint\(\s*'([^']+)'\s*\)/g)) used.push(name);
  }
  expect(used.toSorted()).toEqual([...crashPointNames].toSorted());
});
