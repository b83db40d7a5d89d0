/**
 * A process of its own for tests: opens a store and does one thing in it. It prints `code` of the error, or `done`.
 *
 * Arguments: folder, what to do, and the crash point at which the process kills itself (or `none`).
 */
import { objectKey } from '../Port.ts';
import { CaseboundError } from '@casebound/contract';
import { createObjectStore } from '../create-object-store.ts';
import { filesystemObjectStoreConfig } from '../config.ts';
import { testDependencies } from './test-dependencies.ts';

const [, , root = '', action = '', crashAt = ''] = process.argv;

async function* stall(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(1_000_000, 'n');
  process.stdout.write('stalled\n');
  await new Promise((resolve) => setTimeout(resolve, 60_000));
}

const run = async (): Promise<void> => {
  const dependencies = testDependencies({
    crashPoint: (name) => {
      if (name === crashAt) process.kill(process.pid, 'SIGKILL');
    },
  });
  const config = filesystemObjectStoreConfig.parse({ kind: 'filesystem', root, fsync: 'never' });
  const store = await createObjectStore(config, { ...dependencies, defaultRoot: root });
  const key = objectKey('case_1/a');
  switch (action) {
    case 'replace':
      await store.put(key, Buffer.from('new'));
      break;
    case 'create':
      await store.put(objectKey('case_1/b'), Buffer.from('new'), { ifAbsent: true });
      break;
    case 'copy':
      await store.copy(key, objectKey('case_1/copy'));
      break;
    case 'stall':
      await store.put(key, stall());
      break;
    case 'many':
      await Promise.all(Array.from({ length: 500 }, (_, i) => store.put(objectKey(`case_2/${i}`), Buffer.from('x'))));
      break;
  }
  await store.close();
};

run().then(
  () => process.stdout.write('done\n'),
  (error: unknown) =>
    process.stdout.write(`${error instanceof CaseboundError ? `${error.code} ${error.message}` : String(error)}\n`),
);
