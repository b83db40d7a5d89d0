/** The SQL of cases. Rows in, `Case`s out; no decisions. */
import { CaseId, CaseboundError, type Case, type CaseState } from '@casebound/contract';
import { z } from 'zod';
import type { Queryable } from '../../database/index.ts';

const columns = `case_id, name, cases.state, server, database_name, schema_name, case_database_id, cases.created_at, cases.updated_at`;
const tables = `core.cases JOIN core.case_placement USING (case_id) JOIN core.case_database USING (case_database_id)`;

/** `bigint` arrives as text; every case id fits a number, for the contract says so. */
const Row = z
  .object({
    case_id: z.coerce.number().pipe(CaseId),
    name: z.string(),
    state: z.enum(['creating', 'active', 'archived', 'deleting']),
    server: z.string(),
    database_name: z.string(),
    schema_name: z.string(),
    case_database_id: z.number(),
    created_at: z.date(),
    updated_at: z.date(),
  })
  .transform((row): StoredCase => ({
    caseId: row.case_id,
    name: row.name,
    state: row.state,
    server: row.server,
    databaseName: row.database_name,
    schema: row.schema_name,
    caseDatabaseId: row.case_database_id,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }));

export interface StoredCase {
  readonly caseId: CaseId;
  readonly name: string;
  readonly state: CaseState;
  readonly server: string;
  readonly databaseName: string;
  readonly schema: string;
  readonly caseDatabaseId: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What two names that differ only in case have in common. Upper case first, for `ß` and `SS` are one name. */
export function nameKey(name: string): string {
  return name.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

export function toCase(stored: StoredCase): Case {
  return {
    caseId: stored.caseId,
    name: stored.name,
    state: stored.state,
    database: stored.databaseName,
    schema: stored.schema,
    createdAt: stored.createdAt.toISOString(),
    updatedAt: stored.updatedAt.toISOString(),
  };
}

/** Inserts the case as `creating` and returns its id. Errors: a unique violation of `cases_name_key_unique`. */
export async function insertCase(tx: Queryable, name: string): Promise<CaseId> {
  const { rows } = await tx.query<{ case_id: string }>(
    `INSERT INTO core.cases (name, name_key, state) VALUES ($1, $2, 'creating') RETURNING case_id`,
    [name, nameKey(name)],
  );
  return CaseId.parse(Number(rows[0]?.case_id));
}

export async function insertPlacement(
  tx: Queryable,
  caseId: CaseId,
  caseDatabaseId: number,
  schema: string,
): Promise<void> {
  await tx.query('INSERT INTO core.case_placement (case_id, case_database_id, schema_name) VALUES ($1, $2, $3)', [
    caseId,
    caseDatabaseId,
    schema,
  ]);
}

export async function findCase(tx: Queryable, caseId: CaseId): Promise<StoredCase | undefined> {
  const { rows } = await tx.query(`SELECT ${columns} FROM ${tables} WHERE case_id = $1`, [caseId]);
  return rows[0] === undefined ? undefined : Row.parse(rows[0]);
}

/** The case with its row locked. `skip`: undefined also when another transaction holds it. */
export async function lockCase(tx: Queryable, caseId: CaseId, skip = false): Promise<StoredCase | undefined> {
  const { rows } = await tx.query(
    `SELECT ${columns} FROM ${tables} WHERE case_id = $1 FOR UPDATE OF cases ${skip ? 'SKIP LOCKED' : ''}`,
    [caseId],
  );
  return rows[0] === undefined ? undefined : Row.parse(rows[0]);
}

/** Sets the state when it is one of `from`. @returns whether it was. */
export async function changeState(
  tx: Queryable,
  caseId: CaseId,
  from: readonly CaseState[],
  to: CaseState,
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `UPDATE core.cases SET state = $3, updated_at = now() WHERE case_id = $1 AND state = ANY ($2)`,
    [caseId, from, to],
  );
  return rowCount === 1;
}

export async function changeName(tx: Queryable, caseId: CaseId, name: string): Promise<void> {
  await tx.query('UPDATE core.cases SET name = $2, name_key = $3, updated_at = now() WHERE case_id = $1', [
    caseId,
    name,
    nameKey(name),
  ]);
}

/** Removes the rows of a case. @returns the case database it was counted in, or undefined when it was gone already. */
export async function removeCase(tx: Queryable, caseId: CaseId): Promise<number | undefined> {
  const { rows } = await tx.query<{ case_database_id: number }>(
    'DELETE FROM core.case_placement WHERE case_id = $1 RETURNING case_database_id',
    [caseId],
  );
  await tx.query('DELETE FROM core.cases WHERE case_id = $1', [caseId]);
  return rows[0]?.case_database_id;
}

export interface CaseFilter {
  readonly after?: CaseId | undefined;
  readonly limit: number;
  readonly state?: CaseState | undefined;
  /** Exactly this name, without regard to case. */
  readonly name?: string | undefined;
}

/** One page by id, and how many cases the filter has in all. */
export async function listCases(
  tx: Queryable,
  filter: CaseFilter,
): Promise<{ readonly cases: StoredCase[]; readonly total: number; readonly more: boolean }> {
  const condition = `($1::text IS NULL OR cases.state = $1) AND ($2::text IS NULL OR name_key = $2)`;
  const values = [filter.state ?? null, filter.name === undefined ? null : nameKey(filter.name)];
  const page = await tx.query(
    `SELECT ${columns} FROM ${tables} WHERE ${condition} AND case_id > $3 ORDER BY case_id LIMIT $4`,
    [...values, filter.after ?? 0, filter.limit + 1],
  );
  const total = await tx.query<{ total: number }>(
    `SELECT count(*)::int AS total FROM core.cases WHERE ${condition}`,
    values,
  );
  return {
    cases: page.rows.slice(0, filter.limit).map((row) => Row.parse(row)),
    total: total.rows[0]?.total ?? 0,
    more: page.rows.length > filter.limit,
  };
}

export async function countByState(tx: Queryable): Promise<Readonly<Record<CaseState, number>>> {
  const { rows } = await tx.query<{ state: CaseState; count: number }>(
    'SELECT state, count(*)::int AS count FROM core.cases GROUP BY state',
  );
  const counts = { creating: 0, active: 0, archived: 0, deleting: 0 };
  for (const row of rows) counts[row.state] = row.count;
  return counts;
}

/** Ids of cases that a crash may have left half-way. */
export async function listUnsettled(tx: Queryable): Promise<{ caseId: CaseId; state: CaseState }[]> {
  const { rows } = await tx.query<{ case_id: string; state: CaseState }>(
    `SELECT case_id, state FROM core.cases WHERE state IN ('creating', 'deleting') ORDER BY case_id`,
  );
  return rows.map((row) => ({ caseId: CaseId.parse(Number(row.case_id)), state: row.state }));
}

export function notFound(caseId: CaseId): CaseboundError {
  return new CaseboundError('case_not_found', `There is no case ${caseId}.`);
}

/** The error of an operation that meets a case on its way in or out. */
export function busy(stored: StoredCase): CaseboundError {
  const doing = stored.state === 'creating' ? 'being created' : 'being deleted';
  return new CaseboundError('case_busy', `The case ${stored.caseId} is ${doing}.`, { retryAfterSeconds: 1 });
}
