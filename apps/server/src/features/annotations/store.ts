/** The SQL of this feature: the exhibit with its PDF, intents, and what decides about the mark. */
import { BatchId, CaseboundError, type CaseId, DocumentId, ExhibitId } from '@casebound/contract';
import type { Queryable } from '../../database/index.ts';
import { type EngineDocumentId, formatDocumentId } from '../../platform/document-engine/Port.ts';
import { Entry } from './intent.ts';

export interface AnnotatedExhibit {
  readonly caseId: CaseId;
  readonly exhibitId: number;
  readonly controlNumber: string;
  readonly documentId: number;
  readonly documentKey: string;
  readonly batchId: number;
  readonly engineId: EngineDocumentId;
  /** Undefined when the exhibit has none. */
  readonly pdf: { readonly key: string; readonly size: number; readonly sha256: string } | undefined;
  /** Whether somebody's change of it is still to be settled. */
  readonly hasIntents: boolean;
}

/** Errors: `exhibit_not_found`. */
export const findExhibit = async (tx: Queryable, caseId: CaseId, exhibitId: number): Promise<AnnotatedExhibit> => {
  const { rows } = await tx.query<{
    control_number: string;
    document_id: string;
    document_key: string;
    batch_id: string;
    object_key: string | null;
    size: string;
    sha256: string;
    has_intents: boolean;
  }>(
    `SELECT e.control_number, e.document_document_id AS document_id, d.document_key, coalesce(e.batch_document_id, 0) AS batch_id,
            v.object_key, v.size, v.sha256,
            EXISTS (SELECT FROM annotation_intent i WHERE i.exhibit_id = e.document_id) AS has_intents
     FROM exhibit e JOIN source_document d ON d.document_id = e.document_document_id
     LEFT JOIN source_document__variants v ON v.root_document_id = d.document_id AND v.type = 'pdf'
     WHERE e.document_id = $1 ORDER BY v.position LIMIT 1`,
    [exhibitId],
  );
  const [row] = rows;
  if (row === undefined) throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  return {
    caseId,
    exhibitId,
    controlNumber: row.control_number,
    documentId: Number(row.document_id),
    documentKey: row.document_key,
    batchId: Number(row.batch_id),
    engineId: formatDocumentId({
      caseId,
      batchId: BatchId.parse(Number(row.batch_id)),
      documentId: DocumentId.parse(Number(row.document_id)),
      exhibitId: ExhibitId.parse(exhibitId),
    }),
    // Whatever a record says: the files of a case lie below its own prefix.
    pdf:
      row.object_key?.startsWith(`case_${caseId}/`) === true
        ? { key: row.object_key, size: Number(row.size), sha256: row.sha256 }
        : undefined,
    hasIntents: row.has_intents,
  };
};

export interface Intent {
  readonly intentId: string;
  readonly exhibitId: number;
  readonly actor: string;
  readonly requestId: string | null;
  readonly redactions: boolean;
  readonly entries: readonly Entry[];
  /** The comment that is being changed, by nothing else meanwhile. */
  readonly commentId: string | undefined;
  /** Its new form, where the change has several steps. */
  readonly comment: unknown;
  readonly ageSeconds: number;
}

export const beingChanged = (): CaseboundError =>
  new CaseboundError('annotation_conflict', 'The comment is being changed by somebody else right now.');

/** Writes an intent. Errors: `annotation_conflict` when the comment that it changes is being changed by another one. */
export const insertIntent = async (
  tx: Queryable,
  intent: Omit<Intent, 'ageSeconds'>,
  hadRedaction: boolean,
): Promise<void> => {
  const { rowCount } = await tx.query(
    `INSERT INTO annotation_intent (intent_id, exhibit_id, actor, request_id, redactions, entries, comment_id, comment)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (exhibit_id, comment_id) DO NOTHING`,
    [
      intent.intentId,
      intent.exhibitId,
      intent.actor,
      intent.requestId,
      intent.redactions,
      JSON.stringify(intent.entries),
      intent.commentId ?? null,
      intent.comment === undefined ? null : JSON.stringify(intent.comment),
    ],
  );
  if (rowCount === 0) throw beingChanged();
  if (!intent.redactions) return;
  // An exhibit that is marked and has no redaction annotation was marked by something else.
  await tx.query(
    `INSERT INTO annotation_mark (exhibit_id, keeps_mark)
     SELECT document_id, coalesce(redacted, false) AND NOT $2 FROM exhibit WHERE document_id = $1 ON CONFLICT DO NOTHING`,
    [intent.exhibitId, hadRedaction],
  );
};

/** Whether a change of the comment is under way. */
export const isBeingChanged = async (tx: Queryable, exhibitId: number, commentId: string): Promise<boolean> => {
  const { rowCount } = await tx.query('SELECT FROM annotation_intent WHERE exhibit_id = $1 AND comment_id = $2', [
    exhibitId,
    commentId,
  ]);
  return rowCount > 0;
};

