/** What the file system adapter and its thread say to each other. */
import type { Expected, ObjectKey } from '../../Port.ts';
import type { ObjectRecord } from './object-record.ts';

export interface BulkStart {
  /** Real path of the store. */
  readonly root: string;
  readonly isFlat: boolean;
}

export interface BulkObject {
  readonly key: ObjectKey;
  /** Of a copy. */
  readonly to?: ObjectKey;
  readonly expected?: Expected;
}

export interface BulkRequest {
  readonly id: number;
  readonly name: 'head' | 'read' | 'copy';
  readonly objects: readonly BulkObject[];
  /** Of a read. */
  readonly maxBytes?: number;
}

export interface BulkAnswer {
  readonly record: ObjectRecord;
  readonly mtimeMs: number;
  readonly content?: Uint8Array;
}

export interface BulkAnswers {
  readonly id: number;
  /** In the order of the objects; undefined for one that the thread could not deal with. */
  readonly answers: readonly (BulkAnswer | undefined)[];
}
