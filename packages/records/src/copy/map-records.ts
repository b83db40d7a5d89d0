/**
 * Builds the identity map of a job: which records travel, and what each becomes in the destination.
 *
 * - A round is one transaction that ends by counting itself in the job's row, so an interrupted mapping goes on with the round that it
 *   was in. Nothing but the job's own tables is written.
 * - What the policy forbids (identities that exist, two records that would get one identity) is found here, before the first record
 *   is written, and undoes the mapping.
 */
import { CaseboundError } from '@casebound/contract';
import { displayName, type ResourceName } from '../derive/model.ts';
import { uuidV5 } from '../identity/referential-id.ts';
import { arrayLiteral } from '../plan/array-literal.ts';
import type { RecordTransaction } from '../session.ts';
import { plannedByKey } from './chunks.ts';
import type { PlannedResource } from './compile-plan.ts';
import { insertChunks, insertRound, resolvePending, roundIds, takenAliases } from './map-sql.ts';
import { copyState, inDestination, moveTo, queryByHash, type RecordCopy } from './open-copy.ts';
import { sourceIdentity } from './source-identity.ts';
import { stageSource } from './stage-source.ts';

export interface ResourceCounts {
  readonly inserted: number;
  readonly matched: number;
  readonly skipped: number;
  readonly overlaid: number;
}

export interface CopySummary {
  readonly selected: number;
  /** Selected records that the source does not have (any more). */
  readonly missing: number;
  /** By `Project.Resource`, of all records that the copy touches. */
  readonly resources: Readonly<Record<string, ResourceCounts>>;
}

const namesPerRead = 10_000;
/** Conflicts that an error lists; it says how many there are. */
const listed = 100;

/** The query that reads identity texts of a resource's pending records (`$2` its key, `$3` the last id read), and how to hash them. */
const pendingQuery = (
  copy: RecordCopy,
  resource: PlannedResource,
): {
  readonly text: string;
  readonly hash: (row: Record<string, unknown>) => { own: string | null; alias: string | null };
} =>
  copy.sql.memo(`pending ${resource.name}`, () => {
    const { sql } = copy;
    const { own, alias, joins } = sourceIdentity(sql, resource.source);
    const hashed = (name: ResourceName, text: string | null): string | null =>
      text === null ? null : uuidV5(`${name.projectName}${name.resourceName}${text}`);
    const { name, alias: superclass } = resource.destination;
    return {
      text: `SELECT m.source_document_id AS id, ${own.sql} AS own, ${alias?.sql ?? 'NULL'} AS alias FROM ${sql.own('record_copy_map')} m JOIN ${sql.source(resource.source.root.name)} t ON t.document_id = m.source_document_id ${joins} WHERE m.job_id = $1 AND m.resource_key_id = $2 AND m.action = 'p' AND m.source_document_id > $3 ORDER BY m.source_document_id LIMIT ${namesPerRead}`,
      hash: (row) => ({
        own: hashed(name, own.read(row['own'])),
        alias: alias === null || superclass === null ? null : hashed(superclass.target, alias.read(row['alias'])),
      }),
    };
  });

/** Computes the referential ids of a resource's pending records. */
const computePending = async (copy: RecordCopy, tx: RecordTransaction, resource: PlannedResource): Promise<void> => {
  const key = copy.sql.ownKey(resource.destination.name);
  const { text, hash } = pendingQuery(copy, resource);
  for (let last = 0; ;) {
    const { rows } = await tx.query(text, [copy.jobId, key, last]);
    const end = rows.at(-1);
    if (end === undefined) return;
    last = Number(end['id']);
    const named = rows.map((row) => ({ id: Number(row['id']), ...hash(row) }));
    const nameless = named.filter((entry) => entry.own === null);
    if (nameless.length > 0) {
      throw new CaseboundError(
        'copy_conflict',
        `The policy gives ${nameless.length} records of ${resource.name} no identity.`,
        {
          errors: nameless
            .slice(0, listed)
            .map(({ id }) => ({ path: `${resource.name}/${id}`, message: 'would have no identity' })),
        },
      );
    }
    await tx.query(
      `UPDATE ${copy.sql.own('record_copy_map')} m SET referential_id = u.r, alias_id = u.a FROM unnest($2::bigint[], $3::uuid[], $4::uuid[]) AS u(i, r, a) WHERE m.job_id = $1 AND m.source_document_id = u.i`,
      [
        copy.jobId,
        arrayLiteral(named.map((entry) => entry.id)),
        arrayLiteral(named.map((entry) => entry.own)),
        arrayLiteral(named.map((entry) => entry.alias)),
      ],
    );
  }
};

