/**
 * Changes the values of many exhibits at once: one object and a few statements for a thousand of them.
 *
 * 1. Who changed one of them meanwhile is not overwritten: that exhibit is read again and overlaid again, at most `rounds` times.
 * 2. Objects are written before the caller's transaction commits; should it roll back, no pointer leads to them, and a sweep removes them.
 * 3. Pointers, tables, audit rows and the event about the change are written in the caller's transaction: together or not at all.
 */
import { CaseboundError, type CaseId } from '@casebound/contract';
import type { Transaction } from '../../database/index.ts';
import { type ChangedRecord, type ChangeOrigin, recordChanges } from '../audit/index.ts';
import { applyOverlay, differences, newValues, type OverlayMode, type ValueChanges } from './change-values.ts';
import type { ExhibitsChanged } from './exhibits-changed.ts';
import { exhibitsPerSegment, segmentKey, writeSegment } from './segments.ts';
import { type ExhibitState, readStates, swapValues, type ValueSource, writesObjects } from './value-store.ts';

export interface OverlayRow {
  readonly exhibitId: number;
  /** Title -> value that fits its field; null or empty for none. */
  readonly values: ValueChanges;
}

export interface ValueOverlay {
  readonly caseId: CaseId;
  /** Unique in the case for each call, `{job}/{chunk}`; where the objects of an attempt are there, a repetition takes keys beside them. */
  readonly name: string;
  readonly mode: OverlayMode;
  /** One an exhibit; any number. */
  readonly rows: readonly OverlayRow[];
  readonly by: ChangeOrigin;
}

export interface OverlayOutcome {
  /** Exhibits whose values are others now. */
  readonly changed: readonly number[];
  /** How many had the values already. */
  readonly unchanged: number;
  /** Ids that are no exhibits of the case. */
  readonly missing: readonly number[];
}

export interface OverlayParts extends ValueSource {
  readonly changed: ExhibitsChanged;
}

const rounds = 5;

interface Planned {
  readonly before: ExhibitState;
  readonly after: ExhibitState;
  readonly changes: ReturnType<typeof differences>;
}

const plan = (mode: OverlayMode, rows: readonly OverlayRow[], states: ReadonlyMap<number, ExhibitState>): Planned[] =>
  rows.flatMap(({ exhibitId, values }) => {
    const before = states.get(exhibitId);
    if (before === undefined) return [];
    const after = { ...before, values: applyOverlay(mode, before.values, values) };
    const changes = differences(before.values, after.values);
    return Object.keys(changes).length === 0 ? [] : [{ before, after, changes }];
  });

/** In the caller's transaction. Values must fit their fields (`checkValue`). */
export const overlayValues = async (
  tx: Transaction,
  parts: OverlayParts,
  overlay: ValueOverlay,
): Promise<OverlayOutcome> => {
  const changed: number[] = [];
  const missing: number[] = [];
  for (let at = 0; at < overlay.rows.length; at += exhibitsPerSegment) {
    const part = await overlayPart(tx, parts, overlay, at);
    changed.push(...part.changed);
    missing.push(...part.missing);
  }
  return { changed, missing, unchanged: overlay.rows.length - changed.length - missing.length };
};

const overlayPart = async (
  tx: Transaction,
  parts: OverlayParts,
  { caseId, name, mode, rows, by }: ValueOverlay,
  at: number,
): Promise<{ readonly changed: readonly number[]; readonly missing: readonly number[] }> => {
  const done: Planned[] = [];
  let waiting = rows.slice(at, at + exhibitsPerSegment);
  const missing: number[] = [];
  for (let round = 0; waiting.length > 0; round += 1) {
    if (round === rounds) {
      throw new CaseboundError(
        'conflict_retries_exhausted',
        `${waiting.length} exhibits were changed by others again and again while they were overlaid; try again.`,
      );
    }
    const { legacy, states } = await readStates(
      tx,
      parts,
      waiting.map((row) => row.exhibitId),
      tx.signal,
    );
    if (round === 0) missing.push(...waiting.map((row) => row.exhibitId).filter((id) => !states.has(id)));
    const planned = plan(mode, waiting, states);
    if (planned.length === 0) break;
    const key = segmentKey(caseId, `${name}-${at}${round === 0 ? '' : `-${round}`}`);
    const segment = writesObjects(legacy)
      ? await writeSegment(
          parts.objects,
          key,
          planned.map((one) => one.after),
        )
      : null;
    if (segment !== null) await parts.objects.flush();
    const swapped = await swapValues(
      tx,
      legacy,
      segment,
      planned.map((one) => ({
        exhibitId: one.before.exhibitId,
        version: one.before.version,
        changed: newValues(one.changes),
      })),
      by.actor,
    );
    done.push(...planned.filter((one) => swapped.has(one.before.exhibitId)));
    const lost = new Set(planned.map((one) => one.before.exhibitId).filter((id) => !swapped.has(id)));
    waiting = waiting.filter((row) => lost.has(row.exhibitId));
  }
  if (done.length > 0) await state(tx, parts, caseId, by, done);
  return { changed: done.map((one) => one.before.exhibitId), missing };
};

/** Audit rows and the event; sent at once. */
const state = async (
  tx: Transaction,
  parts: OverlayParts,
  caseId: CaseId,
  by: ChangeOrigin,
  done: readonly Planned[],
): Promise<void> => {
  const records = done.map(({ before, changes }): ChangedRecord => ({
    recordId: before.exhibitId,
    recordKey: before.controlNumber,
    changes,
  }));
  const titles = [...new Set(done.flatMap(({ changes }) => Object.keys(changes)))];
  await Promise.all([
    recordChanges(tx, by, 'exhibits', records),
    parts.changed(
      tx,
      caseId,
      records.map((record) => record.recordId),
      titles,
    ),
  ]);
};
