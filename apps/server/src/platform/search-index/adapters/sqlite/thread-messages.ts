/** What the index and its threads say to each other. */
import type { CaseId, ErrorCode } from '@casebound/contract';
import type { FieldValue, IndexDocument, IndexedDigest, IndexQuery } from '../../Port.ts';
import type { IndexFilesOptions } from './index-files.ts';
import { IndexError } from './index-error.ts';

/** Given to a thread at its start. */
export type IndexStart = IndexFilesOptions;

/**
 * A document on its way: fields as a list of names, each followed by its value. Documents have fields of their own, and an object of another shape
 * for each one takes three times as long to be received.
 */
export interface SentDocument extends Omit<IndexDocument, 'fields'> {
  readonly fields: readonly FieldValue[];
}

/** The calls, by name. All throw `search_index_unavailable`. */
export interface IndexCalls {
  /** A part of a put; nothing is done before the last one. */
  put: {
    readonly input: { readonly documents: readonly SentDocument[]; readonly isLast: boolean };
    readonly output: void;
  };
  remove: { readonly input: { readonly exhibitIds: readonly number[] }; readonly output: void };
  removeBatch: { readonly input: { readonly batchId: number }; readonly output: number };
  search: {
    readonly input: { readonly query: IndexQuery; readonly after: number; readonly limit: number };
    readonly output: readonly number[];
  };
  digests: { readonly input: { readonly exhibitIds: readonly number[] }; readonly output: readonly IndexedDigest[] };
  count: { readonly input: object; readonly output: number };
  /** Closes the file of a case. */
  shut: { readonly input: object; readonly output: void };
  drop: { readonly input: object; readonly output: void };
}

export type IndexCallName = keyof IndexCalls;

export type IndexRequest =
  | {
      readonly [Name in IndexCallName]: {
        readonly id: number;
        readonly name: Name;
        readonly caseId: CaseId;
        readonly input: IndexCalls[Name]['input'];
      };
    }[IndexCallName]
  /** Closes all files; the thread ends after it. */
  | { readonly name: 'close' };

/** An error of the taxonomy on its way between threads; classes do not survive it. */
export interface SentError {
  readonly code: ErrorCode;
  readonly detail: string;
  /** Of SQLite. */
  readonly cause: string | undefined;
}

export type IndexAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: SentError };

export const sendError = (error: unknown): SentError => {
  if (!(error instanceof IndexError))
    return { code: 'search_index_unavailable', detail: 'The thread of the search index failed.', cause: String(error) };
  const { cause } = error;
  return { code: error.code, detail: error.message, cause: cause instanceof Error ? cause.message : undefined };
};