const conflict = (
  resource: string,
  count: number,
  rows: readonly Record<string, unknown>[],
  what: string,
): CaseboundError =>
  new CaseboundError('copy_conflict', `${count} records of ${resource} ${what} in the destination.`, {
    errors: rows.slice(0, listed).map((row) => ({
      path: `${resource}/${String(row['source_document_id'])}`,
      message: what,
    })),
  });

/** Refuses what a round found and the policy forbids. */
export const checkResource = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  resource: PlannedResource,
): Promise<void> => {
  const { sql } = copy;
  const key = sql.ownKey(resource.destination.name);
  const map = sql.own('record_copy_map');
  if (resource.mode === 'insert' && resource.onConflict === 'fail') {
    const { rows } = await tx.query(
      `SELECT source_document_id, document_id, count(*) OVER () AS total FROM ${map} WHERE job_id = $1 AND resource_key_id = $2 AND action = 'c' ORDER BY source_document_id LIMIT ${listed}`,
      [copy.jobId, key],
    );
    if (rows.length > 0) throw conflict(resource.name, Number(rows[0]?.['total']), rows, 'exist already');
  }
  if (resource.recompute) {
    const { rows } = await tx.query(
      `SELECT min(source_document_id) AS source_document_id, count(*) OVER () AS total FROM ${map} WHERE job_id = $1 AND resource_key_id = $2 AND action = 'i' GROUP BY referential_id HAVING count(*) > 1 LIMIT ${listed}`,
      [copy.jobId, key],
    );
    if (rows.length > 0)
      throw conflict(resource.name, Number(rows[0]?.['total']), rows, 'would share an identity with another');
  }
  const aliases = takenAliases(sql, resource);
  if (aliases !== null) {
    const { rows } = await tx.query(aliases, [copy.jobId, key]);
    if (rows.length > 0)
      throw conflict(resource.name, rows.length, rows, 'have the identity of a record of another kind');
  }
};

/** Resources that a round holds. */
const resourcesOfRound = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  generation: number,
): Promise<readonly PlannedResource[]> => {
  const { rows } = await tx.query(
    `SELECT DISTINCT resource_key_id FROM ${copy.sql.own('record_copy_map')} WHERE job_id = $1 AND generation = $2`,
    [copy.jobId, generation],
  );
  const byKey = plannedByKey(copy);
  return rows.flatMap((row) => byKey.get(Number(row['resource_key_id'])) ?? []).sort((a, b) => a.level - b.level);
};

/** Computes the identities of a resource's pending records and decides about them. */
export const settlePending = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  resource: PlannedResource,
): Promise<void> => {
  await computePending(copy, tx, resource);
  for (const text of resolvePending(copy.sql, resource))
    await queryByHash(tx, text, [copy.jobId, copy.sql.ownKey(resource.destination.name)]);
};

/** One round; returns how many records it added. */
export const runRound = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  generation: number,
  batch: number,
): Promise<number> => {
  const from = generation === 0 ? 'selection' : await resourcesOfRound(copy, tx, generation - 1);
  const ids = roundIds(copy.sql, from);
  if (ids === null) return 0;
  const { rowCount } = await tx.query(insertRound(copy.sql, ids), [copy.jobId, generation, batch]);
  if ((rowCount ?? 0) === 0) return 0;
  for (const resource of await resourcesOfRound(copy, tx, generation)) {
    if (resource.recompute) await settlePending(copy, tx, resource);
    await checkResource(copy, tx, resource);
  }
  return rowCount ?? 0;
};

const checkSelection = async (copy: RecordCopy, tx: RecordTransaction): Promise<void> => {
  const { sql } = copy;
  const { rows } = await tx.query(
    `SELECT d.resource_key_id, count(*) AS n FROM ${sql.own('record_copy_selection')} s JOIN ${sql.source('document')} d ON d.document_id = s.source_document_id WHERE s.job_id = $1 AND NOT d.resource_key_id = ANY($2::smallint[]) GROUP BY 1`,
    [copy.jobId, copy.plan.resources.map((resource) => sql.sourceKey(resource.source.name))],
  );
  if (rows.length === 0) return;
  const names = rows.map((row) => {
    const found = [...copy.plan.source.resources.values()].find(
      (resource) => copy.source.resourceKey(resource.name) === Number(row['resource_key_id']),
    );
    return `${String(row['n'])} of ${found === undefined ? 'another schema' : displayName(found.name)}`;
  });
  throw new CaseboundError('copy_not_possible', `Selected records do not travel by this policy: ${names.join(', ')}.`);
};

