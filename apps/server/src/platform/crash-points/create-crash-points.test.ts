import { glob, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder, spawnScript } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import { createCrashPoints } from './create-crash-points.ts';
import { crashPointNames } from './Port.ts';

const sources = [
  path.resolve(import.meta.dirname, '../..'),
  path.resolve(import.meta.dirname, '../../../../../packages/messaging/src'),
];

describe('createCrashPoints', () => {
  it('does nothing unless asked', () => {
    const crashPoint = createCrashPoints({});
    expect(crashPointNames.map((name) => crashPoint(name))).toEqual(crashPointNames.map(() => undefined));
  });

  it('refuses a name that is no crash point', () => {
    expect(() => createCrashPoints({ CASEBOUND_CRASH_AT: 'case.create.typo' })).toThrow(/no crash point/);
  });

  it('kills the process at the named point, not at another', async () => {
    await using folder = await createTemporaryFolder();
    const script = path.join(folder.path, 'crash.ts');
    await writeFile(
      script,
      `import { createCrashPoints } from ${JSON.stringify(path.join(import.meta.dirname, 'create-crash-points.ts'))};
       const crashPoint = createCrashPoints(process.env);
       crashPoint('case.create.provisioned');
       console.log('passed the first');
       crashPoint('case.create.committed');
       console.log('passed the second');`,
    );
    const end = await spawnScript(script, { env: { CASEBOUND_CRASH_AT: 'case.create.committed' } }).ended;
    expect(end.signal).toBe('SIGKILL');
    expect(end.stdout).toBe('passed the first\n');
  });

  it('lists exactly the points that the source has', async () => {
    const used = new Set<string>();
    for (const source of sources) {
      for await (const file of glob('**/*.ts', { cwd: source })) {
        if (file.endsWith('.test.ts')) continue;
        const text = await readFile(path.join(source, file), 'utf8');
        for (const [, name = ''] of text.matchAll(/\bcrashPoint(?:\?\.)?\(\s*'([^']+)'\s*\)/g)) used.add(name);
      }
    }
    expect([...used].toSorted()).toEqual([...crashPointNames].toSorted());
  });
});
