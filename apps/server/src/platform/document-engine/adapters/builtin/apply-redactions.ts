/**
 * Applies the redactions of a document for good.
 *
 * - The work is done outside of any transaction, upon the PDF and the redactions as they were read. When either has changed by the time
 *   the result is put in place, the work is done again.
 * - The old PDF is loose with the same commit that makes the new one the document's, and is deleted right after it.
 */
import { type Actor, CaseboundError } from '@casebound/contract';
import { type Redaction, toRedaction } from '@casebound/pdf';
import { listUnderRedactions } from '../../list-under-redactions.ts';
import {
  type AppliedRedactions,
  type EngineDocumentId,
  parseDocumentId,
  type PageSize,
  type StoredAnnotation,
} from '../../Port.ts';
import { deleteAnnotations, listAnnotations } from './annotation-rows.ts';
import type { BuiltinDependencies } from './dependencies.ts';
import {
  claimObjects,
  describeRow,
  type DocumentRow,
  type NewPdf,
  replacePdf,
  requireDocument,
} from './document-rows.ts';
import { newKey, readPdf, sweepLoose } from './pdf-objects.ts';
import { readPageSizes, sha256Of, writeLoose } from './put-document.ts';

const ATTEMPTS = 3;

const redactionsOf = (all: readonly StoredAnnotation[]): readonly Redaction[] =>
  all.flatMap(({ value }) => (value.type === 'pspdfkit/markup/redaction' ? [toRedaction(value)] : []));

/** What the result depends upon: the redactions and their versions. */
const fingerprint = (all: readonly StoredAnnotation[]): string =>
  JSON.stringify(
    all.flatMap(({ value, version }) => (value.type === 'pspdfkit/markup/redaction' ? [[value.id, version]] : [])),
  );

interface Work {
  readonly row: DocumentRow;
  readonly pdf: Uint8Array;
  readonly all: readonly StoredAnnotation[];
}

const read = async (
  dependencies: BuiltinDependencies,
  actor: Actor,
  id: EngineDocumentId,
  signal: AbortSignal | undefined,
): Promise<Work> => {
  const { caseId } = parseDocumentId(id);
  const { row, pdf } = await readPdf(dependencies, actor, id, signal);
  const all = await dependencies.cases.withCase(caseId, actor, async (tx) => listAnnotations(tx, row.rowId), {
    readOnly: true,
  });
  return { row, pdf, all };
};

/** Puts the result in place. Undefined when the document has changed meanwhile; then nothing was done. */
const swap = async (
  { cases }: BuiltinDependencies,
  actor: Actor,
  by: string,
  { row, all }: Work,
  made: NewPdf,
): Promise<readonly string[] | undefined> => {
  const { caseId } = parseDocumentId(row.id);
  return cases.withCase(caseId, actor, async (tx) => {
    const present = await requireDocument(tx, row.id, 'update');
    const now = await listAnnotations(tx, row.rowId);
    if (present.key !== row.key || fingerprint(now) !== fingerprint(all)) return undefined;
    const redactions = redactionsOf(now);
    const under = listUnderRedactions(
      now.map(({ value }) => value),
      redactions,
    );
    await replacePdf(tx, present, made, by);
    await claimObjects(tx, [made.key]);
    const applied = now.flatMap(({ value }) => (value.type === 'pspdfkit/markup/redaction' ? [{ id: value.id }] : []));
    await deleteAnnotations(tx, row.rowId, [...applied, ...under.map((one) => ({ id: one }))]);
    return under;
  });
};

export const applyRedactions = async (
  dependencies: BuiltinDependencies,
  id: EngineDocumentId,
  { actor, by, signal }: { readonly actor: Actor; readonly by: string; readonly signal: AbortSignal | undefined },
): Promise<AppliedRedactions> => {
  const { caseId } = parseDocumentId(id);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const work = await read(dependencies, actor, id, signal);
    const redactions = redactionsOf(work.all);
    if (redactions.length === 0) return { ...describeRow(work.row), applied: 0, removedAnnotations: [] };
    const { pdf } = await dependencies.workers.redact(
      { pdf: work.pdf, redactions },
      signal === undefined ? {} : { signal },
    );
    const sha256 = sha256Of(pdf);
    const pages: readonly PageSize[] = await readPageSizes(dependencies, Uint8Array.from(pdf), signal);
    const made: NewPdf = { key: newKey(id, sha256), size: pdf.byteLength, sha256, pages };
    await writeLoose(dependencies, actor, id, pdf, made, signal);
    const under = await swap(dependencies, actor, by, work, made);
    if (under === undefined) continue;
    await sweepLoose(dependencies, actor, caseId);
    return {
      id,
      size: made.size,
      sha256,
      pageCount: pages.length,
      applied: redactions.length,
      removedAnnotations: under,
    };
  }
  throw new CaseboundError(
    'annotation_conflict',
    'The redactions of the document were changed again and again while they were applied.',
  );
};
