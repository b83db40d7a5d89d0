/**
 * Custom fields of a case: definitions and values, whatever storage the case has.
 *
 * - An update writes its object under a new key, then swaps the pointer, writes the audit row, and commits: the three agree or
 *   none of them is. Who read an older version is told both values.
 * - Definitions are read once and remembered for a short while; a title that is not known is looked for again before it is refused.
 */
import { CaseboundError, hasCode, type Actor, type CaseId } from '@casebound/contract';
import type { CaseSessions, Queryable } from '../../database/index.ts';
import type { Clock } from '../../platform/clock/Port.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import { recordChanges } from '../audit/index.ts';
import { checkValue, type FieldDefinition } from './check-value.ts';
import { encodeValues, type FieldType, type FieldValue, type FieldValues, isEmptyValue } from './field-values.ts';
import { readStoredValues, type StoredValues, ValueCache } from './read-values.ts';
import { editKey, type WrittenSegment } from './segments.ts';
import { linkSegment, readPointers } from './store.ts';

export interface FieldsDependencies {
  readonly sessions: CaseSessions;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  /** Memory for values that were read, in bytes of their JSON. */
  readonly cacheBytes: number;
  /** Called when the audit trail of a case has grown. */
  readonly onAudited?: (caseId: CaseId) => void;
}

export interface FieldUpdate {
  readonly exhibitId: number;
  /** Title -> new value; null removes it. */
  readonly values: Readonly<Record<string, FieldValue | null>>;
  /** The version that was read; 0 when there were no values. Left out: whatever is there now. */
  readonly version?: number;
}

export interface Fields {
  /** Definitions by title. */
  definitions(caseId: CaseId, actor: Actor, signal?: AbortSignal): Promise<ReadonlyMap<string, FieldDefinition>>;
  /** Forgets the definitions of a case, after they changed. */
  forget(caseId: CaseId): void;
  /** Values of those of the exhibits that have any. One statement, and a request for each stretch of an object. */
  read(
    caseId: CaseId,
    actor: Actor,
    exhibitIds: readonly number[],
    signal?: AbortSignal,
  ): Promise<Map<number, StoredValues>>;
  /** As `read`, within a transaction. */
  readWithin(tx: Queryable, exhibitIds: readonly number[], signal?: AbortSignal): Promise<Map<number, StoredValues>>;
  /** Errors: `validation_failed` by title, `exhibit_not_found`, `version_conflict` with both values. */
  update(caseId: CaseId, actor: Actor, update: FieldUpdate, requestId?: string): Promise<StoredValues>;
}

const definitionsLifetimeMs = 30_000;

export const createFields = ({ sessions, objects, clock, cacheBytes, onAudited }: FieldsDependencies): Fields => {
  const cache = new ValueCache(cacheBytes);
  const remembered = new Map<
    CaseId,
    { readonly until: number; readonly definitions: Promise<ReadonlyMap<string, FieldDefinition>> }
  >();

  const definitionsOf: Fields['definitions'] = async (caseId, actor, signal) => {
    const known = remembered.get(caseId);
    if (known !== undefined && known.until > clock.monotonicMs()) return known.definitions;
    const definitions = sessions.withCase(caseId, actor, readDefinitions, {
      readOnly: true,
      alongside: true,
      ...(signal === undefined ? {} : { signal }),
    });
    remembered.set(caseId, { until: clock.monotonicMs() + definitionsLifetimeMs, definitions });
    definitions.catch(() => remembered.delete(caseId));
    return definitions;
  };

  const readWithin: Fields['readWithin'] = async (tx, exhibitIds, signal) =>
    readStoredValues(objects, cache, await readPointers(tx, exhibitIds), signal);

  return {
    definitions: definitionsOf,
    forget(caseId) {
      remembered.delete(caseId);
    },
    readWithin,
    async read(caseId, actor, exhibitIds, signal) {
      const pointers = await sessions.withCase(caseId, actor, async (tx) => readPointers(tx, exhibitIds), {
        readOnly: true,
        ...(signal === undefined ? {} : { signal }),
      });
      return readStoredValues(objects, cache, pointers, signal);
    },
    async update(caseId, actor, update, requestId) {
      let definitions = await definitionsOf(caseId, actor);
      if (Object.keys(update.values).some((title) => !definitions.has(title))) {
        remembered.delete(caseId);
        definitions = await definitionsOf(caseId, actor);
      }
      const wanted = checkAll(definitions, update.values);
      const before = await sessions.withCase(
        caseId,
        actor,
        async (tx) => readForUpdate(tx, objects, cache, update.exhibitId),
        {
          readOnly: true,
        },
      );
      if (update.version !== undefined && update.version !== before.version) throw conflict(update, before, wanted);
      const values = merge(before.values, wanted);
      const changes = differences(before.values, values);
      if (Object.keys(changes).length === 0) return before;
      const next = { exhibitId: update.exhibitId, values, metadata: before.metadata };
      const segment = await writeEdit(objects, caseId, next, before.version + 1);
      const updated = await sessions.withCase(caseId, actor, async (tx) => {
        const linked = await linkSegment(tx, segment, [before.version]);
        const version = linked.get(update.exhibitId);
        if (version === undefined) {
          throw conflict(update, await readForUpdate(tx, objects, cache, update.exhibitId), wanted);
        }
        await recordChanges(
          tx,
          {
            actor: actor.kind === 'account' ? actor.accountId : 'system',
            ...(requestId === undefined ? {} : { requestId }),
          },
          'exhibits',
          [{ recordId: update.exhibitId, recordKey: before.controlNumber, changes }],
        );
        return { ...next, version };
      });
      onAudited?.(caseId);
      return updated;
    },
  };
};

