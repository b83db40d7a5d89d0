/**
 * Writes one chunk in one transaction, with its checkpoint, and repeats it as long as that helps.
 *
 * - The chunk's row is locked: of two that run a job at once the second finds the chunk done. The job's row is share-locked: a rollback
 *   waits for chunks in progress and later ones find that the job is no longer being copied. So does a migration of the destination.
 * - A record whose identity contains that of one which was renamed in the destination meanwhile gets its identity from the rows it was
 *   written with; by then their foreign keys hold what they refer to, so it cannot be renamed again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CaseboundError } from '@casebound/contract';
import { maintainHierarchy } from '../auth/maintain-closure.ts';
import { computeIdentities, knownIdentities } from '../identity/recompute-identities.ts';
import { retryReason } from '../retry.ts';
import { settleAll, sqlFailureOf, type RecordTransaction } from '../session.ts';
import { schemaChanged } from '../write/look-up.ts';
import { identityMoved, overlaidMoved, recordStatements, sourceChanged } from './chunk-statements.ts';
import { type Chunk, chunkValues } from './chunks.ts';
import type { PlannedResource } from './compile-plan.ts';
import { linkStatements, overlayStatements } from './finish-statements.ts';
import type { RecordCopy } from './open-copy.ts';

/** Why a chunk cannot be written as the map stands: the source or the destination has changed since. */
export class MapOutdated extends Error {}

const damaged = (resource: PlannedResource): CaseboundError =>
  new CaseboundError(
    'copy_not_possible',
    `Records of ${resource.name} in the source have no root row or no identity; audit the source with repair, then copy again.`,
  );

/** Records of a committed chunk that are handed to the sampled check. */
const sampled = 50;

const chunkIds = async (
  copy: RecordCopy,
  tx: RecordTransaction,
  chunk: Chunk,
  limit: number | null,
): Promise<number[]> => {
  const members = copy.sql.membersWith(chunk.kind === 'overlay' ? 'o' : 'i');
  const { rows } = await tx.query(
    `SELECT m.document_id FROM ${members} ORDER BY 1${limit === null ? '' : ` LIMIT ${limit}`}`,
    chunkValues(copy, chunk),
  );
  return rows.map((row) => Number(row['document_id']));
};

/**
 * Gives the records of a chunk the identities that follow from their rows. The map keeps those they would have had: so what contains
 * theirs finds that they are called otherwise, and is named from its rows too.
 */
const nameFromRows = async (copy: RecordCopy, tx: RecordTransaction, chunk: Chunk): Promise<void> => {
  const { destination } = copy;
  const ids = await chunkIds(copy, tx, chunk, null);
  const identities = knownIdentities(await computeIdentities(destination, tx, chunk.resource.destination, ids));
  const insert = destination.writes.insertIdentities(identities);
  await tx.query(insert.text, insert.values);
};

const writeRecords = async (copy: RecordCopy, tx: RecordTransaction, chunk: Chunk, named: boolean): Promise<void> => {
  const statements = recordStatements(copy.sql, chunk.resource, named);
  const values = chunkValues(copy, chunk);
  const results = await settleAll(statements.map(async ({ text }) => tx.query(text, values)));
  const records = results[0]?.rowCount ?? 0;
  statements.forEach(({ rowsPerRecord }, index) => {
    if (rowsPerRecord !== null && results[index]?.rowCount !== records * rowsPerRecord) throw damaged(chunk.resource);
  });
  if (!named) await nameFromRows(copy, tx, chunk);
};

const writeContent = async (copy: RecordCopy, tx: RecordTransaction, chunk: Chunk, named: boolean): Promise<void> => {
  if (chunk.kind === 'records') await writeRecords(copy, tx, chunk, named);
  else {
    const statements = (chunk.kind === 'links' ? linkStatements : overlayStatements)(copy.sql, chunk.resource);
    const values = chunkValues(copy, chunk);
    await settleAll(statements.map(async (text) => tx.query(text, values)));
  }
  const { destination } = copy;
  if (maintainHierarchy(destination, chunk.resource.destination, []).length === 0) return;
  const ids = await chunkIds(copy, tx, chunk, null);
  for (const { text, values } of maintainHierarchy(destination, chunk.resource.destination, ids))
    await tx.query(text, values);
};

