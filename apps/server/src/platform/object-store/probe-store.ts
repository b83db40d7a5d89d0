/** The health probe of both adapters: a small object goes in, comes back equal and goes away. */
import { randomUUID } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';
import { collectBytes } from './read-bytes.ts';
import { objectKey, objectPrefix, type ObjectStore, type ProbeReport } from './Port.ts';

/** Where probes live. One that was killed half-way is removed by the next sweep. */
export const probePrefix = objectPrefix('casebound-probe/');

type Probed = Pick<ObjectStore, 'put' | 'get' | 'delete'>;

/** @throws what put, get and delete throw; `object_corrupt` when the bytes come back changed. */
export const probeStore = async (
  store: Probed,
  monotonicMs: () => number,
  signal: AbortSignal | undefined,
): Promise<Pick<ProbeReport, 'writeMs' | 'readMs' | 'deleteMs'>> => {
  const options = signal === undefined ? {} : { signal };
  const key = objectKey(`${probePrefix}${randomUUID()}`);
  const bytes = Buffer.from(`probe ${key}`);
  const started = monotonicMs();
  await store.put(key, bytes, { ...options, contentType: 'text/plain' });
  const written = monotonicMs();
  try {
    const back = await collectBytes(await store.get(key, options), bytes.byteLength);
    if (!back.equals(bytes)) {
      throw new CaseboundError('object_corrupt', `The probe object ${key} came back with other bytes than were put.`);
    }
  } catch (error) {
    await store.delete(key).catch(() => {});
    throw error;
  }
  const read = monotonicMs();
  await store.delete(key, options);
  const deleted = monotonicMs();
  return { writeMs: written - started, readMs: read - written, deleteMs: deleted - read };
};
