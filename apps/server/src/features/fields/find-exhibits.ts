/**
 * Exhibits that have a value in a custom field.
 *
 * - The index answers. In a case that keeps its values in tables, these do until `filters-from-index` is on; from then on the index does, and the
 *   tables are asked as well while they are written: what differs is logged, for people to look into before the next switch.
 */
import { type Actor, CaseboundError, type CaseId } from '@casebound/contract';
import type { CaseSessions } from '../../database/index.ts';
import type { Log } from '../../platform/log/Port.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import { readCell } from './check-value.ts';
import type { Fields } from './create-fields.ts';
import type { FieldValue } from './field-values.ts';
import { readLegacy } from './store.ts';
import { filterTaggings } from './tags-store.ts';

export interface FindParts {
  readonly sessions: CaseSessions;
  readonly index: SearchIndex;
  readonly fields: Pick<Fields, 'definitions'>;
  readonly log: Log;
}

/** Ids in ascending order, at most `limit`. Errors: `validation_failed` for a field that is none, or a value that does not fit it. */
export type FindByField = (
  caseId: CaseId,
  actor: Actor,
  filter: { readonly title: string; readonly text: string },
  limit: number,
) => Promise<readonly number[]>;

const pageSize = 1_000;

/** All pages of what finds ids after one. */
const collect = async (
  limit: number,
  find: (page: { readonly after: number; readonly limit: number }) => Promise<readonly number[]>,
): Promise<readonly number[]> => {
  const found: number[] = [];
  for (let after = 0; found.length < limit;) {
    const wanted = Math.min(pageSize, limit - found.length);
    const page = await find({ after, limit: wanted });
    found.push(...page);
    if (page.length < wanted) break;
    after = page.at(-1) ?? after;
  }
  return found;
};

const indexed = (value: FieldValue): string | number => {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'number' ? value : String(value);
};

export const createFindByField =
  ({ sessions, index, fields, log }: FindParts): FindByField =>
  async (caseId, actor, { title, text }, limit) => {
    const definition = (await fields.definitions(caseId, actor)).get(title);
    if (definition === undefined)
      throw new CaseboundError('validation_failed', `There is no custom field ${JSON.stringify(title)} in the case.`);
    // One of several choices is asked for as a text; what is no choice any more may still be a value.
    const read = readCell({ ...definition, choices: [] }, text, (cell) => [cell]);
    if (!read.ok) throw new CaseboundError('validation_failed', `The value ${read.reason}.`);
    const value = Array.isArray(read.value) ? text : read.value;
    const legacy = await sessions.withCase(caseId, actor, readLegacy, { readOnly: true, readsWithBegin: true });
    const byIndex = async () =>
      collect(limit, async (page) =>
        index.search(caseId, { filters: [{ field: title, equals: indexed(value) }] }, page),
      );
    const byTables = async () =>
      collect(limit, async (page) =>
        sessions.withCase(caseId, actor, async (tx) => filterTaggings(tx, { title, value }, page), { readOnly: true }),
      );
    if (legacy === null || legacy.tableWritesStopped) return byIndex();
    if (!legacy.filtersFromIndex) return byTables();
    const [found, expected] = [await byIndex(), await byTables()];
    if (found.length !== expected.length || found.some((id, at) => id !== expected[at]))
      log.warn('a filter of custom fields finds other exhibits in the index than in the tables', { caseId });
    return found;
  };