/** Does a chunk unless it is done; returns some of its records for the sampled check. */
const attempt = async (copy: RecordCopy, chunk: Chunk, named: boolean): Promise<readonly number[]> =>
  copy.destination.database.transaction(async (tx) => {
    const [table, job] = [copy.sql.own('record_copy_chunk'), copy.sql.own('record_copy_job')];
    const { writes, model, schema } = copy.destination;
    const { rows } = await tx.query(
      `SELECT c.done_at, j.state, EXISTS (SELECT 1 ${writes.otherSchema(model.fingerprint)}) AS was_migrated FROM ${table} c JOIN ${job} j ON j.job_id = c.job_id WHERE c.job_id = $1 AND c.chunk = $2 FOR UPDATE OF c FOR SHARE OF j`,
      [copy.jobId, chunk.chunk],
    );
    const [row] = rows;
    if (row === undefined || row['done_at'] !== null) return [];
    if (row['was_migrated'] === true) throw schemaChanged(schema);
    if (row['state'] !== 'copying')
      throw new CaseboundError('copy_state_invalid', `The copy ${copy.key.slice(0, 100)} is no longer being copied.`);
    await writeContent(copy, tx, chunk, named);
    const ids = await chunkIds(copy, tx, chunk, sampled);
    copy.destination.crashPoint('records.copy.before-checkpoint');
    await tx.query(`UPDATE ${table} SET done_at = now() WHERE job_id = $1 AND chunk = $2`, [copy.jobId, chunk.chunk]);
    copy.destination.crashPoint('records.copy.after-checkpoint');
    return ids;
  });

type Next = 'again' | 'reconnect' | 'name-from-rows' | 'outdated' | 'fail';

const unreachable = new Set(['database_unreachable', 'commit_unknown', 'overloaded']);

/** What a failure of a chunk calls for. */
const nextAfter = (error: unknown): Next => {
  if (error instanceof CaseboundError && unreachable.has(error.code)) return 'reconnect';
  const failure = sqlFailureOf(error);
  if (failure === null) return 'fail';
  if (failure.raised === identityMoved) return 'name-from-rows';
  if (failure.raised === sourceChanged || failure.raised === overlaidMoved) return 'outdated';
  if (failure.sqlState === '23503' || failure.sqlState === '23505') return 'outdated';
  if (failure.sqlState.startsWith('08') || failure.sqlState.startsWith('57P')) return 'reconnect';
  return retryReason(error, false) === null ? 'fail' : 'again';
};

/** A lost connection is tried again this often, with waits that double from a fifth of a second. */
const reconnects = 6;

/**
 * Writes a chunk.
 * @throws `MapOutdated` when the map must be brought up to date first
 */
export const writeChunk = async (copy: RecordCopy, chunk: Chunk): Promise<void> => {
  const { destination } = copy;
  const limits = { again: destination.retry.attempts, reconnect: reconnects };
  const tries = { again: 0, reconnect: 0 };
  for (let named = true; ;) {
    copy.signal?.throwIfAborted();
    try {
      const ids = await attempt(copy, chunk, named);
      if (ids.length > 0) destination.afterCommit(chunk.resource.destination, ids);
      return;
    } catch (error) {
      const next = nextAfter(error);
      if (next === 'outdated') throw new MapOutdated('the map is outdated', { cause: error });
      if (next === 'fail') throw error;
      if (next === 'name-from-rows') {
        if (!named) throw error;
        named = false;
        continue;
      }
      tries[next] += 1;
      if (tries[next] >= limits[next]) throw error;
      destination.retryObserver.onRetry(next === 'again' ? (retryReason(error, false) ?? 'conflict') : 'connection');
      const bound = next === 'again' ? destination.retry.maxMs : 200 * 2 ** tries.reconnect;
      await sleep(Math.random() * bound);
    }
  }
};
