/** The look-ups of a batch, one for each resource: what its rows refer to, which of them exist, ids for those that do not. */
import type { Claims } from '../auth/claim-set.ts';
import { rowPredicate } from '../auth/row-predicate.ts';
import type { Resource } from '../derive/model.ts';
import { type RecordTransaction, settleAll } from '../session.ts';
import type { StoreContext } from '../store-context.ts';
import { type LookUp, lookUp } from '../write/look-up.ts';
import type { ReferentialIds } from '../write/referential-ids.ts';
import type { PreparedRow } from './plan-batch.ts';

/** Slots of a batch, each of which is asked for once. */
class AskedSlots {
  private readonly asked: Uint8Array;

  constructor(ids: ReferentialIds) {
    this.asked = new Uint8Array(ids.size);
  }

  /** Adds what has not been asked for to a list. */
  add(slot: number, list: number[]): void {
    if (slot < 0 || this.asked[slot] === 1) return;
    this.asked[slot] = 1;
    list.push(slot);
  }
}

interface Group {
  readonly resource: Resource;
  readonly rows: readonly PreparedRow[];
  readonly slots: number[];
}

const addIdentities = ({ rows, slots }: Group, asked: AskedSlots): void => {
  for (const { block, at } of rows) {
    asked.add(block.own[at] ?? -1, slots);
    asked.add(block.alias[at] ?? -1, slots);
  }
};

const addReferences = ({ rows, slots }: Group, asked: AskedSlots): void => {
  for (const { block, at } of rows) {
    const [from, to] = block.referencesOf(at);
    for (let reference = from; reference < to; reference += 1) asked.add(block.referenceSlots[reference] ?? -1, slots);
  }
};

/**
 * What a row of another resource of the batch has is looked up with that row; where claims count, each resource asks for itself. Of rows that
 * are new nothing is asked but what they refer to outside of the batch.
 */
const groupsOf = (
  ids: ReferentialIds,
  rows: readonly PreparedRow[],
  claims: Claims | null,
  areNew: boolean,
): readonly Group[] => {
  const groups = [...Map.groupBy(rows, (row) => row.block.resource)].map(([resource, some]): Group => ({
    resource,
    rows: some,
    slots: [],
  }));
  if (claims === null || areNew) {
    const asked = new AskedSlots(ids);
    const unasked: Group[] = areNew ? groups.map((group) => ({ ...group, slots: [] })) : groups;
    for (const group of unasked) addIdentities(group, asked);
    for (const group of groups) addReferences(group, asked);
    return groups;
  }
  for (const group of groups) {
    const asked = new AskedSlots(ids);
    addIdentities(group, asked);
    addReferences(group, asked);
  }
  return groups;
};

/** `areNew`: no record has the identity of a row, or the write that follows fails (23505). */
export const lookUpBatch = async (
  ctx: StoreContext,
  tx: RecordTransaction,
  ids: ReferentialIds,
  rows: readonly PreparedRow[],
  claims: Claims | null,
  areNew: boolean,
): Promise<ReadonlyMap<Resource, LookUp>> => {
  const parts = await settleAll(
    groupsOf(ids, rows, claims, areNew).map(async (group): Promise<readonly [Resource, LookUp]> => [
      group.resource,
      await lookUp(ctx, tx, {
        resource: group.resource,
        referentialIds: group.slots.map((slot) => ids.idOf(slot)),
        find: {
          by: 'referentialId',
          keys: areNew ? [] : group.rows.map(({ block, at }) => ids.idOf(block.own[at] ?? -1)),
        },
        newIds: group.rows.length,
        allowed: rowPredicate(ctx, group.resource, 'update', claims, 3),
        claims,
      }),
    ]),
  );
  return new Map(parts);
};
