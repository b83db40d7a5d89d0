/**
 * The values of exhibits, whichever way a case keeps them: in segments, in tables (an older case), or in both on the way from one to the other.
 *
 * 1. Who reads finds the value of record: objects first, tables where an exhibit has no object; tables alone until a case reads from objects.
 * 2. Who writes states the version that was read. What is swapped, in pointers and tables, is swapped in one transaction.
 * 3. A write to a case with tables holds off the switches of its migration until it commits, and is refused when one was turned since it read.
 *    One that read of a case without tables is refused when the case has them by now.
 */
import type { Queryable } from '../../database/index.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import type { FieldValue, FieldValues } from './field-values.ts';
import { readStoredValues, type StoredValues, type ValueCache } from './read-values.ts';
import type { WrittenSegment } from './segments.ts';
import {
  deletePointers,
  type LegacyStorage,
  linkSegment,
  type Placed,
  type PlacedExhibit,
  readPlaced,
  readPlacedExhibits,
  storageChanged,
} from './store.ts';
import {
  deleteTaggings,
  moveTaggingVersions,
  readTaggings,
  readTaggingVersions,
  setTaggingVersions,
  writeTaggings,
} from './tags-store.ts';

export interface ValueSource {
  readonly objects: ObjectStore;
  readonly cache: ValueCache;
}

/** Values of an exhibit, and what an update has to know of it. Version 0: it has none. */
export type ExhibitState = StoredValues & { readonly controlNumber: string };

export interface States {
  readonly legacy: LegacyStorage | null;
  readonly states: ReadonlyMap<number, ExhibitState>;
}

/** Values as the transaction sees where they are; what is in objects is read when it is called. */
export type PendingValues = (signal?: AbortSignal) => Promise<Map<number, StoredValues>>;

const isReadFromTables = (legacy: LegacyStorage | null): boolean => legacy !== null && !legacy.readFromObjects;

/** Where tables are the value of record, and where they fill in for objects. */
const readTables = async (
  tx: Queryable,
  exhibitIds: readonly number[],
): Promise<Map<number, { readonly values: FieldValues; readonly version: number }>> => {
  if (exhibitIds.length === 0) return new Map();
  const versions = await readTaggingVersions(tx, exhibitIds);
  const tagged = await readTaggings(tx, exhibitIds);
  return new Map([...versions].map(([id, version]) => [id, { version, values: tagged.get(id) ?? {} }]));
};

const tableIds = ({ legacy, pointers }: Placed, exhibitIds: readonly number[]): readonly number[] => {
  if (legacy === null) return [];
  if (isReadFromTables(legacy)) return exhibitIds;
  const pointed = new Set(pointers.map((pointer) => pointer.exhibitId));
  return exhibitIds.filter((id) => !pointed.has(id));
};

/** What there is of those of the exhibits that have values. One statement, two more in a case with tables. */
export const locateValues = async (
  tx: Queryable,
  { objects, cache }: ValueSource,
  exhibitIds: readonly number[],
): Promise<PendingValues> => {
  const placed = await readPlaced(tx, exhibitIds);
  const wanted = tableIds(placed, exhibitIds);
  const tabled = await readTables(tx, wanted);
  const origins = tabled.size === 0 ? undefined : (await readPlacedExhibits(tx, [...tabled.keys()])).exhibits;
  return async (signal) => {
    const found = isReadFromTables(placed.legacy)
      ? new Map<number, StoredValues>()
      : await readStoredValues(objects, cache, placed.pointers, signal);
    for (const [exhibitId, state] of tabled) {
      const origin = origins?.get(exhibitId);
      if (origin !== undefined) found.set(exhibitId, { exhibitId, ...state, metadata: originOf(origin) });
    }
    return found;
  };
};

const originOf = ({ importedAt, batchId }: PlacedExhibit): StoredValues['metadata'] => ({ importedAt, batchId });

