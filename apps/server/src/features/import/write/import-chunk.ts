/**
 * Writes one chunk of rows: records, custom-field segment, page texts, audit, problems and the checkpoint, in one transaction.
 *
 * - The objects are written before the transaction commits, the checkpoint with it: a chunk is there whole or will be written again, with
 *   the same keys.
 * - A row that the record store refuses is a problem of its row; the others are written.
 * - Rows become records that were not there: one that is there was written by somebody else since its number was looked for, and is not
 *   written over.
 */
import { type Actor, CaseboundError, type CaseId } from '@casebound/contract';
import {
  type BulkRow,
  bulkWrite,
  type JsonValue,
  type Model,
  settleAll,
  type StoreContext,
  uuidV5,
} from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import type { ObjectStore } from '../../../platform/object-store/Port.ts';
import { recordChanges } from '../../audit/index.ts';
import { type Fields, hasValues } from '../../fields/index.ts';
import { caseResource } from '../../records/index.ts';
import { insertProblems, problem, type RowProblem } from '../import-problem.ts';
import { insertProcessing } from '../process/processing-store.ts';
import type { SourceRow } from '../source-row.ts';
import type { StagedRow } from '../store.ts';
import { actorName } from './change-exhibits.ts';
import { isPageImage } from './image-type.ts';
import { removeRecords } from './undo-import.ts';
import type { SharedRecords } from './shared-records.ts';
import type { StoredFiles } from './store-files.ts';

/** Names documents; random, fixed for ever. */
const documentNamespace = Buffer.from('6f2a1c1e5d0b4b7e9a550c5b6a6d8f21', 'hex');

/** Key of the document that a row of a job becomes: known before anything is written, the same when the job is resumed. */
export const documentKeyOf = (jobId: string, row: number): string => uuidV5(`${jobId}/${row}`, documentNamespace);

export interface ChunkRow {
  readonly row: SourceRow;
  readonly documentKey: string;
  readonly staged: StagedRow;
  readonly stored: StoredFiles;
}

export interface ChunkContext {
  readonly caseId: CaseId;
  readonly actor: Actor;
  readonly jobId: string;
  readonly batchId: number;
  readonly batchName: string;
  /** ISO instant of the job's start, in every line of its segments. */
  readonly importedAt: string;
  readonly model: Model;
  readonly objects: ObjectStore;
  readonly fields: Fields;
  readonly shared: SharedRecords;
}

export interface ChunkResult {
  readonly imported: number;
  readonly rejected: number;
  /** Rows with a parent that were written without it, or without their root. */
  readonly late: readonly number[];
}

/** Parents before children, else in the order of the source. */
const inFamilyOrder = (rows: readonly ChunkRow[]): readonly ChunkRow[] => {
  const byRow = new Map(rows.map((it) => [it.row.row, it]));
  const placed = new Set<number>();
  const ordered: ChunkRow[] = [];
  const place = (it: ChunkRow, depth: number): void => {
    if (placed.has(it.row.row)) return;
    placed.add(it.row.row);
    const parent = it.staged.parentRow === null ? undefined : byRow.get(it.staged.parentRow);
    if (parent !== undefined && depth < 1_000) place(parent, depth + 1);
    ordered.push(it);
  };
  for (const it of rows) place(it, 0);
  return ordered;
};

type Members = Record<string, JsonValue>;

const documentOf = (it: ChunkRow, rootKey: string | null): Members => {
  const { row, stored, staged } = it;
  const { digests, mime } = stored;
  const document: Members = { ...row.document, documentKey: it.documentKey };
  if (row.native !== null) document['fileName'] ??= row.native.name;
  if (mime !== null) document['mimeType'] = mime;
  if (digests !== null) {
    document['fileSize'] = digests.size;
    document['md5Hash'] = digests.md5;
    document['sha1Hash'] = digests.sha1;
    document['sha256Hash'] = digests.sha256;
  } else {
    if (row.hashes.md5 !== null) document['md5Hash'] = row.hashes.md5;
    if (row.hashes.sha1 !== null) document['sha1Hash'] = row.hashes.sha1;
    if (row.hashes.sha256 !== null) document['sha256Hash'] = row.hashes.sha256;
  }
  if (stored.pages.length > 0) document['pageCount'] ??= stored.pages.length;
  if (rootKey !== null && staged.rootRow !== null) document['familyRootReference'] = { documentKey: rootKey };
  if (stored.variants.length > 0) document['variants'] = [...stored.variants];
  return document;
};

