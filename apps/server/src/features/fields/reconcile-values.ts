/**
 * Samples exhibits and compares everything that holds their custom fields: pointer, object, tables of an older case, index.
 *
 * - The index is a projection: an exhibit that it has wrong is put anew. Anything else is an incident, kept in the case and logged: no copy
 *   is overwritten with another when nobody knows which one is right.
 * - Pointers without an exhibit are looked for in the whole case; they are one statement.
 */
import { type Actor, type CaseId, CaseboundError, hasCode } from '@casebound/contract';
import type { Log } from '../../platform/log/Port.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import { differences } from './change-values.ts';
import type { FieldValue, FieldValues } from './field-values.ts';
import type { StorageParts } from './migrate-storage.ts';
import { readStoredValues, type StoredValues, ValueCache } from './read-values.ts';
import { readPlaced } from './store.ts';
import { readTaggings, readTaggingVersions } from './tags-store.ts';

export type IncidentKind = 'pointer_without_exhibit' | 'object_missing' | 'object_corrupt' | 'tables_differ';

export interface FieldIncident {
  readonly kind: IncidentKind;
  readonly exhibitId: number | null;
  readonly detail: string;
}

export interface Reconciliation {
  /** Exhibits that were looked at. */
  readonly sampled: number;
  /** Exhibits that the index had wrong, and has right now. */
  readonly indexRepaired: number;
  readonly incidents: readonly FieldIncident[];
}

export interface ReconcileOptions {
  /** Exhibits to look at, at most 10,000. */
  readonly sample: number;
  readonly log: Log;
}

/** What a case without a sample of its own is asked for at once. */
const atOnce = 500;

const indexValue = (value: FieldValue): readonly (string | number)[] => {
  if (typeof value === 'boolean') return [value ? 'yes' : 'no'];
  return Array.isArray(value) ? value : [value];
};

const filtersOf = (values: FieldValues): { readonly field: string; readonly equals: string | number }[] =>
  Object.entries(values).flatMap(([field, value]) =>
    indexValue(value)
      .filter((one) => one !== '')
      .map((equals) => ({ field, equals })),
  );

/** One search: does the exhibit come first of those, from its id on, that have all of its values? */
const isIndexedRight = async (
  index: SearchIndex,
  caseId: CaseId,
  exhibitId: number,
  controlNumber: string,
  values: FieldValues,
): Promise<boolean> => {
  const filters = [{ field: 'controlNumber', equals: controlNumber }, ...filtersOf(values)];
  return (await index.search(caseId, { filters }, { after: exhibitId - 1, limit: 1 }))[0] === exhibitId;
};

const readOne = async (
  parts: StorageParts,
  pointer: Parameters<typeof readStoredValues>[2][number],
): Promise<StoredValues | FieldIncident> => {
  const { exhibitId } = pointer;
  try {
    // Past the cache: what is asked is whether the object is there.
    const found = await readStoredValues(parts.source.objects, new ValueCache(0), [pointer]);
    const values = found.get(exhibitId);
    if (values === undefined) throw new CaseboundError('object_corrupt', 'The line was not read.');
    return values;
  } catch (error) {
    if (hasCode(error, 'object_not_found'))
      return { kind: 'object_missing', exhibitId, detail: `There is no object ${pointer.objectKey}.` };
    if (hasCode(error, 'object_corrupt') || hasCode(error, 'object_range_invalid'))
      return {
        kind: 'object_corrupt',
        exhibitId,
        detail: `Bytes ${pointer.offset}+${pointer.length} of ${pointer.objectKey} are not the exhibit's values.`,
      };
    throw error;
  }
};

