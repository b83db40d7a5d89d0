/** Puts a PDF: read by the engine first, then the object, then the row that points at it. */
import { createHash } from 'node:crypto';
import { type Actor, CaseboundError } from '@casebound/contract';
import { type EngineDocumentId, parseDocumentId, type PageSize, type PutOutcome } from '../../Port.ts';
import type { MeasuredPdf } from '../../pdf-workers/pdf-tasks.ts';
import type { BuiltinDependencies, CaseQueries } from './dependencies.ts';
import {
  announceObjects,
  claimObjects,
  deleteDocuments,
  describeRow,
  type DocumentRow,
  findDocument,
  insertDocuments,
  loosen,
  type NewPdf,
} from './document-rows.ts';
import { newKey, sweepLoose } from './pdf-objects.ts';

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const sizesOf = (measured: MeasuredPdf): readonly PageSize[] => {
  if ('fault' in measured) throw new CaseboundError(measured.fault.code, measured.fault.detail);
  return measured.pages.map(({ width, height }, pageIndex) => ({ pageIndex, width, height }));
};

/** Sizes of all pages. The bytes are given away. Throws what opening a PDF throws. */
export const readPageSizes = async (
  { workers }: BuiltinDependencies,
  pdf: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<readonly PageSize[]> => {
  const [measured] = await workers.pageSizes({ pdf, ends: [pdf.byteLength] }, signal === undefined ? {} : { signal });
  if (measured === undefined) throw new CaseboundError('internal', 'Nothing is known of the pages of a PDF.');
  return sizesOf(measured);
};

/** Writes an object that is loose until a document claims it. */
export const writeLoose = async (
  { cases, objects }: BuiltinDependencies,
  actor: Actor,
  id: EngineDocumentId,
  pdf: Uint8Array,
  made: NewPdf,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const { caseId } = parseDocumentId(id);
  await cases.withCase(caseId, actor, async (tx) => announceObjects(tx, [made.key]));
  await objects.put(made.key, pdf, {
    expected: { size: made.size, sha256: made.sha256 },
    contentType: 'application/pdf',
    ...(signal === undefined ? {} : { signal }),
  });
  await objects.flush();
};

export interface PutInput {
  readonly id: EngineDocumentId;
  readonly pdf: Uint8Array;
  readonly replace: boolean;
  readonly actor: Actor;
  readonly by: string;
  readonly signal: AbortSignal | undefined;
}

type Place = 'created' | 'same' | 'other';

/** Makes the document point at the object, or says why not; then the object is loose. */
const place = async (
  tx: CaseQueries,
  { id, replace, by }: PutInput,
  made: NewPdf,
): Promise<{ readonly place: Place; readonly row: DocumentRow | undefined }> => {
  for (;;) {
    const row = await findDocument(tx, id, 'update');
    if (row !== undefined && !replace) {
      await loosen(tx, [made.key]);
      return { place: row.sha256 === made.sha256 ? 'same' : 'other', row };
    }
    if (row !== undefined) await deleteDocuments(tx, [row]);
    // Somebody else may have put it since the look: look again.
    if ((await insertDocuments(tx, [{ ...made, id }], by)).has(id)) {
      await claimObjects(tx, [made.key]);
      return { place: 'created', row: undefined };
    }
  }
};

const exists = (id: EngineDocumentId): CaseboundError =>
  new CaseboundError('engine_document_exists', `The document engine has another PDF as \`${id}\`.`);

export const putDocument = async (dependencies: BuiltinDependencies, input: PutInput): Promise<PutOutcome> => {
  const { cases } = dependencies;
  const { id, pdf, replace, actor, signal } = input;
  const { caseId } = parseDocumentId(id);
  const sha256 = sha256Of(pdf);
  const reading = { readOnly: true, ...(signal === undefined ? {} : { signal }) };
  const present = await cases.withCase(caseId, actor, async (tx) => findDocument(tx, id), reading);
  if (present !== undefined && !replace) {
    if (present.sha256 !== sha256) throw exists(id);
    return { ...describeRow(present), created: false };
  }
  const pages = await readPageSizes(dependencies, Uint8Array.from(pdf), signal);
  const made: NewPdf = { key: newKey(id, sha256), size: pdf.byteLength, sha256, pages };
  await writeLoose(dependencies, actor, id, pdf, made, signal);
  const outcome = await cases.withCase(caseId, actor, async (tx) => place(tx, input, made));
  if (outcome.place !== 'created' || replace) await sweepLoose(dependencies, actor, caseId);
  if (outcome.place === 'other') throw exists(id);
  return outcome.row === undefined
    ? { id, size: made.size, sha256, pageCount: pages.length, created: true }
    : { ...describeRow(outcome.row), created: false };
};
