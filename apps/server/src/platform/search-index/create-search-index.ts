/** The one place that knows which adapter a configuration asks for. */
import type { SearchIndexConfig } from './config.ts';
import { openSqliteSearchIndex } from './adapters/sqlite/sqlite-search-index.ts';
import type { SearchIndex } from './Port.ts';

export const createSearchIndex = async (
  config: SearchIndexConfig,
  { defaultRoot }: { readonly defaultRoot: string },
): Promise<SearchIndex> =>
  openSqliteSearchIndex({
    root: config.root ?? defaultRoot,
    openFiles: config.openFiles,
    busyTimeoutMs: config.busyTimeoutMs,
  });
