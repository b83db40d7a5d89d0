/**
 * Takes an overlay back, by its audit: every member that still has the value it gave gets the one it had before.
 *
 * - From the last change to the first, in sets; what was taken back already is found to be so, and undoing again changes nothing.
 * - What somebody changed since is left and told. Files that the overlay replaced stay replaced, which is told as well.
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

export const undoOverlay = async (
  parts: ChangeParts & { readonly within: (tx: Transaction) => Promise<StoreContext> },
  job: Pick<StoredImport, 'job_id'>,
  transact: <T>(fn: (tx: Transaction) => Promise<T>) => Promise<T>,
): Promise<void> => {
  const origin = `overlay ${job.job_id}`;
  for (let before: string | null = null; ;) {
    const last: string | undefined = await transact(async (tx) => {
      const { rows } = await tx.query<{ audit_id: string; record_id: string; record_key: string; changes: Pairs }>(
        `SELECT audit_id, record_id, record_key, changes FROM model_audit
         WHERE origin = $1 AND ($2::bigint IS NULL OR audit_id < $2) ORDER BY audit_id DESC LIMIT $3`,
        [origin, before, setSize],
      );
      const problems: RowProblem[] = [];
      const byExhibit = new Map(rows.map((row) => [Number(row.record_id), row]));
      if (byExhibit.size > 0) {
        await changeExhibits(tx, await parts.within(tx), parts, {
          exhibitIds: [...byExhibit.keys()],
          segment: `${job.job_id}-undone/${before ?? 'last'}`,
          origin: `${origin} undone`,
          change: (exhibitId, state) => {
            const row = byExhibit.get(exhibitId);
            if (row === undefined) return state;
            return takeBack(state, row.changes, (field, reason) => {
              problems.push(problem('warning', 'overlay_left', reason, { field, value: row.record_key }));
            });
          },
        });
      }
      await insertProblems(tx, job.job_id, 'undo', problems);
      return rows.at(-1)?.audit_id;
    });
    if (last === undefined) return;
    before = last;
  }
};