export const listIntents = async (tx: Queryable, exhibitId: number): Promise<readonly Intent[]> => {
  const { rows } = await tx.query<{
    intent_id: string;
    actor: string;
    request_id: string | null;
    redactions: boolean;
    entries: unknown;
    comment_id: string | null;
    comment: unknown;
    age: number;
  }>(
    `SELECT intent_id, actor, request_id, redactions, entries, comment_id, comment,
            extract(epoch FROM clock_timestamp() - planned_at)::float8 AS age
     FROM annotation_intent WHERE exhibit_id = $1 ORDER BY planned_at, intent_id`,
    [exhibitId],
  );
  return rows.map((row) => ({
    intentId: row.intent_id,
    exhibitId,
    actor: row.actor,
    requestId: row.request_id,
    redactions: row.redactions,
    entries: Entry.array().parse(row.entries),
    commentId: row.comment_id ?? undefined,
    comment: row.comment ?? undefined,
    ageSeconds: row.age,
  }));
};

/** False when it was settled already. */
export const deleteIntent = async (tx: Queryable, intentId: string): Promise<boolean> => {
  const { rowCount } = await tx.query('DELETE FROM annotation_intent WHERE intent_id = $1', [intentId]);
  return rowCount === 1;
};

export interface Mark {
  readonly revision: string;
  readonly keepsMark: boolean;
}

export const readMark = async (
  tx: Queryable,
  exhibitId: number,
  lock: 'none' | 'update' = 'none',
): Promise<Mark | undefined> => {
  const { rows } = await tx.query<{ revision: string; keeps_mark: boolean }>(
    `SELECT revision, keeps_mark FROM annotation_mark WHERE exhibit_id = $1 ${lock === 'update' ? 'FOR UPDATE' : ''}`,
    [exhibitId],
  );
  const [row] = rows;
  return row === undefined ? undefined : { revision: row.revision, keepsMark: row.keeps_mark };
};

export const advanceMark = async (tx: Queryable, exhibitId: number, keepsMark: boolean): Promise<void> => {
  await tx.query('UPDATE annotation_mark SET revision = revision + 1, keeps_mark = $2 WHERE exhibit_id = $1', [
    exhibitId,
    keepsMark,
  ]);
};

/** A number for who is about to read the redacted file from the engine, greater than those of all who asked before. */
export const beginReading = async (tx: Queryable, exhibitId: number): Promise<string> => {
  const { rows } = await tx.query<{ reading: string }>(
    `INSERT INTO annotation_mark AS mark (exhibit_id, keeps_mark, last_reading) VALUES ($1, true, 1)
     ON CONFLICT (exhibit_id) DO UPDATE SET last_reading = mark.last_reading + 1 RETURNING last_reading AS reading`,
    [exhibitId],
  );
  return rows[0]?.reading ?? '0';
};

/**
 * Makes the file of a reading the one that is recorded; until the transaction ends nobody else does so. False when a later reading was
 * recorded.
 */
export const recordReading = async (tx: Queryable, exhibitId: number, reading: string): Promise<boolean> => {
  const { rowCount } = await tx.query(
    'UPDATE annotation_mark SET recorded_reading = $2 WHERE exhibit_id = $1 AND recorded_reading < $2',
    [exhibitId, reading],
  );
  return rowCount === 1;
};

/** Whether another change of redactions is under way on the exhibit. */
export const hasOtherRedactions = async (tx: Queryable, exhibitId: number, intentId: string): Promise<boolean> => {
  const { rowCount } = await tx.query(
    'SELECT FROM annotation_intent WHERE exhibit_id = $1 AND redactions AND intent_id <> $2 LIMIT 1',
    [exhibitId, intentId],
  );
  return rowCount > 0;
};

/**
 * Pages on which redactions were ever meant to lie, from 0, as audit and intents have them: also those that somebody added while others
 * were applied.
 */
export const listRedactedPages = async (tx: Queryable, exhibitId: number): Promise<readonly number[]> => {
  const { rows } = await tx.query<{ page: number }>(
    `SELECT (change.pair->1->>'page')::int - 1 AS page FROM model_audit a, jsonb_each(a.changes) AS change (name, pair)
     WHERE a.record_id = $1 AND a.resource = 'exhibits' AND change.name LIKE 'annotation %' AND change.pair->1->>'kind' = 'redaction'
     UNION
     SELECT (entry->>'page')::int FROM annotation_intent i, jsonb_array_elements(i.entries) AS entry
     WHERE i.exhibit_id = $1 AND entry->>'kind' = 'redaction'`,
    [exhibitId],
  );
  return rows.map(({ page }) => page);
};
