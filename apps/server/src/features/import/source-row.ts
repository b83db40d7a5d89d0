/** What one row of a load file, or one item of loose files, brings: the same form for every kind of source. */
import type { JsonValue } from '@casebound/records';
import type { Readable } from 'node:stream';
import type { FieldValues } from '../fields/index.ts';
import type { RowProblem } from './import-problem.ts';

/** A file of a row. `open` may be called once or more, until the next row is asked for where the source is `sequential`. */
export interface RowFile {
  /** As the source names it, for people. */
  readonly name: string;
  readonly path: string;
  open(): Promise<Readable>;
}

export interface RowHashes {
  readonly md5: string | null;
  readonly sha1: string | null;
  readonly sha256: string | null;
}

export interface RowPage {
  /** Bates number, or page id of an image list. */
  readonly pageId: string | null;
  readonly image: RowFile | null;
}

export interface RowLabel {
  readonly category: string;
  readonly name: string;
}

/** What the row says of its place in the whole, for staging. Empty texts are null. */
export interface RowKeys {
  readonly row: number;
  readonly line: number | null;
  readonly path: string | null;
  readonly controlNumber: string | null;
  readonly parentKey: string | null;
  readonly familyKey: string | null;
  readonly hashes: RowHashes;
  /** What its file is by size and time, where its content was read to decide about duplicates. */
  readonly mark?: string;
  readonly custodian: string | null;
  /** What the row of an overlay is matched by. */
  readonly matchKey: string | null;
  readonly rejected: boolean;
}

/** Members that the row leaves empty: an overlay that replaces takes their values away. */
export interface EmptiedMembers {
  readonly document: readonly string[];
  readonly exhibit: readonly string[];
  /** Titles of custom fields. */
  readonly values: readonly string[];
}

export interface SourceRow extends RowKeys {
  /** Members of a Document and of an Exhibit of the case model, without references and collections. */
  readonly document: Readonly<Record<string, JsonValue>>;
  readonly exhibit: Readonly<Record<string, JsonValue>>;
  /** Values of custom fields: an object for a row that is laid over others, else the text of its JSON, empty for none. */
  readonly values: FieldValues | string;
  readonly emptied: EmptiedMembers;
  readonly custodians: readonly string[];
  readonly labels: readonly RowLabel[];
  /** Paths with `/`. */
  readonly folders: readonly string[];
  readonly confidentiality: readonly string[];
  readonly native: RowFile | null;
  readonly text: RowFile | null;
  /** Text that stands in the row itself, or was extracted from it; by page. */
  readonly pageTexts: readonly string[] | null;
  readonly pages: readonly RowPage[];
  /** Annotations in Instant JSON. */
  readonly annotations: RowFile | null;
  /** File that the row stands in; null where `path` says it. */
  readonly listedIn: string | null;
  readonly problems: readonly RowProblem[];
}

/** A source, read twice: once for its keys, once for everything. Both readings number the rows alike. */
export interface RowSource {
  /** Files of a row can only be opened until the next row is asked for. */
  readonly sequential: boolean;
  /** Reads everything about the whole that staging needs. Problems of the file go to `onProblem`. */
  keys(onProblem: (found: RowProblem) => void): AsyncIterable<readonly RowKeys[]>;
  /** Page images by document, where the source has an image list. */
  pages(onProblem: (found: RowProblem) => void): AsyncIterable<readonly StagedPage[]>;
  /** Rows after `after`, in order; rejected ones included. */
  rows(after: number): AsyncIterable<SourceRow>;
  /** A file that an image list names. */
  imageFile(path: string): Promise<RowFile | { readonly refused: string; readonly code: string }>;
  /** The image list, for what is wrong in it. */
  readonly imageList: string | null;
  /** A document that only the image list names: its text is the `.txt` beside its first image. */
  imageRow(document: ImageDocument): Promise<SourceRow>;
  /** Files below the root that nothing names, as problems. Called after `keys` (unless they were read ahead) and `pages`. */
  unreferenced(): AsyncIterable<RowProblem>;
  close(): Promise<void>;
}

export interface ImageDocument {
  readonly row: number;
  readonly line: number | null;
  readonly docKey: string;
  /** Its first page, else its original. */
  readonly firstImage: string;
}

/** Position of the original file of a document, which some image lists name; pages are counted from 1. */
export const originalPosition = 0;

export interface StagedPage {
  readonly docKey: string;
  readonly position: number;
  readonly pageId: string;
  readonly path: string;
  readonly line: number;
}
