import { describeObjectStore, type ConformanceTarget } from '../../conformance.ts';
import { s3ObjectStoreConfig } from '../../config.ts';
import { testDependencies } from '../../testing/test-dependencies.ts';
import { startFaultyEndpoint } from '../../testing/faulty-endpoint.ts';
import { openS3ObjectStore } from './s3-object-store.ts';

const openTarget = async (settings: Record<string, unknown>): Promise<ConformanceTarget> => {
  const endpoint = await startFaultyEndpoint();
  const config = s3ObjectStoreConfig.parse({
    kind: 's3',
    bucket: endpoint.bucket,
    endpoint: endpoint.url,
    partBytes: 5 * 1024 * 1024,
    copyPartBytes: 5 * 1024 * 1024,
    ...settings,
  });
  const dependencies = testDependencies();
  const store = await openS3ObjectStore(
    config,
    async () => ({ accessKeyId: 'key', secretAccessKey: 'secret' }),
    dependencies,
  );
  return {
    store,
    leftovers: async () => [
      ...[...endpoint.uploads.values()].map(({ name }) => `upload of ${name}`),
      ...dependencies.warnings,
    ],
    dispose: async () => {
      await store.close();
      await endpoint.stop();
    },
  };
};

const options = {
  largeBytes: 5 * 1024 * 1024 + 70_001,
  propertyRuns: 25,
  abandonedReads: 60,
  creators: 150,
  manyObjects: 1_203,
};

describeObjectStore('S3, conditional writes', () => openTarget({}), options);
describeObjectStore(
  'S3, key prefix, check then write',
  () => openTarget({ keyPrefix: 'shared/here/', conditionalWrites: 'check-then-write' }),
  {
    ...options,
    propertyRuns: 10,
    abandonedReads: 5,
    manyObjects: 120,
  },
);
