/**
 * What S3 keeps with an object: user metadata that is stored with the bytes in one atomic step.
 *
 * - `casebound-sha256` and `casebound-size` are what the writer had, not what the endpoint says; a difference is damage.
 * - `casebound-write` names the write, so that a writer whose answer was lost recognises its own object.
 */
import { HeadBucketCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { CaseboundError } from '@casebound/contract';
import type { ObjectInfo, ObjectKey } from '../../Port.ts';
import { aborting, bucketKey, type S3Connection } from './s3-client.ts';
import { isMissing, isStatus } from './s3-errors.ts';

export interface WriteRecord {
  readonly size: number;
  readonly sha256: string;
  readonly contentType: string;
  readonly writeId: string;
}

export interface S3ObjectInfo extends ObjectInfo {
  readonly writeId: string | undefined;
}

export const toMetadata = ({ size, sha256, writeId }: WriteRecord): Record<string, string> => ({
  'casebound-sha256': sha256,
  'casebound-size': String(size),
  'casebound-write': writeId,
});

interface Answer {
  readonly ETag?: string | undefined;
  readonly ContentType?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly Metadata?: Record<string, string> | undefined;
}

/**
 * @param wholeSize size of the whole object as the endpoint says it; undefined when it does not say.
 * @throws `object_corrupt` when the metadata is missing or says another size.
 */
export const parseAnswer = (key: ObjectKey, answer: Answer, wholeSize: number | undefined): S3ObjectInfo => {
  const sha256 = answer.Metadata?.['casebound-sha256'];
  const sizeText = answer.Metadata?.['casebound-size'];
  if (
    sha256 === undefined ||
    !/^[0-9a-f]{64}$/.test(sha256) ||
    sizeText === undefined ||
    !/^\d{1,16}$/.test(sizeText)
  ) {
    throw new CaseboundError(
      'object_corrupt',
      `The object ${key} carries no size and SHA-256: it was not written by Casebound, or the endpoint dropped its metadata.`,
    );
  }
  const size = Number(sizeText);
  if (wholeSize !== undefined && wholeSize !== size) {
    throw new CaseboundError(
      'object_corrupt',
      `The object ${key} has ${wholeSize} bytes in the store, but was written with ${size}.`,
    );
  }
  return {
    key,
    size,
    sha256,
    etag: answer.ETag ?? sha256,
    contentType: answer.ContentType ?? 'application/octet-stream',
    lastModified: answer.LastModified ?? new Date(0),
    writeId: answer.Metadata?.['casebound-write'],
  };
};

/** The answer to a HEAD has no body to say what is missing, so a bucket that was never seen is asked for. */
export const createHead = (
  connection: S3Connection,
): ((key: ObjectKey, signal?: AbortSignal) => Promise<S3ObjectInfo | undefined>) => {
  const { bucket } = connection.config;
  let bucketSeen = false;
  const checkBucket = async (): Promise<void> => {
    try {
      await connection.sendRaw((client) => client.send(new HeadBucketCommand({ Bucket: bucket })));
    } catch (error) {
      if (isStatus(error, 404)) {
        throw new CaseboundError(
          'object_store_denied',
          `The bucket does not exist at ${connection.address}. Create it, or correct objectStore.bucket.`,
        );
      }
      // Many policies allow objects but not this; then the 404 was about the object.
      if (!isStatus(error, 403, 400)) throw connection.classify(error, 'look for its bucket');
    }
    bucketSeen = true;
  };
  return async (key, signal) => {
    try {
      const answer = await connection.sendRaw((client) =>
        client.send(
          new HeadObjectCommand({ Bucket: bucket, Key: bucketKey(connection.config, key) }),
          aborting(signal),
        ),
      );
      bucketSeen = true;
      return parseAnswer(key, answer, answer.ContentLength);
    } catch (error) {
      if (error instanceof CaseboundError) throw error;
      if (!isMissing(error)) throw connection.classify(error, `read ${key}`);
      if (!bucketSeen) await checkBucket();
      return undefined;
    }
  };
};