/** Runs the next round; true when the map is complete. */
const nextRound = async (copy: RecordCopy): Promise<boolean> =>
  inDestination(copy, async (tx) => {
    const job = copy.sql.own('record_copy_job');
    const state = await moveTo(copy, tx, ['selecting', 'mapping', 'mapped'], 'mapping');
    if (state === 'mapped') {
      await moveTo(copy, tx, ['mapping'], 'mapped');
      return true;
    }
    const { rows } = await tx.query(`SELECT generation FROM ${job} WHERE job_id = $1`, [copy.jobId]);
    const generation = Number(rows[0]?.['generation']) + 1;
    if (generation === 0) await checkSelection(copy, tx);
    const added = await runRound(copy, tx, generation, 0);
    await tx.query(`UPDATE ${job} SET generation = $2 WHERE job_id = $1`, [copy.jobId, generation]);
    copy.destination.crashPoint('records.copy.in-round');
    if (added > 0) return false;
    await tx.query(insertChunks(copy.sql), [copy.jobId, copy.chunkSize, 0]);
    await moveTo(copy, tx, ['mapping'], 'mapped');
    return true;
  });

/** Undoes a mapping of which nothing was written. */
const unmap = async (copy: RecordCopy): Promise<void> =>
  inDestination(copy, async (tx) => {
    await moveTo(copy, tx, ['mapping', 'selecting'], 'selecting');
    await tx.query(`DELETE FROM ${copy.sql.own('record_copy_map')} WHERE job_id = $1`, [copy.jobId]);
    await tx.query(`UPDATE ${copy.sql.own('record_copy_job')} SET generation = -1 WHERE job_id = $1`, [copy.jobId]);
  });

/** Counts of the map as it stands. */
export const summariseCopy = async (copy: RecordCopy): Promise<CopySummary> =>
  inDestination(copy, async (tx) => {
    const map = copy.sql.own('record_copy_map');
    const selection = copy.sql.own('record_copy_selection');
    const { rows } = await tx.query(
      `SELECT resource_key_id, count(*) FILTER (WHERE action = 'i') AS inserted, count(*) FILTER (WHERE action IN ('m', 'j')) AS matched, count(*) FILTER (WHERE action = 's') AS skipped, count(*) FILTER (WHERE action = 'o') AS overlaid FROM ${map} WHERE job_id = $1 GROUP BY resource_key_id`,
      [copy.jobId],
    );
    const { rows: selected } = await tx.query(
      `SELECT count(*) AS selected, count(*) FILTER (WHERE m.job_id IS NULL) AS missing FROM ${selection} s LEFT JOIN ${map} m ON m.job_id = $1 AND m.source_document_id = s.source_document_id WHERE s.job_id = $1`,
      [copy.jobId],
    );
    const byKey = plannedByKey(copy);
    const resources = rows.flatMap((row): [string, ResourceCounts][] => {
      const resource = byKey.get(Number(row['resource_key_id']));
      if (resource === undefined) return [];
      const count = (name: string): number => Number(row[name]);
      return [
        [
          resource.name,
          {
            inserted: count('inserted'),
            matched: count('matched'),
            skipped: count('skipped'),
            overlaid: count('overlaid'),
          },
        ],
      ];
    });
    return {
      selected: Number(selected[0]?.['selected']),
      missing: Number(selected[0]?.['missing']),
      resources: Object.fromEntries(resources.sort(([a], [b]) => (a < b ? -1 : 1))),
    };
  });

const analyse = async (copy: RecordCopy): Promise<void> => {
  // A role that does not own the table gets a warning instead; the statements then run on estimates.
  await copy.destination.database.transaction((tx) => tx.query(`ANALYZE ${copy.sql.own('record_copy_map')}`));
};

/**
 * Builds the map, or goes on building it, and returns what the copy will do. Repeated on a complete map it only counts. From another
 * database the source's rows are staged first.
 * @throws `copy_conflict` naming records that cannot be inserted; `copy_not_possible` when a selected record does not travel
 */
export const mapRecords = async (copy: RecordCopy): Promise<CopySummary> => {
  const state = await copyState(copy);
  if (state === 'selecting' || state === 'mapping') {
    // Until the first round the selection may still grow, and with it what must be staged.
    await stageSource(copy, state === 'selecting' ? state : false);
    try {
      for (let complete = false; !complete;) {
        copy.signal?.throwIfAborted();
        complete = await nextRound(copy);
        await analyse(copy);
        copy.destination.crashPoint('records.copy.after-round');
      }
    } catch (error) {
      if (error instanceof CaseboundError && (error.code === 'copy_conflict' || error.code === 'copy_not_possible'))
        await unmap(copy);
      throw error;
    }
  }
  return summariseCopy(copy);
};
