/** Exhibits that the engine has not seen yet, and what is known of them afterwards. */
import { BatchId, CaseboundError, type CaseId, DocumentId, ExhibitId } from '@casebound/contract';
import { readMany } from '@casebound/records';
import { type EngineDocumentId, formatDocumentId } from '../../../platform/document-engine/Port.ts';
import { readHistory } from '../../audit/read-history.ts';
import { type ExhibitSpec, fillCase } from '../../exchange/testing/fill-case.ts';
import { type JoinedExchange, testActor } from '../../exchange/testing/open-test-exchange.ts';
import { caseResource } from '../../records/index.ts';
import type { ExhibitCall } from '../exhibit-document.ts';
import { reviewer } from './open-test-annotations.ts';

export interface Subject {
  readonly call: ExhibitCall & { readonly requestId: string };
  readonly exhibitId: number;
  readonly documentId: number;
  readonly controlNumber: string;
  readonly engineId: EngineDocumentId;
}

const signal = new AbortController().signal;

export const makeExhibit = async (
  world: JoinedExchange,
  caseId: CaseId,
  controlNumber: string,
  spec: Partial<ExhibitSpec> = {},
): Promise<Subject> => {
  const filled = await fillCase(
    world.parts,
    caseId,
    [{ controlNumber, pages: [['Pay the SECRET amount today'], ['Second page']], ...spec }],
    { engine: false, batch: `Batch ${controlNumber}` },
  );
  const exhibit = filled.get(controlNumber);
  if (exhibit === undefined) throw new Error('There is no such exhibit.');
  const { exhibitId, documentId, batchId } = exhibit;
  return {
    exhibitId,
    documentId,
    controlNumber,
    call: { caseId, exhibitId, actor: reviewer, requestId: `request-${controlNumber}`, signal },
    engineId: formatDocumentId({
      caseId,
      batchId: BatchId.parse(batchId),
      documentId: DocumentId.parse(documentId),
      exhibitId: ExhibitId.parse(exhibitId),
    }),
  };
};

export const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'succeeded',
    (error: unknown) => (error instanceof CaseboundError ? error.code : String(error)),
  );

/** The record as the store has it. */
export const recordOf = async (
  { parts: { sessions, records } }: JoinedExchange,
  caseId: CaseId,
  endpoint: 'exhibits' | 'documents',
  id: number,
): Promise<Record<string, unknown>> =>
  sessions.withCase(caseId, testActor, async (tx) => {
    const store = await records.within(caseId, tx);
    const found = await readMany(store, tx, caseResource(records.model, endpoint), [id]);
    return JSON.parse(found.get(id)?.body ?? '{}');
  });

export const auditOf = async (
  { parts }: JoinedExchange,
  caseId: CaseId,
  exhibitId: number,
): Promise<Awaited<ReturnType<typeof readHistory>>['entries']> =>
  parts.sessions.withCase(
    caseId,
    testActor,
    async (tx) => (await readHistory(tx, exhibitId, { after: 0, limit: 100 })).entries,
    { readOnly: true },
  );

export const countIntents = async ({ parts }: JoinedExchange, caseId: CaseId): Promise<number> =>
  parts.sessions.withCase(caseId, testActor, async (tx) => {
    const { rows } = await tx.query<{ n: number }>('SELECT count(*)::int AS n FROM annotation_intent');
    return rows[0]?.n ?? -1;
  });
