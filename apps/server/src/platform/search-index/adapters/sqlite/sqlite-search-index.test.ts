import { createTemporaryFolder } from '@casebound/test-kit';
import { searchIndexConformance } from '../../conformance.ts';
import { openSqliteSearchIndex } from './sqlite-search-index.ts';

searchIndexConformance(async () => {
  const folder = await createTemporaryFolder();
  const index = await openSqliteSearchIndex({ root: folder.path, openFiles: 1, busyTimeoutMs: 1_000 });
  return {
    index,
    close: async () => {
      await index.close();
      await folder[Symbol.asyncDispose]();
    },
  };
});
