/**
 * The way of a case from tables to segments, by four switches: parallel write, filters from index, read from objects, stop table writes.
 *
 * 1. A switch is turned only after the one before it, and only when what it relies on was found equal just now, with no other switch turned
 *    since. Else `storage_step_refused`, with the differences.
 * 2. Each can be turned back, the last first. Nothing is lost either way: what the tables missed is written into them before they serve
 *    again.
 * 3. Writers hold off a switch until they commit (`swapValues`), so none of them acts on a storage that is no more.
 * 4. Killed anywhere, the same step can be asked for again: the copy goes on with the exhibits that are behind.
 */
import { CaseboundError, type Actor, type CaseId } from '@casebound/contract';
import type { CaseTransaction, TransactionOptions } from '../../database/index.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import { compareFilters, compareValues, type StorageComparison } from './compare-storage.ts';
import type { MaintenanceParts } from './compact-values.ts';
import { readStoredValues } from './read-values.ts';
import { exhibitsPerSegment, segmentKey, writeSegment } from './segments.ts';
import { type LegacyStorage, linkSegment, readLegacy, readPlaced, readPlacedExhibits } from './store.ts';
import { deleteTaggings, deleteTaggingsOfGone, readTaggings, setTaggingVersions, writeTaggings } from './tags-store.ts';

export const storageSwitches = [
  'parallel-write',
  'filters-from-index',
  'read-from-objects',
  'stop-table-writes',
] as const;
export type StorageSwitch = (typeof storageSwitches)[number];

export interface StorageParts extends MaintenanceParts {
  readonly index: SearchIndex;
  /** Puts exhibits into the index from what stands in the case. */
  readonly indexAnew: (
    caseId: CaseId,
    actor: Actor,
    exhibitIds: readonly number[],
    signal: AbortSignal,
  ) => Promise<void>;
}

export interface StorageStatus {
  /** `tables`: an older case, wherever it is on its way. */
  readonly storage: 'segments' | 'tables';
  readonly switches: readonly { readonly name: StorageSwitch; readonly on: boolean }[];
}

export interface StorageStep extends StorageStatus {
  /** What was found equal; null where nothing had to be. */
  readonly compared: number | null;
  /** Exhibits whose values were copied. */
  readonly copied: number;
}

const columns: Readonly<Record<StorageSwitch, string>> = {
  'parallel-write': 'parallel_write',
  'filters-from-index': 'filters_from_index',
  'read-from-objects': 'read_from_objects',
  'stop-table-writes': 'table_writes_stopped',
};

const isOn = (legacy: LegacyStorage, name: StorageSwitch): boolean =>
  ({
    'parallel-write': legacy.parallelWrite,
    'filters-from-index': legacy.filtersFromIndex,
    'read-from-objects': legacy.readFromObjects,
    'stop-table-writes': legacy.tableWritesStopped,
  })[name];

const statusOf = (legacy: LegacyStorage | null): StorageStatus => ({
  storage: legacy === null ? 'segments' : 'tables',
  switches: storageSwitches.map((name) => ({ name, on: legacy !== null && isOn(legacy, name) })),
});

const refuse = (detail: string, comparison?: StorageComparison): CaseboundError =>
  new CaseboundError('storage_step_refused', detail, {
    errors: (comparison?.differences ?? []).map((it) => ({
      path: `exhibit ${it.exhibitId ?? '?'}${it.field === null ? '' : `, ${it.field}`}`,
      message: it.detail,
    })),
  });

const needEqual = (what: string, comparison: StorageComparison): number => {
  if (comparison.differing === 0) return comparison.compared;
  throw refuse(`${what} differ in ${comparison.differing} places; nothing was switched.`, comparison);
};

/** The switches as a step found them, and when the last of them was turned. */
interface Standing extends LegacyStorage {
  readonly changedAt: string;
}

