/** The one place that knows which adapter a configuration asks for. The AWS SDK is loaded only when it is asked for. */
import { CaseboundError } from '@casebound/contract';
import { openFilesystemObjectStore } from './adapters/filesystem/filesystem-object-store.ts';
import type { ObjectStoreConfig } from './config.ts';
import type { ObjectStoreDependencies, S3Credentials } from './dependencies.ts';
import type { ObjectStore } from './Port.ts';

export interface CreateObjectStoreOptions extends ObjectStoreDependencies {
  /** Folder for a file system store whose configuration names none: `<data>/objects`. */
  readonly defaultRoot: string;
  /** Resolves the references of the configuration. Called again every few seconds of use, so that a rotated key takes effect. */
  readonly s3Credentials?: () => Promise<S3Credentials>;
}

/**
 * Opens the store. The caller closes it. In a folder, what dead processes left is removed at once; in a bucket that is a matter of
 * requests and of days, so somebody has to call `sweep()` now and then.
 * @throws `object_store_denied`, `object_store_full`, `object_store_unavailable`; `config_invalid` when the configuration names access
 * keys and the caller gave nothing to resolve them.
 */
export const createObjectStore = async (
  config: ObjectStoreConfig,
  { defaultRoot, s3Credentials, ...dependencies }: CreateObjectStoreOptions,
): Promise<ObjectStore> => {
  switch (config.kind) {
    case 'filesystem': {
      const store = await openFilesystemObjectStore({ ...config, root: config.root ?? defaultRoot }, dependencies);
      await store.sweep();
      return store;
    }
    case 's3': {
      if (config.accessKeyId !== undefined && s3Credentials === undefined) {
        throw new CaseboundError(
          'config_invalid',
          'objectStore.accessKeyId is set, but this process has no way to resolve it.',
        );
      }
      const { openS3ObjectStore } = await import('./adapters/s3/s3-object-store.ts');
      return openS3ObjectStore(config, config.accessKeyId === undefined ? undefined : s3Credentials, dependencies);
    }
  }
};