const exhibitOf = (
  it: ChunkRow,
  context: ChunkContext,
  family: { readonly parent: string | null; readonly root: string | null },
): Members => {
  const { row, stored } = it;
  const exhibit: Members = {
    ...row.exhibit,
    controlNumber: row.controlNumber ?? '',
    documentReference: { documentKey: it.documentKey },
    batchReference: { name: context.batchName },
  };
  if (family.parent !== null) exhibit['parentExhibitReference'] = { controlNumber: family.parent };
  if (family.root !== null) exhibit['familyReference'] = { controlNumber: family.root };
  const status = context.shared.statusOf(row.confidentiality);
  if (status !== 0) exhibit['confidentialityStatus'] = status;
  if (row.custodians.length > 0)
    exhibit['custodians'] = row.custodians.map((name, index) =>
      index === 0 ? { custodianReference: { name }, isPrimary: true } : { custodianReference: { name } },
    );
  if (row.labels.length > 0)
    exhibit['labels'] = row.labels.map(({ category, name }) => ({ labelReference: { categoryName: category, name } }));
  if (row.folders.length > 0) exhibit['folders'] = row.folders.map((path) => ({ folderTagReference: { path } }));
  if (stored.pages.length > 0) exhibit['pages'] = [...stored.pages];
  return exhibit;
};

const refusal = (it: ChunkRow, error: CaseboundError): RowProblem => {
  const [first] = error.errors ?? [];
  return problem('error', error.code, first === undefined ? error.message : `${first.path}: ${first.message}`, {
    row: it.row.row,
    line: it.row.line,
    path: it.row.path ?? it.row.listedIn,
    field: first?.path ?? null,
    value: it.row.controlNumber,
    rejected: true,
  });
};

/**
 * Parents that are in the case already, or are written by this chunk before the row; others, among them those of a chunk that is being
 * written at the same time, are linked when all rows are in.
 */
const familyOf = (
  it: ChunkRow,
  written: ReadonlyMap<number, string>,
  committedTo: number,
): { readonly parent: string | null; readonly root: string | null; readonly rootRow: number | null } => {
  const { parentRow, rootRow, parentControl, rootControl } = it.staged;
  const isThere = (row: number | null): boolean => row !== null && (row <= committedTo || written.has(row));
  return {
    parent: isThere(parentRow) ? parentControl : null,
    root: isThere(rootRow) ? rootControl : null,
    rootRow: isThere(rootRow) ? rootRow : null,
  };
};

/** Whoever tries the chunk again finds the number taken. */
const takenNow = (): CaseboundError =>
  new CaseboundError('conflict_retries_exhausted', 'An exhibit got the number of a row while the row was written.', {
    retryAfterSeconds: 1,
  });

const noFamily = { parent: null, root: null, rootRow: null };

const withoutParent = ({ row, staged }: ChunkRow): RowProblem =>
  problem('warning', 'parent_missing', 'The parent of the row was refused; the document is taken as a root.', {
    row: row.row,
    line: row.line,
    path: row.path ?? row.listedIn,
    field: 'parentId',
    value: staged.parentControl,
  });

