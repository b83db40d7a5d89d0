/**
 * The custom fields that a case has.
 *
 * - Title and type of a field stay as they are; what may change states in the same transaction that it did, so that every process forgets what
 *   it remembers.
 */
import {
  CaseboundError,
  type Actor,
  type CaseId,
  type CustomField,
  type CustomFieldChange,
  type NewCustomField,
} from '@casebound/contract';
import { type JsonValue, upsertDocument } from '@casebound/records';
import type { CaseSessions, Queryable } from '../../database/index.ts';
import { type CaseRecords, caseResource } from '../records/index.ts';
import { definitionsChanged, type Publish } from './exhibits-changed.ts';
import type { FieldType } from './field-values.ts';

export interface DefineFieldsParts {
  readonly sessions: CaseSessions;
  readonly records: CaseRecords;
  readonly publish: Publish;
  /** Forgets the definitions of a case in this process. */
  readonly forget: (caseId: CaseId) => void;
}

interface FieldRow {
  readonly document_id: string;
  readonly title: string;
  readonly input_type: FieldType;
  readonly description: string | null;
  readonly display_order: string | null;
  readonly settings: Record<string, unknown> | null;
  readonly choices: string[];
}

const toField = (row: FieldRow): CustomField => ({
  fieldId: Number(row.document_id),
  title: row.title,
  inputType: row.input_type,
  description: row.description,
  displayOrder: row.display_order === null ? null : Number(row.display_order),
  choices: row.choices,
  settings: row.settings ?? {},
});

/** All, or the one of a title or an id. */
const readFields = async (
  tx: Queryable,
  only: { readonly title?: string; readonly fieldId?: number } = {},
): Promise<CustomField[]> => {
  const { rows } = await tx.query<FieldRow & Record<string, unknown>>(
    `SELECT document_id, title, input_type, description, display_order, settings,
            ARRAY (SELECT value FROM custom_field__choices WHERE root_document_id = document_id ORDER BY choices_ordinal) AS choices
     FROM custom_field WHERE ($1::text IS NULL OR title = $1) AND ($2::bigint IS NULL OR document_id = $2)
     ORDER BY display_order NULLS LAST, title`,
    [only.title ?? null, only.fieldId ?? null],
  );
  return rows.map(toField);
};

/** The record store's document of a field. What is null has no member. */
const toDocument = (field: Omit<CustomField, 'fieldId'>): { [key: string]: JsonValue } => ({
  title: field.title,
  inputType: field.inputType,
  ...(field.description === null ? {} : { description: field.description }),
  ...(field.displayOrder === null ? {} : { displayOrder: field.displayOrder }),
  choices: [...new Set(field.choices)],
  // Parsed by the operation's schema: texts, numbers and booleans.
  ...(Object.keys(field.settings).length === 0 ? {} : { settings: field.settings as { [key: string]: JsonValue } }),
});

const one = (fields: readonly CustomField[]): CustomField => {
  const [field] = fields;
  if (field === undefined) throw new CaseboundError('record_not_found', 'There is no such custom field in the case.');
  return field;
};

export const listFields = async (
  { sessions }: Pick<DefineFieldsParts, 'sessions'>,
  actor: Actor,
  caseId: CaseId,
): Promise<CustomField[]> =>
  sessions.withCase(caseId, actor, async (tx) => readFields(tx), { readOnly: true, readsWithBegin: true });

const taken = (title: string): CaseboundError =>
  new CaseboundError('duplicate_identity', `The case has a custom field ${JSON.stringify(title)} already.`);

/** Errors: those of `withCase`, `duplicate_identity` for a title that is taken. */
export const createField = async (
  parts: DefineFieldsParts,
  actor: Actor,
  caseId: CaseId,
  given: NewCustomField,
): Promise<CustomField> => {
  const { sessions, records, publish, forget } = parts;
  const created = await sessions.withCase(caseId, actor, async (tx) => {
    // Two who add one title at the same time: the second finds it.
    await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('custom fields ' || current_schema(), 0))`);
    const { title } = given;
    if ((await readFields(tx, { title })).length > 0) throw taken(title);
    const store = await records.within(caseId, tx);
    const field = { ...given, description: given.description ?? null, displayOrder: given.displayOrder ?? null };
    const { outcome } = await upsertDocument(store, caseResource(records.model, 'customFields'), toDocument(field));
    // An import, or who writes records, does not wait for the lock.
    if (outcome !== 'created') throw taken(title);
    await publish(tx, [definitionsChanged(caseId, [title])]);
    return one(await readFields(tx, { title }));
  });
  forget(caseId);
  return created;
};

/** Errors: those of `withCase`, `record_not_found`. */
export const changeField = async (
  parts: DefineFieldsParts,
  actor: Actor,
  caseId: CaseId,
  fieldId: number,
  change: CustomFieldChange,
): Promise<CustomField> => {
  const { sessions, records, publish, forget } = parts;
  const changed = await sessions.withCase(caseId, actor, async (tx) => {
    await tx.query('SELECT FROM document WHERE document_id = $1 FOR NO KEY UPDATE', [fieldId]);
    const before = one(await readFields(tx, { fieldId }));
    const after = {
      ...before,
      ...(change.description === undefined ? {} : { description: change.description }),
      ...(change.displayOrder === undefined ? {} : { displayOrder: change.displayOrder }),
      ...(change.choices === undefined ? {} : { choices: change.choices }),
      ...(change.settings === undefined ? {} : { settings: change.settings }),
    };
    const store = await records.within(caseId, tx);
    await upsertDocument(store, caseResource(records.model, 'customFields'), toDocument(after));
    await publish(tx, [definitionsChanged(caseId, [before.title])]);
    return one(await readFields(tx, { fieldId }));
  });
  forget(caseId);
  return changed;
};
