/** What one may ask of a sample, checked; and what one is told about it. */
import { CaseboundError } from '@casebound/contract';
import type { AnnotationCounts } from './annotate-pages.ts';

export interface SampleProgress {
  readonly documents: number;
  readonly total: number;
  readonly seconds: number;
}

export interface SampleOptions {
  /** Documents, attachments included; up to 100 million. */
  readonly documents: number;
  /** Custom fields; 14 by default, at most 10,000. */
  readonly fields?: number;
  /** The same seed gives the same bytes; `1` by default. */
  readonly seed?: string;
  /** Letters before the numbers of pages; `MH` by default. */
  readonly prefix?: string;
  /** What real productions get wrong, a file each, listed in TRUTH.jsonl. By default from 50 documents on. */
  readonly flaws?: boolean;
  /** Messages with their attachments as files and as one mailbox, instead of a production. */
  readonly mailOnly?: boolean;
  /** The load file alone, without files. */
  readonly loadFileOnly?: boolean;
  /** Everything in one zip. */
  readonly zip?: boolean;
  /** Replace a sample that is in the folder already. */
  readonly force?: boolean;
  readonly onProgress?: (progress: SampleProgress) => void;
  readonly signal?: AbortSignal;
}

export interface SampleSummary {
  readonly folder: string;
  readonly seed: string;
  readonly documents: number;
  readonly families: number;
  readonly duplicates: number;
  readonly pages: number;
  readonly files: number;
  readonly bytes: number;
  readonly fields: number;
  readonly custodians: number;
  readonly documentsByKind: Readonly<Record<string, number>>;
  readonly annotations: AnnotationCounts;
  readonly redactedDocuments: number;
  readonly flaws: readonly string[];
  /** What to give to an import, relative to the folder. */
  readonly loadFile: string | undefined;
  readonly imageList: string | undefined;
  readonly truth: string;
  readonly seconds: number;
}

const MAX_DOCUMENTS = 100_000_000;
const MAX_FIELDS = 10_000;
const FLAWS_FROM = 50;

export interface CheckedOptions {
  readonly documents: number;
  readonly fields: number;
  readonly seed: string;
  readonly prefix: string;
  readonly flaws: boolean;
  readonly mailOnly: boolean;
  readonly loadFileOnly: boolean;
  readonly zip: boolean;
  readonly force: boolean;
}

const within = (what: string, value: number, least: number, most: number): number => {
  if (!Number.isSafeInteger(value) || value < least || value > most)
    throw new CaseboundError(
      'validation_failed',
      `The number of ${what} is a whole number from ${least} to ${most}; this is ${value}.`,
    );
  return value;
};

/** Fills in what is left out. @throws CaseboundError `validation_failed` */
export const checkOptions = (options: SampleOptions): CheckedOptions => {
  const {
    mailOnly = false,
    loadFileOnly = false,
    flaws,
    zip = false,
    force = false,
    seed = '1',
    prefix = 'MH',
  } = options;
  const documents = within('documents', options.documents, 1, MAX_DOCUMENTS);
  const hasFiles = !mailOnly && !loadFileOnly;
  if (mailOnly && loadFileOnly)
    throw new CaseboundError('validation_failed', 'A sample of mail has no load file; choose one of the two.');
  if (flaws === true && !hasFiles)
    throw new CaseboundError('validation_failed', 'Flaws are of the files of a production; this sample has none.');
  if (!/^[A-Z](?:[A-Z0-9_-]{0,18}[A-Z_-])?$/u.test(prefix))
    throw new CaseboundError(
      'validation_failed',
      `The prefix of numbers is up to 20 capitals, digits, hyphens and underscores, the first a capital, the last no digit; this is \`${prefix}\`.`,
    );
  return {
    documents,
    fields: within('custom fields', options.fields ?? 14, 0, MAX_FIELDS),
    seed,
    prefix,
    flaws: hasFiles && (flaws ?? documents >= FLAWS_FROM),
    mailOnly,
    loadFileOnly,
    zip,
    force,
  };
};
