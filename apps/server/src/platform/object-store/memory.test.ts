/** Memory of a put and a get of 200 MB, measured in a process of its own. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startFauxqs } from 'fauxqs';
import { describe, expect, it } from 'vitest';

const mebibyte = 1024 * 1024;

const growth = async (config: Record<string, unknown>, knowledge: string): Promise<number> => {
  const script = join(import.meta.dirname, 'testing/memory-process.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(config), knowledge]);
  return Number(stdout) / mebibyte;
};

describe('memory of an object store', () => {
  it('stays under 96 MiB for files, garbage that is not collected yet included', async () => {
    const root = await mkdtemp(join(tmpdir(), 'casebound-object-memory-'));
    try {
      expect(await growth({ kind: 'filesystem', root, fsync: 'never' }, 'unknown')).toBeLessThan(96);
    } finally {
      await rm(root, { recursive: true });
    }
  });

  it('stays under its parts plus 96 MiB for S3', async () => {
    const endpoint = await startFauxqs({ port: 0, host: '127.0.0.1', logger: false });
    endpoint.createBucket('casebound');
    const parts = { partBytes: 5 * mebibyte, partConcurrency: 3 };
    try {
      const config = {
        kind: 's3',
        bucket: 'casebound',
        endpoint: endpoint.address,
        accessKeyId: 'a',
        secretAccessKey: 'b',
      };
      expect(await growth({ ...config, ...parts }, 'unknown')).toBeLessThan((3 + 1) * 5 + 96);
    } finally {
      await endpoint.stop();
    }
  });
});
