/**
 * Custom fields of a case: definitions and values, whatever storage the case has.
 *
 * - An update writes its object under a new key, then swaps the pointer, writes the audit row and the event, and commits: they agree or
 *   none of them is. Who read an older version is told both values.
 * - Definitions are read once and remembered until an event says that they changed, and at most for a short while; a title that is not known
 *   is looked for again before it is refused.
 */
import { CaseboundError, type Actor, type CaseId } from '@casebound/contract';
import { settleAll } from '@casebound/records';
import type { CaseSessions, Queryable, Transaction, TransactionOptions } from '../../database/index.ts';
import type { Clock } from '../../platform/clock/Port.ts';
import type { CrashPoint } from '../../platform/crash-points/Port.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import { recordChanges } from '../audit/index.ts';
import { applyChanges, checkChanges, differences, newValues, type ValueChanges } from './change-values.ts';
import type { FieldDefinition } from './check-value.ts';
import { createExhibitsChanged, type Publish } from './exhibits-changed.ts';
import { type ExhibitValues, type FieldType, type FieldValues, valuesOf, type WritableValues } from './field-values.ts';
import { type OverlayOutcome, overlayValues, type ValueOverlay } from './overlay-values.ts';
import { type StoredValues, ValueCache } from './read-values.ts';
import { exhibitsPerSegment, segmentKey, writeEdit, writeSegment, type WrittenSegment } from './segments.ts';
import { type LegacyStorage, linkNewExhibits, readLegacy } from './store.ts';
import {
  type ExhibitState,
  locateValues,
  readStates,
  type States,
  swapValues,
  type ValueSource,
  writesObjects,
} from './value-store.ts';

export interface FieldsDependencies {
  readonly sessions: CaseSessions;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  /** Memory for values that were read, in bytes of their JSON. */
  readonly cacheBytes: number;
  /** Called when the audit trail of a case has grown. */
  readonly onAudited?: (caseId: CaseId) => void;
  readonly crashPoint?: CrashPoint;
  /** Where changes are stated; left out, nobody is told. */
  readonly publish?: Publish;
}

export interface FieldUpdate {
  readonly exhibitId: number;
  /** Title -> new value; null removes it. */
  readonly values: ValueChanges;
  /** The version that was read; 0 when there were no values. Left out: whatever is there now. */
  readonly version?: number;
}

/** Values of exhibits that are new in the case. */
export interface NewValues {
  readonly caseId: CaseId;
  /** Unique in the case, `{job}/{chunk}`; where the object of an attempt is there, a repetition takes a key beside it. */
  readonly name: string;
  readonly exhibits: readonly WritableValues[];
  /** The caller's transaction made the exhibits, so that none of them can have values. */
  readonly madeNow?: boolean;
  readonly by: string;
}

/** Values that take the place of what exhibits have. */
export interface ReplacedValues extends Omit<NewValues, 'exhibits' | 'madeNow'> {
  readonly exhibits: readonly (ExhibitValues & {
    /** That was read; 0 for none. */
    readonly version: number;
    readonly before: FieldValues;
  })[];
}

export interface ReadOptions extends Pick<TransactionOptions, 'onStatement'> {
  /** A pass over a case, which comes to each exhibit once: it would only push out of memory what people read again. Default false. */
  readonly passing?: boolean;
}

export interface Fields {
  /** Definitions by title. */
  definitions(caseId: CaseId, actor: Actor, signal?: AbortSignal): Promise<ReadonlyMap<string, FieldDefinition>>;
  /** Forgets the definitions of a case, or of all, after they changed. */
  forget(caseId?: CaseId): void;
  /** Values of those of the exhibits that have any. One statement, and a request for each stretch of an object. */
  read(
    caseId: CaseId,
    actor: Actor,
    exhibitIds: readonly number[],
    signal?: AbortSignal,
    options?: ReadOptions,
  ): Promise<Map<number, StoredValues>>;
  /** As `read`, within a transaction. */
  readWithin(tx: Queryable, exhibitIds: readonly number[], signal?: AbortSignal): Promise<Map<number, StoredValues>>;
  /** Errors: `validation_failed` by title, `exhibit_not_found`, `version_conflict` with both values. */
  update(
    caseId: CaseId,
    actor: Actor,
    update: FieldUpdate,
    requestId?: string,
    options?: Pick<TransactionOptions, 'onStatement'>,
  ): Promise<StoredValues>;
  /** Writes the values of new exhibits in the caller's transaction: an object and a statement for a thousand, a few more in a case with tables. */
  add(tx: Transaction, values: NewValues): Promise<void>;
  /**
   * Replaces values of exhibits that still have the version that was read, in the caller's transaction, and states that they changed; the
   * audit rows are the caller's. @returns the new version of those replaced
   */
  replace(tx: Transaction, values: ReplacedValues): Promise<ReadonlyMap<number, number>>;
  /**
   * Changes the values of many exhibits in the caller's transaction: an object and four statements for a thousand. The caller tells the
   * audit sealer once it has committed.
   */
  overlayValues(tx: Transaction, overlay: ValueOverlay): Promise<OverlayOutcome>;
  /** What maintenance reads and writes with. */
  readonly source: ValueSource;
}