export const reconcileValues = async (
  parts: StorageParts,
  caseId: CaseId,
  actor: Actor,
  { sample, log }: ReconcileOptions,
  signal: AbortSignal,
): Promise<Reconciliation> => {
  const incidents: FieldIncident[] = [];
  const { sessions, index } = parts;
  const { ids, strays } = await sessions.withCase(
    caseId,
    actor,
    async (tx) => ({
      ids: (
        await tx.query<{ document_id: string; control_number: string }>(
          'SELECT document_id, control_number FROM exhibit ORDER BY random() LIMIT $1',
          [sample],
        )
      ).rows,
      strays: (
        await tx.query<{ exhibit_id: string }>(
          `SELECT exhibit_id FROM custom_field_pointer p
           WHERE NOT EXISTS (SELECT FROM exhibit e WHERE e.document_id = p.exhibit_id) LIMIT 100`,
        )
      ).rows,
    }),
    { readOnly: true, signal },
  );
  for (const { exhibit_id: id } of strays)
    incidents.push({
      kind: 'pointer_without_exhibit',
      exhibitId: Number(id),
      detail: 'The exhibit is gone, its pointer is not.',
    });
  let indexRepaired = 0;
  for (let at = 0; at < ids.length; at += atOnce) {
    signal.throwIfAborted();
    const part = ids.slice(at, at + atOnce);
    const exhibitIds = part.map((row) => Number(row.document_id));
    const read = await sessions.withCase(
      caseId,
      actor,
      async (tx) => {
        const { pointers, legacy } = await readPlaced(tx, exhibitIds);
        const tabled = legacy === null ? undefined : await readTaggings(tx, exhibitIds);
        const versions = legacy === null ? undefined : await readTaggingVersions(tx, exhibitIds);
        return { pointers, legacy, tabled, versions };
      },
      { readOnly: true, isolation: 'repeatable read', signal },
    );
    const stored = new Map<number, StoredValues>();
    for (const pointer of read.pointers) {
      const found = await readOne(parts, pointer);
      if ('kind' in found) incidents.push(found);
      else stored.set(pointer.exhibitId, found);
    }
    const { legacy, tabled, versions } = read;
    if (legacy?.parallelWrite === true && !legacy.tableWritesStopped) {
      for (const exhibitId of exhibitIds) {
        if (!stored.has(exhibitId) && !(versions?.has(exhibitId) ?? false)) continue;
        const differing = differences(tabled?.get(exhibitId) ?? {}, stored.get(exhibitId)?.values ?? {});
        const titles = Object.keys(differing);
        if (titles.length > 0)
          incidents.push({
            kind: 'tables_differ',
            exhibitId,
            detail: `Tables and object differ in ${titles.length} fields.`,
          });
      }
    }
    const wrong: number[] = [];
    for (const { document_id: id, control_number: controlNumber } of part) {
      const exhibitId = Number(id);
      const values =
        legacy !== null && !legacy.readFromObjects ? tabled?.get(exhibitId) : stored.get(exhibitId)?.values;
      if (incidents.some((it) => it.exhibitId === exhibitId)) continue;
      if (!(await isIndexedRight(index, caseId, exhibitId, controlNumber, values ?? {}))) wrong.push(exhibitId);
    }
    await parts.indexAnew(caseId, actor, wrong, signal);
    indexRepaired += wrong.length;
  }
  await keep(parts, caseId, actor, incidents);
  if (incidents.length > 0)
    log.error('custom fields of a case are not what they should be; see `casebound fields reconcile`', {
      caseId,
      count: incidents.length,
    });
  return { sampled: ids.length, indexRepaired, incidents };
};

const keep = async (
  { sessions }: StorageParts,
  caseId: CaseId,
  actor: Actor,
  incidents: readonly FieldIncident[],
): Promise<void> => {
  if (incidents.length === 0) return;
  await sessions.withCase(caseId, actor, async (tx) =>
    tx.query(
      `INSERT INTO custom_field_incident (kind, exhibit_id, detail)
       SELECT DISTINCT ON (kind, exhibit_id) kind, exhibit_id, detail
       FROM unnest($1::text[], $2::bigint[], $3::text[]) AS found (kind, exhibit_id, detail) ORDER BY kind, exhibit_id
       ON CONFLICT (kind, exhibit_id) DO UPDATE SET detail = excluded.detail, seen_at = now()`,
      [incidents.map((it) => it.kind), incidents.map((it) => it.exhibitId ?? 0), incidents.map((it) => it.detail)],
    ),
  );
};
