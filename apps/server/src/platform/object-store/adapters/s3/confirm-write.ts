/** What puts and copies share: to write as the options ask, and to look at what was written. */
import { CaseboundError } from '@casebound/contract';
import type { ObjectKey } from '../../Port.ts';
import type { ConditionalWrites, IfNoneMatch, Written } from './conditional-writes.ts';
import type { S3ObjectInfo, WriteRecord } from './object-metadata.ts';
import type { S3Connection } from './s3-client.ts';

export interface S3Writing {
  readonly connection: S3Connection;
  readonly conditional: ConditionalWrites;
  readonly head: (key: ObjectKey, signal?: AbortSignal) => Promise<S3ObjectInfo | undefined>;
}

/** Writes once, or create-only, as the options ask. */
export const writeAs = async (
  { conditional }: S3Writing,
  key: ObjectKey,
  record: WriteRecord,
  options: { readonly ifAbsent?: boolean; readonly signal?: AbortSignal },
  write: (condition: IfNoneMatch) => Promise<string>,
): Promise<Written> =>
  options.ifAbsent === true
    ? conditional.createOnly(key, record, write, options.signal)
    : { etag: await write({}), created: true };

/** @throws `object_corrupt` when the endpoint holds something else under the key than was written. */
export const checkWritten = async (
  { head, connection }: S3Writing,
  key: ObjectKey,
  record: WriteRecord,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const found = await head(key, signal);
  // Another write may have replaced it since; that one checks for itself.
  if (found === undefined || found.writeId !== record.writeId) return;
  if (found.size === record.size && found.sha256 === record.sha256) return;
  throw new CaseboundError(
    'object_corrupt',
    `${connection.address} stored the object ${key} with other size or hash than it was given.`,
  );
};