const definitionsLifetimeMs = 30_000;

/** An update without a version that meets another one is made again upon what is there then. */
const updateAttempts = 5;

export const createFields = (dependencies: FieldsDependencies): Fields => {
  const { sessions, objects, clock, cacheBytes, onAudited, crashPoint } = dependencies;
  const { publish = async () => Promise.resolve() } = dependencies;
  const source: ValueSource = { objects, cache: new ValueCache(cacheBytes) };
  const passingSource: ValueSource = { objects, cache: new ValueCache(0) };
  const changed = createExhibitsChanged(publish, 'fields');
  const remembered = new Map<
    CaseId,
    { readonly until: number; readonly definitions: Promise<ReadonlyMap<string, FieldDefinition>> }
  >();

  const definitionsOf: Fields['definitions'] = async (caseId, actor, signal) => {
    const known = remembered.get(caseId);
    if (known !== undefined && known.until > clock.monotonicMs()) return known.definitions;
    // Shared by all who ask meanwhile, so no signal of one of them may end it.
    const definitions = sessions.withCase(caseId, actor, readDefinitions, { readOnly: true, alongside: true });
    const entry = { until: clock.monotonicMs() + definitionsLifetimeMs, definitions };
    remembered.set(caseId, entry);
    definitions.catch(() => {
      if (remembered.get(caseId) === entry) remembered.delete(caseId);
    });
    signal?.throwIfAborted();
    return definitions;
  };

  const checkedChanges = async (caseId: CaseId, actor: Actor, values: ValueChanges): Promise<ValueChanges> => {
    let definitions = await definitionsOf(caseId, actor);
    if (Object.keys(values).some((title) => !definitions.has(title))) {
      remembered.delete(caseId);
      definitions = await definitionsOf(caseId, actor);
    }
    return checkChanges(definitions, values);
  };

  /** Makes what one segment holds the values of record. */
  const link = async (
    tx: Transaction,
    legacy: LegacyStorage | null,
    segment: WrittenSegment | null,
    { exhibits, madeNow, by }: Written,
  ): Promise<ReadonlyMap<number, number>> => {
    if (madeNow === true && legacy === null && segment !== null) {
      await linkNewExhibits(tx, segment);
      return new Map(exhibits.map(({ exhibitId }) => [exhibitId, 1]));
    }
    const swaps = exhibits.map(({ exhibitId, version, before, values }) => ({
      exhibitId,
      version,
      // Only tables keep values one by one.
      changed: legacy === null ? {} : newValues(differences(before, valuesOf(values))),
    }));
    return swapValues(tx, legacy, segment, swaps, by);
  };

  const write = async (tx: Transaction, values: Written): Promise<ReadonlyMap<number, number>> => {
    const versions = new Map<number, number>();
    const parts = partsOf(values);
    if (parts.length === 0) return versions;
    const legacy = await readLegacy(tx);
    // All at once: each waits for the disk several times.
    const segments = await settleAll(
      parts.map(async ({ caseId, name, exhibits }) =>
        writesObjects(legacy) ? writeSegment(objects, segmentKey(caseId, name), exhibits) : null,
      ),
    );
    await objects.flush();
    for (const [at, part] of parts.entries())
      for (const [id, version] of await link(tx, legacy, segments[at] ?? null, part)) versions.set(id, version);
    return versions;
  };

  return {
    source,
    definitions: definitionsOf,
    forget(caseId) {
      if (caseId === undefined) remembered.clear();
      else remembered.delete(caseId);
    },
    async readWithin(tx, exhibitIds, signal) {
      return (await locateValues(tx, source, exhibitIds))(signal);
    },
    async read(caseId, actor, exhibitIds, signal, { passing = false, ...options } = {}) {
      const from = passing ? passingSource : source;
      const pending = await sessions.withCase(caseId, actor, async (tx) => locateValues(tx, from, exhibitIds), {
        readOnly: true,
        readsWithBegin: true,
        ...options,
        ...(signal === undefined ? {} : { signal }),
      });
      return pending(signal);
    },
    async update(caseId, actor, update, requestId, options = {}) {
      const wanted = await checkedChanges(caseId, actor, update.values);
      const by = {
        actor: actor.kind === 'account' ? actor.accountId : 'system',
        ...(requestId === undefined ? {} : { requestId }),
      };
      for (let attempt = 1; ; attempt += 1) {
        const found = await sessions.withCase(caseId, actor, async (tx) => readStates(tx, source, [update.exhibitId]), {
          readOnly: true,
          readsWithBegin: true,
          ...options,
        });
        const before = stateOf(found, update.exhibitId);
        if (update.version !== undefined && update.version !== before.version) throw conflict(update, before, wanted);
        const values = applyChanges(before.values, wanted);
        const changes = differences(before.values, values);
        if (Object.keys(changes).length === 0) return publicState(before);
        const { exhibitId, metadata } = before;
        const segment = writesObjects(found.legacy)
          ? await writeEdit(objects, caseId, { exhibitId, values, metadata }, before.version + 1)
          : null;
        if (segment !== null) await objects.flush();
        crashPoint?.('fields.update.written');
        const swap = { exhibitId, version: before.version, changed: wanted };
        const version = await sessions.withCase(
          caseId,
          actor,
          async (tx) => {
            const swapped = await swapValues(tx, found.legacy, segment, [swap], by.actor);
            const now = swapped.get(exhibitId);
            if (now === undefined) return undefined;
            await Promise.all([
              recordChanges(tx, by, 'exhibits', [{ recordId: exhibitId, recordKey: before.controlNumber, changes }]),
              changed(tx, caseId, [exhibitId], Object.keys(changes)),
            ]);
            return now;
          },
          options,
        );
        if (version !== undefined) {
          onAudited?.(caseId);
          return { exhibitId, values, metadata, version };
        }
        if (update.version !== undefined || attempt === updateAttempts) {
          const now = await sessions.withCase(caseId, actor, async (tx) => readStates(tx, source, [exhibitId]), {
            readOnly: true,
          });
          throw conflict(update, stateOf(now, exhibitId), wanted);
        }
      }
    },
    add: async (tx, { exhibits, ...rest }) => {
      await write(tx, {
        ...rest,
        exhibits: exhibits.map((exhibit) => ({ ...exhibit, version: 0, before: {} })),
      });
    },
    async replace(tx, values) {
      const swapped = await write(tx, values);
      const ids = values.exhibits.map(({ exhibitId }) => exhibitId).filter((id) => swapped.has(id));
      const titles = values.exhibits.flatMap(({ before, values: now }) => Object.keys(differences(before, now)));
      await changed(tx, values.caseId, ids, [...new Set(titles)]);
      return swapped;
    },
    overlayValues: async (tx, overlay) => overlayValues(tx, { ...source, changed }, overlay),
  };
};

