/**
 * The search index of cases: a projection of records, field values and page text, which can be made anew from them at any time.
 *
 * 1. An exhibit has one index document. Putting it again replaces all of the old one, its pages too, in one step.
 * 2. Indexes of cases are apart: what one case holds is neither found nor counted in another.
 * 3. A search gives ids of exhibits in ascending order, in pages; what it finds is what had been put when it began.
 * 4. A put that resolved outlives the process, and a loss of power.
 * 5. Errors: `search_query_invalid`, `search_index_unavailable`; after the latter the same call may be made again.
 */
import type { CaseId } from '@casebound/contract';

export type FieldValue = string | number | readonly string[];

export interface IndexPage {
  /** 1-based. */
  readonly position: number;
  readonly text: string;
  /** 64 lower-case hexadecimal digits, of the text in UTF-8; kept so that a proof can compare without the text. */
  readonly sha256: string;
}

export interface IndexDocument {
  readonly exhibitId: number;
  readonly batchId: number;
  readonly controlNumber: string;
  /** Core fields and custom fields by name. Dates are ISO 8601. */
  readonly fields: Readonly<Record<string, FieldValue>>;
  readonly pages: readonly IndexPage[];
}

/** Numbers compare with numbers and texts with texts, as they are written, by their UTF-8; a range looks at the first 200 bytes of a text. */
export interface IndexFilter {
  readonly field: string;
  /** A text also finds the number that it writes. */
  readonly equals?: string | number | undefined;
  /** Inclusive. */
  readonly from?: string | number | undefined;
  readonly to?: string | number | undefined;
}

export interface IndexQuery {
  /** Words that must all occur in the exhibit, whatever their letter case; `"a phrase"` stands together on a page. */
  readonly text?: string | undefined;
  readonly filters?: readonly IndexFilter[];
}

/** What is known of an index document without its text. */
export interface IndexedDigest {
  readonly exhibitId: number;
  readonly controlNumber: string;
  readonly pages: readonly { readonly position: number; readonly sha256: string }[];
}

export interface SearchIndex {
  readonly kind: 'sqlite';
  /** Puts documents: all or none of a call. */
  put(caseId: CaseId, documents: readonly IndexDocument[]): Promise<void>;
  /** What is not there is success. */
  remove(caseId: CaseId, exhibitIds: readonly number[]): Promise<void>;
  /** Removes all documents of a batch; how many that were. */
  removeBatch(caseId: CaseId, batchId: number): Promise<number>;
  /** Ids after `after`, at most `limit`. */
  search(
    caseId: CaseId,
    query: IndexQuery,
    page: { readonly after?: number; readonly limit: number },
  ): Promise<readonly number[]>;
  /** Of those of the exhibits that are in the index. */
  digests(caseId: CaseId, exhibitIds: readonly number[]): Promise<readonly IndexedDigest[]>;
  count(caseId: CaseId): Promise<number>;
  /** Removes the index of a case. Done again, it does nothing. */
  drop(caseId: CaseId): Promise<void>;
  close(): Promise<void>;
}