const readDefinitions = async (tx: Queryable): Promise<ReadonlyMap<string, FieldDefinition>> => {
  const { rows } = await tx.query<{ title: string; input_type: FieldType; choices: string[] }>(
    `SELECT title, input_type,
            ARRAY (SELECT value FROM custom_field__choices WHERE root_document_id = document_id ORDER BY choices_ordinal) AS choices
     FROM custom_field ORDER BY display_order NULLS LAST, title`,
  );
  return new Map(rows.map(({ title, input_type: inputType, choices }) => [title, { title, inputType, choices }]));
};

const checkAll = (
  definitions: ReadonlyMap<string, FieldDefinition>,
  values: FieldUpdate['values'],
): Readonly<Record<string, FieldValue | null>> => {
  const errors: { path: string; message: string }[] = [];
  const checked: Record<string, FieldValue | null> = {};
  for (const [title, value] of Object.entries(values)) {
    const definition = definitions.get(title);
    const path = `$.values[${JSON.stringify(title)}]`;
    if (definition === undefined) {
      errors.push({ path, message: 'There is no custom field of this title.' });
      continue;
    }
    if (value === null) {
      checked[title] = null;
      continue;
    }
    const result = checkValue(definition, value);
    if (result.ok) checked[title] = result.value;
    else errors.push({ path, message: `The value ${result.reason}.` });
  }
  if (errors.length > 0) throw new CaseboundError('validation_failed', 'Custom-field values do not fit.', { errors });
  return checked;
};

const merge = (before: FieldValues, wanted: Readonly<Record<string, FieldValue | null>>): FieldValues =>
  Object.fromEntries(
    Object.entries({ ...before, ...wanted }).filter((entry): entry is [string, FieldValue] => !isEmptyValue(entry[1])),
  );

/** Changed titles with old and new value. */
export const differences = (
  before: FieldValues,
  after: FieldValues,
): Readonly<Record<string, readonly [FieldValue | null, FieldValue | null]>> =>
  Object.fromEntries(
    [...new Set([...Object.keys(before), ...Object.keys(after)])]
      .map((title) => [title, [before[title] ?? null, after[title] ?? null]] as const)
      .filter(([, [old, now]]) => JSON.stringify(old) !== JSON.stringify(now)),
  );

type Before = StoredValues & { readonly controlNumber: string };

const readForUpdate = async (
  tx: Queryable,
  objects: ObjectStore,
  cache: ValueCache,
  exhibitId: number,
): Promise<Before> => {
  const { rows } = await tx.query<{ control_number: string; batch_document_id: string; imported_at: Date }>(
    `SELECT control_number, batch_document_id, created_at AS imported_at FROM exhibit JOIN document USING (document_id) WHERE document_id = $1`,
    [exhibitId],
  );
  const exhibit = rows[0];
  if (exhibit === undefined)
    throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  const stored = (await readStoredValues(objects, cache, await readPointers(tx, [exhibitId]))).get(exhibitId);
  return {
    exhibitId,
    values: stored?.values ?? {},
    metadata: stored?.metadata ?? {
      importedAt: exhibit.imported_at.toISOString(),
      batchId: Number(exhibit.batch_document_id),
    },
    version: stored?.version ?? 0,
    controlNumber: exhibit.control_number,
  };
};

const conflict = (
  update: FieldUpdate,
  found: StoredValues,
  wanted: Readonly<Record<string, FieldValue | null>>,
): CaseboundError =>
  new CaseboundError(
    'version_conflict',
    `The values of the exhibit ${update.exhibitId} are at version ${found.version}, not ${update.version ?? 'what was read'}; read them and try again.`,
    {
      errors: Object.keys(wanted).map((title) => ({
        path: `$.values[${JSON.stringify(title)}]`,
        message: `now ${JSON.stringify(found.values[title] ?? null)}, wanted ${JSON.stringify(wanted[title])}`,
      })),
    },
  );

/** An object of a transaction that rolled back may have taken the key; then another is taken. */
const writeEdit = async (
  objects: ObjectStore,
  caseId: CaseId,
  exhibit: Parameters<typeof encodeValues>[0],
  version: number,
): Promise<WrittenSegment> => {
  const body = Buffer.from(encodeValues(exhibit), 'utf8');
  const put = async (suffix: string): Promise<WrittenSegment> => {
    const key = editKey(caseId, exhibit.exhibitId, version, suffix);
    const { size, sha256 } = await objects.put(key, body, { ifAbsent: true, contentType: 'application/json' });
    return { key, size, sha256, entries: [{ exhibitId: exhibit.exhibitId, offset: 0, length: body.length }] };
  };
  try {
    return await put('');
  } catch (error) {
    if (!hasCode(error, 'object_exists')) throw error;
    return put(`-${crypto.randomUUID().slice(0, 8)}`);
  }
};