export const createStorageMigration = (parts: StorageParts) => {
  const { sessions, source } = parts;
  const within = async <T>(
    caseId: CaseId,
    actor: Actor,
    fn: (tx: CaseTransaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> => sessions.withCase(caseId, actor, fn, options);

  const standingOf = async (caseId: CaseId, actor: Actor): Promise<Standing> =>
    within(
      caseId,
      actor,
      async (tx) => {
        // First: what is read of the switches is as new as this, or newer.
        const { rows } = await tx.query<{ at: string }>('SELECT changed_at::text AS at FROM custom_field_storage');
        const legacy = await readLegacy(tx);
        if (legacy === null) throw refuse(`The case ${caseId} keeps its custom fields in segments already.`);
        return { ...legacy, changedAt: rows[0]?.at ?? '' };
      },
      { readOnly: true },
    );
  const setWithin = async (tx: CaseTransaction, name: StorageSwitch, on: boolean, since: Standing): Promise<void> => {
    const { rowCount } = await tx.query(
      `UPDATE custom_field_storage SET ${columns[name]} = $1, changed_at = clock_timestamp(), verified_at = CASE WHEN $1 THEN now() END
       WHERE changed_at::text = $2`,
      [on, since.changedAt],
    );
    if (rowCount === 0) throw refuse('Another switch was turned meanwhile; nothing was switched.');
  };
  const set = async (caseId: CaseId, actor: Actor, name: StorageSwitch, on: boolean, since: Standing): Promise<void> =>
    within(caseId, actor, async (tx) => setWithin(tx, name, on, since));

  /** Writes objects for exhibits whose tables are ahead of them. Two transactions' worth of locks: none outlives its thousand. */
  const copyToObjects = async (caseId: CaseId, actor: Actor, signal: AbortSignal): Promise<number> => {
    let copied = 0;
    for (let after = 0; ;) {
      const from = after;
      const part = await within(
        caseId,
        actor,
        async (tx) => {
          const { rows } = await tx.query<{ exhibit_id: string; version: number }>(
            `SELECT v.exhibit_id, v.version FROM tagging_versions v
             WHERE v.exhibit_id > $1 AND NOT EXISTS (SELECT FROM custom_field_pointer p WHERE p.exhibit_id = v.exhibit_id AND p.version = v.version)
             ORDER BY v.exhibit_id LIMIT $2 FOR UPDATE`,
            [from, exhibitsPerSegment],
          );
          const ids = rows.map((row) => Number(row.exhibit_id));
          if (ids.length === 0) return undefined;
          const values = await readTaggings(tx, ids);
          const { exhibits } = await readPlacedExhibits(tx, ids);
          const kept = rows.flatMap((row) => {
            const exhibit = exhibits.get(Number(row.exhibit_id));
            return exhibit === undefined ? [] : [{ exhibit, version: row.version }];
          });
          if (kept.length > 0) {
            const segment = await writeSegment(
              source.objects,
              segmentKey(caseId, `migrated/${crypto.randomUUID()}`),
              kept.map(({ exhibit: { exhibitId, importedAt, batchId } }) => ({
                exhibitId,
                values: values.get(exhibitId) ?? {},
                metadata: { importedAt, batchId },
              })),
            );
            await source.objects.flush();
            await linkSegment(tx, segment, { kind: 'set', versions: kept.map(({ version }) => version - 1) });
          }
          return { last: ids.at(-1) ?? from, count: kept.length };
        },
        { signal },
      );
      if (part === undefined) return copied;
      after = part.last;
      copied += part.count;
    }
  };

  /** Writes into the tables what they missed while they were not written. */
  const copyToTables = async (caseId: CaseId, actor: Actor, signal: AbortSignal): Promise<number> => {
    let copied = 0;
    await within(caseId, actor, deleteTaggingsOfGone, { signal });
    for (let after = 0; ;) {
      const from = after;
      const part = await within(
        caseId,
        actor,
        async (tx) => {
          const { rows } = await tx.query<{ exhibit_id: string; version: number }>(
            `SELECT p.exhibit_id, p.version FROM custom_field_pointer p
             WHERE p.exhibit_id > $1 AND NOT EXISTS (SELECT FROM tagging_versions v WHERE v.exhibit_id = p.exhibit_id AND v.version = p.version)
             ORDER BY p.exhibit_id LIMIT $2 FOR UPDATE`,
            [from, exhibitsPerSegment],
          );
          const ids = rows.map((row) => Number(row.exhibit_id));
          if (ids.length === 0) return undefined;
          const { pointers } = await readPlaced(tx, ids);
          const stored = await readStoredValues(source.objects, source.cache, pointers, signal);
          await deleteTaggings(tx, ids);
          await writeTaggings(
            tx,
            'system',
            [...stored.values()].map(({ exhibitId, values }) => ({ exhibitId, values })),
          );
          await setTaggingVersions(tx, new Map(rows.map((row) => [Number(row.exhibit_id), row.version])));
          return { last: ids.at(-1) ?? from, count: ids.length };
        },
        { signal },
      );
      if (part === undefined) return copied;
      after = part.last;
      copied += part.count;
    }
  };

  /** The index may be behind its events, or of before them; the exhibits of the tables are put anew. */
  const indexTagged = async (caseId: CaseId, actor: Actor, signal: AbortSignal): Promise<void> => {
    for (let after = 0; ;) {
      const from = after;
      const { rows } = await within(
        caseId,
        actor,
        async (tx) =>
          tx.query<{ exhibit_id: string }>(
            'SELECT exhibit_id FROM tagging_versions WHERE exhibit_id > $1 ORDER BY exhibit_id LIMIT 200',
            [from],
          ),
        { readOnly: true, signal },
      );
      const last = rows.at(-1);
      if (last === undefined) return;
      await parts.indexAnew(
        caseId,
        actor,
        rows.map((row) => Number(row.exhibit_id)),
        signal,
      );
      after = Number(last.exhibit_id);
    }
  };

  const equalValues = async (caseId: CaseId, actor: Actor, signal: AbortSignal): Promise<number> =>
    needEqual('Tables and objects', await compareValues(parts, caseId, actor, signal));

  const step = async (
    caseId: CaseId,
    actor: Actor,
    work: { readonly compared: number | null; readonly copied: number },
  ): Promise<StorageStep> => ({
    ...statusOf(await within(caseId, actor, readLegacy, { readOnly: true })),
    ...work,
  });

  const turnOn = async (
    caseId: CaseId,
    actor: Actor,
    name: StorageSwitch,
    signal: AbortSignal,
  ): Promise<StorageStep> => {
    const legacy = await standingOf(caseId, actor);
    const at = storageSwitches.indexOf(name);
    const before = storageSwitches[at - 1];
    if (before !== undefined && !isOn(legacy, before))
      throw refuse(`The switch ${name} needs ${before} to be on first.`);
    switch (name) {
      case 'parallel-write': {
        if (!legacy.parallelWrite) await set(caseId, actor, name, true, legacy);
        const copied = await copyToObjects(caseId, actor, signal);
        return step(caseId, actor, { compared: await equalValues(caseId, actor, signal), copied });
      }
      case 'filters-from-index': {
        await equalValues(caseId, actor, signal);
        let found = await compareFilters(parts, caseId, actor, signal);
        if (found.differing > 0) {
          await indexTagged(caseId, actor, signal);
          found = await compareFilters(parts, caseId, actor, signal);
        }
        const compared = needEqual('Filters of the tables and of the index', found);
        await set(caseId, actor, name, true, legacy);
        return step(caseId, actor, { compared, copied: 0 });
      }
      case 'read-from-objects':
      case 'stop-table-writes': {
        const compared = await equalValues(caseId, actor, signal);
        await set(caseId, actor, name, true, legacy);
        return step(caseId, actor, { compared, copied: 0 });
      }
    }
  };

  const turnOff = async (
    caseId: CaseId,
    actor: Actor,
    name: StorageSwitch,
    signal: AbortSignal,
  ): Promise<StorageStep> => {
    const legacy = await standingOf(caseId, actor);
    const after = storageSwitches[storageSwitches.indexOf(name) + 1];
    if (after !== undefined && isOn(legacy, after))
      throw refuse(`The switch ${name} cannot be turned back while ${after} is on.`);
    switch (name) {
      case 'stop-table-writes': {
        if (legacy.tableWritesStopped) await set(caseId, actor, name, false, legacy);
        const copied = await copyToTables(caseId, actor, signal);
        return step(caseId, actor, { compared: await equalValues(caseId, actor, signal), copied });
      }
      case 'read-from-objects': {
        const compared = await equalValues(caseId, actor, signal);
        await set(caseId, actor, name, false, legacy);
        return step(caseId, actor, { compared, copied: 0 });
      }
      case 'filters-from-index':
        await set(caseId, actor, name, false, legacy);
        return step(caseId, actor, { compared: null, copied: 0 });
      case 'parallel-write':
        await within(caseId, actor, async (tx) => {
          await setWithin(tx, name, false, legacy);
          // Nothing reads them any more; left behind, they would be taken for values.
          await tx.query('DELETE FROM custom_field_pointer');
        });
        return step(caseId, actor, { compared: null, copied: 0 });
    }
  };

  return {
    status: async (caseId: CaseId, actor: Actor): Promise<StorageStatus> =>
      statusOf(await within(caseId, actor, readLegacy, { readOnly: true })),
    turnOn,
    turnOff,
    /** Makes a case one that keeps its values in tables, as older versions made it. */
    async makeLegacy(caseId: CaseId, actor: Actor, signal: AbortSignal): Promise<StorageStep> {
      const { rowCount } = await within(caseId, actor, async (tx) => {
        // Who has written pointers and knows nothing of tables has committed by then; who writes them later sees the row.
        await tx.query('LOCK TABLE custom_field_pointer IN SHARE ROW EXCLUSIVE MODE');
        return tx.query(
          `INSERT INTO custom_field_storage (parallel_write, filters_from_index, read_from_objects, table_writes_stopped)
           VALUES (true, true, true, true) ON CONFLICT DO NOTHING`,
        );
      });
      if (rowCount === 0) throw refuse(`The case ${caseId} keeps its custom fields in tables already.`);
      let copied = 0;
      for (const name of storageSwitches.toReversed()) copied += (await turnOff(caseId, actor, name, signal)).copied;
      return step(caseId, actor, { compared: null, copied });
    },
    compareValues: async (caseId: CaseId, actor: Actor, signal: AbortSignal): Promise<StorageComparison> =>
      compareValues(parts, caseId, actor, signal),
  };
};

export type StorageMigration = ReturnType<typeof createStorageMigration>;
