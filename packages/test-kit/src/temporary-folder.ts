/** A folder that lasts as long as a test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
  remove(): Promise<void>;
}

/** Makes the folder; `await using folder = await createTemporaryFolder()` removes it at the end of the block. */
export async function createTemporaryFolder(): Promise<TemporaryFolder> {
  const folder = await mkdtemp(path.join(tmpdir(), 'casebound-test-'));
  const remove = async (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 3 });
  return { path: folder, remove, [Symbol.asyncDispose]: remove };
}
