/**
 * The object store: immutable bytes under keys.
 *
 * 1. An object is whole or absent. A put or copy that fails, is aborted or is killed leaves what was there before.
 * 2. Objects do not change in place. A put on an existing key replaces the object; readers of the old one finish on the old one.
 * 3. Size and SHA-256 of an object are recorded with it, in one atomic step, and checked on every whole read. A read that does
 *    not match ends in an error, never in success.
 * 4. Every error is a `CaseboundError`: `object_not_found`, `object_exists`, `object_corrupt`, `object_key_invalid`,
 *    `object_range_invalid`, `object_store_unavailable` (try again), `object_store_full`, `object_store_denied`. Errors of a
 *    body that the caller gave to `put` pass through as they are.
 */
import type { Readable } from 'node:stream';
import type { ObjectKey, ObjectPrefix } from './key.ts';

export { casePrefix, compareKeys, ObjectKey, objectKey, ObjectPrefix, objectPrefix } from './key.ts';

/** What is known of an object without its bytes. */
export interface ObjectInfo {
  readonly key: ObjectKey;
  /** Bytes. */
  readonly size: number;
  /** 64 lower-case hexadecimal digits, of the whole object. */
  readonly sha256: string;
  /** Changes when the object is replaced by other bytes. Opaque; not comparable between stores. */
  readonly etag: string;
  readonly contentType: string;
  /** When the bytes were stored. A copy may keep the time of its source. */
  readonly lastModified: Date;
}

/** One object in a listing. Hash and content type need a `head`. */
export type ListedObject = Pick<ObjectInfo, 'key' | 'size' | 'lastModified'>;

/** What the caller knows of the bytes before they are stored or copied. What is given is checked. */
export interface Expected {
  readonly size?: number;
  readonly sha256?: string;
}

/** Bytes to store: at once, or in chunks of any size. A stream is read to its end or destroyed. */
export type ObjectBody = Uint8Array | AsyncIterable<Uint8Array>;

export interface PutOptions {
  /** A mismatch is `object_corrupt`, and nothing is stored. */
  readonly expected?: Expected;
  /**
   * Create only. When the key exists with equal bytes the put succeeds with `created: false`, so a retry is safe; with
   * other bytes it fails with `object_exists`. Of any number of concurrent puts exactly one creates.
   */
  readonly ifAbsent?: boolean;
  /** Printable ASCII, at most 100 characters. Default `application/octet-stream`. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/** What became of one of several. */
export type Each<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

export interface CopyRequest {
  readonly source: ObjectKey;
  readonly destination: ObjectKey;
  /** As for a single copy. */
  readonly expected?: Expected;
}

export interface CopyOptions {
  /** What the source must be. A mismatch is `object_corrupt`, and nothing is stored. */
  readonly expected?: Expected;
  /** As for a put. */
  readonly ifAbsent?: boolean;
  readonly signal?: AbortSignal;
}

export interface Stored {
  readonly key: ObjectKey;
  readonly size: number;
  readonly sha256: string;
  readonly etag: string;
  /** False when `ifAbsent` was asked for and equal bytes were there. */
  readonly created: boolean;
}

/** Bytes `start` (inclusive) to `end` (exclusive) as in `slice`; `end` defaults to the size. Empty ranges are refused. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

export interface GetOptions {
  readonly range?: ByteRange;
  readonly signal?: AbortSignal;
}

/** An open read. The caller reads `body` to its end or destroys it; either frees the file or connection. */
export interface ObjectReading {
  readonly info: ObjectInfo;
  /** Number of bytes that `body` delivers. */
  readonly length: number;
  /**
   * Ends only after the length, and for a whole read the SHA-256, were found right; else it is destroyed with
   * `object_corrupt` or `object_store_unavailable`. Bytes seen before the end are not verified yet.
   */
  readonly body: Readable;
}

export interface ListOptions {
  /** Only keys after this one: pass the last key of a page to continue, at any later time. */
  readonly after?: ObjectKey;
  /** Objects a page, 1 to 1,000. Default 1,000. */
  readonly pageSize?: number;
  readonly signal?: AbortSignal;
}

/** Result of writing, reading and deleting a small object. */
export interface ProbeReport {
  /** Where the store is: a folder, or endpoint and bucket. */
  readonly address: string;
  readonly writeMs: number;
  readonly readMs: number;
  readonly deleteMs: number;
  /** Free bytes where that can be known. */
  readonly freeBytes?: number;
}

/** What a sweep removed. */
export interface SweepReport {
  /** Unfinished writes of processes that are gone: temporary files or objects. */
  readonly temporary: number;
  /** Multi-part uploads that were neither completed nor aborted. */
  readonly uploads: number;
}

export interface ObjectStore {
  readonly kind: 'filesystem' | 's3';

  /** Stores bytes under a key. Memory: bounded by the adapter (docs/object-store.md), whatever the size. */
  put(key: ObjectKey, body: ObjectBody, options?: PutOptions): Promise<Stored>;

  /** @throws `object_not_found`; `object_range_invalid` when the range is empty or ends after the object. */
  get(key: ObjectKey, options?: GetOptions): Promise<ObjectReading>;

  /** Undefined when there is no such object. */
  head(key: ObjectKey, options?: { readonly signal?: AbortSignal }): Promise<ObjectInfo | undefined>;

  /** Pages of objects whose key starts with the prefix, in byte order of keys. No page is empty. */
  list(prefix: ObjectPrefix, options?: ListOptions): AsyncIterable<readonly ListedObject[]>;

  /** Deletes objects. One that does not exist is success. Any number of keys. */
  delete(keys: ObjectKey | readonly ObjectKey[], options?: { readonly signal?: AbortSignal }): Promise<void>;

  /** Deletes everything under a prefix and returns how many objects that were. Objects put meanwhile may survive. */
  deletePrefix(prefix: ObjectPrefix, options?: { readonly signal?: AbortSignal }): Promise<number>;

  /**
   * Copies inside the store, without the bytes passing through this process where the store can do that. The copy keeps content
   * type, size and SHA-256, which are checked against `expected` and the source.
   */
  copy(source: ObjectKey, destination: ObjectKey, options?: CopyOptions): Promise<Stored>;

  /**
   * Many calls of `copy`, `head` or `get` in one, answered in the order of what was asked; one that fails fails alone. For small objects by the
   * thousand, where what a single call costs beside its work is most of it. They reject only when the signal aborts.
   */
  copyAll(requests: readonly CopyRequest[], options?: Omit<CopyOptions, 'expected'>): Promise<readonly Each<Stored>[]>;
  headAll(
    keys: readonly ObjectKey[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly Each<ObjectInfo | undefined>[]>;
  /** Whole objects in memory. One that has more than `maxBytes` is `object_corrupt`. */
  readAll(
    keys: readonly ObjectKey[],
    options: { readonly maxBytes: number; readonly signal?: AbortSignal },
  ): Promise<readonly Each<Uint8Array>[]>;

  /**
   * Resolves when every put, copy and delete that was finished before survives a loss of power. Instant unless the file system adapter
   * runs with `fsync: batch`. Call it before committing a transaction that points at objects.
   */
  flush(): Promise<void>;

  /** Writes, reads and deletes a small object, for readiness and `doctor`. */
  probe(options?: { readonly signal?: AbortSignal }): Promise<ProbeReport>;

  /** Removes what dead processes left half-done. Safe at any time, beside any number of live processes. */
  sweep(): Promise<SweepReport>;

  /** Flushes, ends connections. Calls after it fail. */
  close(): Promise<void>;
}