/** State of those of the exhibits that exist. One statement, two more in a case with tables. */
export const readStates = async (
  tx: Queryable,
  { objects, cache }: ValueSource,
  exhibitIds: readonly number[],
  signal?: AbortSignal,
): Promise<States> => {
  const placed = await readPlacedExhibits(tx, exhibitIds);
  const tabled = await readTables(tx, tableIds(placed, [...placed.exhibits.keys()]));
  const stored = isReadFromTables(placed.legacy)
    ? new Map<number, StoredValues>()
    : await readStoredValues(objects, cache, placed.pointers, signal);
  const states = [...placed.exhibits.values()].map((exhibit): readonly [number, ExhibitState] => {
    const { exhibitId, controlNumber } = exhibit;
    const known = stored.get(exhibitId) ?? tabled.get(exhibitId) ?? { values: {}, version: 0 };
    const metadata = stored.get(exhibitId)?.metadata ?? originOf(exhibit);
    return [exhibitId, { exhibitId, values: known.values, version: known.version, metadata, controlNumber }];
  });
  return { legacy: placed.legacy, states: new Map(states) };
};

/** True where values go into objects. */
export const writesObjects = (legacy: LegacyStorage | null): boolean => legacy === null || legacy.parallelWrite;

export interface ValueSwap {
  readonly exhibitId: number;
  /** That was read. */
  readonly version: number;
  /** Titles that change, with what they become. */
  readonly changed: Readonly<Record<string, FieldValue | null>>;
}

const only = (segment: WrittenSegment, exhibits: ReadonlyMap<number, unknown>): WrittenSegment => ({
  ...segment,
  entries: segment.entries.filter((entry) => exhibits.has(entry.exhibitId)),
});

const holdSwitches = async (tx: Queryable, expected: LegacyStorage): Promise<void> => {
  const { rows } = await tx.query<{ readonly same: boolean }>(
    `SELECT parallel_write = $1 AND filters_from_index = $2 AND read_from_objects = $3 AND table_writes_stopped = $4 AS same
     FROM custom_field_storage FOR SHARE`,
    [expected.parallelWrite, expected.filtersFromIndex, expected.readFromObjects, expected.tableWritesStopped],
  );
  if (rows[0]?.same !== true) throw storageChanged();
};

/**
 * Makes what was prepared the values of record, of the exhibits that still have the version that was read. `segment` has their lines, where
 * the case has objects.
 * @returns the new version of those swapped
 */
export const swapValues = async (
  tx: Queryable,
  legacy: LegacyStorage | null,
  segment: WrittenSegment | null,
  swaps: readonly ValueSwap[],
  userId: string,
): Promise<ReadonlyMap<number, number>> => {
  const versionOf = new Map(swaps.map((swap) => [swap.exhibitId, swap.version]));
  const link = async (given: WrittenSegment | null, kind: 'expect' | 'set') =>
    given === null || given.entries.length === 0
      ? new Map<number, number>()
      : linkSegment(
          tx,
          given,
          { kind, versions: given.entries.map(({ exhibitId }) => versionOf.get(exhibitId) ?? 0) },
          { withoutTables: legacy === null },
        );
  if (legacy === null) return link(segment, 'expect');
  await holdSwitches(tx, legacy);
  if (legacy.readFromObjects) {
    const linked = await link(segment, 'expect');
    if (!legacy.tableWritesStopped) {
      await setTaggingVersions(tx, linked);
      await writeTaggings(tx, userId, changesOf(swaps, linked));
    }
    return linked;
  }
  const moved = await moveTaggingVersions(
    tx,
    swaps.map((swap) => swap.exhibitId),
    swaps.map((swap) => swap.version),
  );
  await writeTaggings(tx, userId, changesOf(swaps, moved));
  if (segment !== null) await link(only(segment, moved), 'set');
  return moved;
};

const changesOf = (swaps: readonly ValueSwap[], moved: ReadonlyMap<number, number>) =>
  swaps
    .filter(({ exhibitId }) => moved.has(exhibitId))
    .map(({ exhibitId, changed }) => ({ exhibitId, values: changed }));

/** Removes the values of exhibits that go. One statement, two in a case with tables. */
export const unlinkExhibits = async (tx: Queryable, exhibitIds: readonly number[]): Promise<void> => {
  const legacy = await deletePointers(tx, exhibitIds);
  if (legacy !== null && !legacy.tableWritesStopped) await deleteTaggings(tx, exhibitIds);
};
