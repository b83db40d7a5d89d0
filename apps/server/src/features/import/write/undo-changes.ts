/**
 * Takes back what an import changed of exhibits that are not its own, by the audit: an overlay, or what duplicates added to their originals.
 * Every member that still has the value it gave gets the one it had before.
 *
 * - From the last change to the first, in sets; what was taken back already is found to be so, and undoing again changes nothing.
 * - What somebody changed since is left and told. Files that an overlay replaced stay replaced, which is told as well.
 */
import { isDeepStrictEqual } from 'node:util';
import type { JsonValue, StoreContext } from '@casebound/records';
import type { Transaction } from '../../../database/index.ts';
import { insertProblems, problem, type RowProblem } from '../import-problem.ts';
import type { StoredImport } from '../store.ts';
import { changeExhibits, type ChangeParts, type ExhibitState } from './change-exhibits.ts';

const setSize = 1_000;
/** Members that name stored bytes: the bytes of before are gone. */
const ofFiles = new Set([
  'document.variants',
  'document.fileSize',
  'document.md5Hash',
  'document.sha1Hash',
  'document.sha256Hash',
  'document.mimeType',
  'document.pageCount',
  'exhibit.pages',
]);

type Pairs = Readonly<Record<string, readonly [JsonValue, JsonValue]>>;

const takeBack = (state: ExhibitState, pairs: Pairs, left: (member: string, reason: string) => void): ExhibitState => {
  const next = {
    document: { ...state.document },
    exhibit: { ...state.exhibit },
    values: { ...state.values } as { [key: string]: JsonValue },
  };
  for (const [name, [old, given]] of Object.entries(pairs)) {
    const place = name.startsWith('document.') ? 'document' : name.startsWith('exhibit.') ? 'exhibit' : 'values';
    const member = place === 'values' ? name : name.slice(place.length + 1);
    const now = Object.hasOwn(next[place], member) ? (next[place][member] ?? null) : null;
    if (isDeepStrictEqual(now, old)) continue;
    if (ofFiles.has(name)) left(name, 'The file that the overlay brought stays.');
    else if (!isDeepStrictEqual(now, given)) left(name, 'The value was changed since, and stays.');
    else if (old === null) delete next[place][member];
    else next[place][member] = old;
  }
  return { document: next.document, exhibit: next.exhibit, values: next.values as ExhibitState['values'] };
};

/** An exhibit that was changed several times is taken back once for each, the last first. */
const beforeRepeat = <Row extends { readonly record_id: string }>(rows: readonly Row[]): readonly Row[] => {
  const seen = new Set<string>();
  const end = rows.findIndex(({ record_id: id }) => seen.size === seen.add(id).size);
  return end === -1 ? rows : rows.slice(0, end);
};

export interface UndoneChanges {
  /** Under which the changes are in the audit. */
  readonly origin: string;
  /** Of the problem that tells of a member that is left. */
  readonly leftCode: string;
  /** Called in the transaction that takes exhibits back. */
  readonly onTakenBack?: (tx: Transaction, exhibitIds: readonly number[]) => Promise<void>;
}

export const undoChanges = async (
  parts: ChangeParts & { readonly within: (tx: Transaction) => Promise<StoreContext> },
  job: Pick<StoredImport, 'job_id'>,
  { origin, leftCode, onTakenBack }: UndoneChanges,
  transact: <T>(fn: (tx: Transaction) => Promise<T>) => Promise<T>,
): Promise<void> => {
  for (let before: string | null = null; ;) {
    const last: string | undefined = await transact(async (tx) => {
      const { rows } = await tx.query<{ audit_id: string; record_id: string; record_key: string; changes: Pairs }>(
        `SELECT audit_id, record_id, record_key, changes FROM model_audit
         WHERE origin = $1 AND ($2::bigint IS NULL OR audit_id < $2) ORDER BY audit_id DESC LIMIT $3`,
        [origin, before, setSize],
      );
      const problems: RowProblem[] = [];
      const set = beforeRepeat(rows);
      const byExhibit = new Map(set.map((row) => [Number(row.record_id), row]));
      if (byExhibit.size > 0) {
        const { changed } = await changeExhibits(tx, await parts.within(tx), parts, {
          exhibitIds: [...byExhibit.keys()],
          segment: `${job.job_id}-undone/${before ?? 'last'}`,
          origin: `${origin} undone`,
          change: (exhibitId, state) => {
            const row = byExhibit.get(exhibitId);
            if (row === undefined) return state;
            return takeBack(state, row.changes, (field, reason) => {
              problems.push(problem('warning', leftCode, reason, { field, value: row.record_key }));
            });
          },
        });
        await onTakenBack?.(tx, changed);
      }
      await insertProblems(tx, job.job_id, 'undo', problems);
      return set.at(-1)?.audit_id;
    });
    if (last === undefined) return;
    before = last;
  }
};