/** Values with what they take the place of. */
type Written = Omit<NewValues, 'exhibits'> & {
  readonly exhibits: readonly (WritableValues & { readonly version: number; readonly before: FieldValues })[];
};

/** What each segment is to hold. */
const partsOf = (values: Written): readonly Written[] => {
  const parts: Written[] = [];
  for (let at = 0; at < values.exhibits.length; at += exhibitsPerSegment) {
    const exhibits = values.exhibits.slice(at, at + exhibitsPerSegment);
    parts.push({ ...values, exhibits, name: at === 0 ? values.name : `${values.name}.${at}` });
  }
  return parts;
};

const publicState = ({ exhibitId, values, metadata, version }: ExhibitState): StoredValues => ({
  exhibitId,
  values,
  metadata,
  version,
});

const stateOf = ({ states }: States, exhibitId: number): ExhibitState => {
  const state = states.get(exhibitId);
  if (state === undefined) {
    throw new CaseboundError('exhibit_not_found', `There is no exhibit ${exhibitId} in the case.`);
  }
  return state;
};

const readDefinitions = async (tx: Queryable): Promise<ReadonlyMap<string, FieldDefinition>> => {
  const { rows } = await tx.query<{ title: string; input_type: FieldType; choices: string[] }>(
    `SELECT title, input_type,
            ARRAY (SELECT value FROM custom_field__choices WHERE root_document_id = document_id ORDER BY choices_ordinal) AS choices
     FROM custom_field ORDER BY display_order NULLS LAST, title`,
  );
  return new Map(rows.map(({ title, input_type: inputType, choices }) => [title, { title, inputType, choices }]));
};

const conflict = (update: FieldUpdate, found: StoredValues, wanted: ValueChanges): CaseboundError =>
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