/** Writes the pending rows of a chunk in the caller's transaction. */
export const importChunk = async (
  tx: Transaction,
  store: StoreContext,
  context: ChunkContext,
  rows: readonly ChunkRow[],
  { chunkStart, committedTo }: { readonly chunkStart: number; readonly committedTo: number },
): Promise<ChunkResult> => {
  const { model } = context;
  const documents = caseResource(model, 'documents');
  const exhibits = caseResource(model, 'exhibits');
  const ordered = inFamilyOrder(rows);
  const problems: RowProblem[] = [];
  const refused = new Map<number, CaseboundError>();
  const ids = new Map<number, number>();
  const late = new Set<number>();
  /** Documents whose exhibit was refused. */
  const orphans: number[] = [];
  /** Writes rows; without their families when `alone`. */
  const write = async (some: readonly ChunkRow[], alone: boolean): Promise<void> => {
    /** Keys of documents by row. */
    const written = new Map<number, string>();
    // Made one by one: a document is not needed any more when its rows are.
    const records = function* (): Generator<BulkRow> {
      for (const it of some) {
        const family = alone ? noFamily : familyOf(it, written, committedTo);
        if (it.staged.parentRow !== null && (family.parent === null || family.root === null)) late.add(it.row.row);
        const { rootRow } = family;
        const rootKey = rootRow === null ? null : (written.get(rootRow) ?? documentKeyOf(context.jobId, rootRow));
        yield { resource: documents, document: documentOf(it, rootKey) };
        yield { resource: exhibits, document: exhibitOf(it, context, family) };
        written.set(it.row.row, it.documentKey);
      }
    };
    const documentIds = new Map<number, number>();
    await bulkWrite(store, records(), {
      chunkSize: Math.max(1, 2 * some.length),
      areNew: true,
      onRow: (outcome) => {
        // Two records a row: its document, then its exhibit.
        const row = some[outcome.index >> 1]?.row.row ?? 0;
        if (outcome.outcome === 'failed') {
          if (!refused.has(row)) refused.set(row, outcome.error);
        } else if (outcome.outcome !== 'created') throw takenNow();
        else if (outcome.index % 2 === 1) ids.set(row, outcome.documentId);
        else documentIds.set(row, outcome.documentId);
      },
    });
    for (const [row, id] of documentIds) if (refused.has(row)) orphans.push(id);
  };
  await write(ordered, false);
  // Who refers to a refused parent is refused with it: such rows are taken once more, as roots.
  const bereft = ordered.filter(
    ({ row, staged }) => refused.get(row.row)?.code === 'unresolved_reference' && staged.parentRow !== null,
  );
  if (orphans.length > 0) await removeRecords(tx, orphans.splice(0));
  if (bereft.length > 0) {
    for (const { row } of bereft) refused.delete(row.row);
    await write(bereft, true);
    if (orphans.length > 0) await removeRecords(tx, orphans);
    for (const it of bereft) if (!refused.has(it.row.row)) problems.push(withoutParent(it));
  }
  for (const it of ordered) {
    const error = refused.get(it.row.row);
    if (error !== undefined) problems.push(refusal(it, error));
  }
  const imported = ordered.filter((it) => ids.has(it.row.row) && !refused.has(it.row.row));
  // The database writes the audit while objects are written.
  await settleAll([
    recordChanges(
      tx,
      { actor: actorName(context.actor), origin: `import ${context.jobId}` },
      'exhibits',
      imported.map((it) => ({
        recordId: ids.get(it.row.row) ?? 0,
        recordKey: it.row.controlNumber ?? '',
        changes: { imported: [null, it.row.controlNumber] },
      })),
    ),
    writeValues(tx, context, imported, ids, chunkStart),
    insertProcessing(
      tx,
      context.jobId,
      imported.flatMap((it) => {
        const exhibitId = ids.get(it.row.row);
        return exhibitId === undefined || !needsProcessing(it.stored)
          ? []
          : [
              {
                exhibitId,
                documentKey: it.documentKey,
                row: it.row.row,
                line: it.row.line,
                hasAnnotations: it.stored.hasAnnotations,
              },
            ];
      }),
    ),
  ]);
  for (const it of rows) problems.push(...it.row.problems, ...it.stored.problems);
  await insertProblems(
    tx,
    context.jobId,
    'importing',
    problems.toSorted((a, b) => (a.row ?? 0) - (b.row ?? 0)),
  );
  return { imported: imported.length, rejected: refused.size, late: [...late] };
};

/** Page images, PDFs, natives that are images, and annotations are looked into once the rows are in. */
export const needsProcessing = ({ variants, mime, digests, hasAnnotations }: StoredFiles): boolean =>
  hasAnnotations ||
  mime === 'application/pdf' ||
  (isPageImage(mime) && digests !== null && digests.size > 0) ||
  variants.some((one) => one['type'] === 'image');

const writeValues = async (
  tx: Transaction,
  context: ChunkContext,
  rows: readonly ChunkRow[],
  ids: ReadonlyMap<number, number>,
  chunkStart: number,
): Promise<void> => {
  const metadata = { importedAt: context.importedAt, batchId: context.batchId };
  const exhibits = rows.flatMap((it) => {
    const exhibitId = ids.get(it.row.row);
    const { values } = it.row;
    if (exhibitId === undefined || !hasValues(values)) return [];
    return [{ exhibitId, values, metadata }];
  });
  if (exhibits.length === 0) return;
  await context.fields.add(tx, {
    caseId: context.caseId,
    name: `${context.jobId}/${chunkStart}`,
    exhibits,
    madeNow: true,
    by: actorName(context.actor),
  });
};
