/**
 * The row of an exchange: the SQL of it, and nothing decided.
 *
 * - `changeJob` names the fencing token under which its author took the job; when another process has taken it since, nothing
 *   changes and `lease_lost` is thrown.
 */
import { Actor, BatchId, CaseboundError, CaseId, ExchangeRequest, ExchangeState, JobId } from '@casebound/contract';
import { z } from 'zod';
import type { Queryable } from '../../database/index.ts';

export const Resource = z.object({
  kind: z.enum(['queue', 'worker', 'subscription']),
  /** Of a queue or subscription the queue's name, of a worker its own. */
  name: z.string(),
  address: z.string(),
  stage: z.string(),
});
export type Resource = z.infer<typeof Resource>;

const Failure = z.object({ step: z.string(), code: z.string(), reason: z.string() });
export type Failure = z.infer<typeof Failure>;

/** What the steps remember between their parts; each step owns its members. */
export const Checkpoint = z.object({
  /** Last ordinal whose ledger rows and messages are committed. */
  payloadAfter: z.number().int().optional(),
  payloadMessages: z.number().int().optional(),
  payloadDocuments: z.number().int().optional(),
  payloadDone: z.boolean().optional(),
  /** How often the take-down was put off. */
  teardownRound: z.number().int().optional(),
  /** Report of what a compensation kept because others have come to depend on it. */
  kept: z.array(z.string()).optional(),
  /** Last second in which progress was published. */
  progressAt: z.number().optional(),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

const Counters = z.object({
  exhibits: z.number().int().default(0),
  records: z.record(z.string(), z.number()).default({}),
});
export type Counters = z.infer<typeof Counters>;

const Row = z
  .object({
    job_id: JobId,
    idempotency_key: z.string(),
    request_hash: z.string(),
    source_case_id: z.coerce.number().pipe(CaseId),
    destination_case_id: z.coerce.number().pipe(CaseId),
    batch_id: z.coerce.number().nullable(),
    state: ExchangeState,
    ends_as: z.enum(['FAILED', 'CANCELLED', 'ROLLED_BACK']).nullable(),
    cancel_requested: z.boolean(),
    round: z.number(),
    attempt: z.number(),
    fencing_token: z.coerce.number(),
    request: ExchangeRequest,
    checkpoint: Checkpoint,
    resources: z.array(Resource),
    counters: Counters,
    failure: Failure.nullable(),
    manifest_key: z.string().nullable(),
    created_by: Actor,
    traceparent: z.string(),
    tick: z.coerce.number(),
    created_at: z.date(),
    updated_at: z.date(),
    finished_at: z.date().nullable(),
  })
  .transform((row) => ({
    jobId: row.job_id,
    idempotencyKey: row.idempotency_key,
    requestHash: row.request_hash,
    sourceCaseId: row.source_case_id,
    destinationCaseId: row.destination_case_id,
    batchId: row.batch_id === null ? null : BatchId.parse(row.batch_id),
    state: row.state,
    endsAs: row.ends_as,
    cancelRequested: row.cancel_requested,
    round: row.round,
    attempt: row.attempt,
    fencingToken: row.fencing_token,
    request: row.request,
    checkpoint: row.checkpoint,
    resources: row.resources,
    counters: row.counters,
    failure: row.failure,
    manifestKey: row.manifest_key,
    createdBy: row.created_by,
    traceparent: row.traceparent,
    tick: row.tick,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    finishedAt: row.finished_at,
  }));
export type ExchangeJob = z.output<typeof Row>;

/** Of a finished step a job has ended in; nothing drives it any more. */
const endStates = ['FINISHED', 'FINISHED_WITH_ERRORS', 'FAILED', 'CANCELLED', 'ROLLED_BACK'] as const;
export const hasEnded = (state: ExchangeState): boolean => endStates.some((end) => end === state);

const columns = `job_id, idempotency_key, request_hash, source_case_id, destination_case_id, batch_id, state, ends_as, cancel_requested, round, attempt,
  fencing_token, request, checkpoint, resources, counters, failure, manifest_key, created_by, traceparent, tick, created_at, updated_at, finished_at`;
const read = (rows: readonly object[]): ExchangeJob[] => rows.map((row) => Row.parse(row));

export interface NewJob {
  readonly jobId: JobId;
  readonly idempotencyKey: string;
  readonly requestHash: string;
  readonly request: ExchangeRequest;
  readonly createdBy: Actor;
  readonly traceparent: string;
}

/** Undefined when the key is used. */
export const insertJob = async (tx: Queryable, job: NewJob): Promise<ExchangeJob | undefined> => {
  const { rows } = await tx.query(
    `INSERT INTO exchange.job (job_id, idempotency_key, request_hash, source_case_id, destination_case_id, state, request, created_by, traceparent)
     VALUES ($1, $2, $3, $4, $5, 'INITIATING', $6::jsonb, $7::jsonb, $8) ON CONFLICT (idempotency_key) DO NOTHING RETURNING ${columns}`,
    [
      job.jobId,
      job.idempotencyKey,
      job.requestHash,
      job.request.sourceCaseId,
      job.request.destinationCaseId,
      JSON.stringify(job.request),
      JSON.stringify(job.createdBy),
      job.traceparent,
    ],
  );
  return read(rows)[0];
};

export const findByKey = async (tx: Queryable, key: string): Promise<ExchangeJob | undefined> =>
  read((await tx.query(`SELECT ${columns} FROM exchange.job WHERE idempotency_key = $1`, [key])).rows)[0];

export const findJob = async (tx: Queryable, jobId: JobId, lock = ''): Promise<ExchangeJob | undefined> =>
  read((await tx.query(`SELECT ${columns} FROM exchange.job WHERE job_id = $1 ${lock}`, [jobId])).rows)[0];

/** @throws CaseboundError `exchange_not_found` */
export const getJob = async (tx: Queryable, jobId: JobId, lock = ''): Promise<ExchangeJob> => {
  const found = await findJob(tx, jobId, lock);
  if (found === undefined) throw new CaseboundError('exchange_not_found', `There is no exchange ${jobId}.`);
  return found;
};

export const countOpen = async (tx: Queryable, caseId: CaseId): Promise<number> => {
  // Counted and inserted under one lock a case, so that two starts cannot both find the last place.
  await tx.query('SELECT pg_advisory_xact_lock(1128350540, hashint8($1::bigint))', [caseId]);
  const { rows } = await tx.query<{ open: number }>(
    `SELECT count(*)::int AS open FROM exchange.job WHERE finished_at IS NULL AND (source_case_id = $1 OR destination_case_id = $1)`,
    [caseId],
  );
  return rows[0]?.open ?? 0;
};

export interface JobFilter {
  readonly state?: ExchangeState | undefined;
  readonly caseId?: CaseId | undefined;
  readonly before?: JobId | undefined;
  readonly limit: number;
}

/** Newest first: job ids are UUIDv7. */
export const listJobs = async (tx: Queryable, filter: JobFilter): Promise<ExchangeJob[]> => {
  const { rows } = await tx.query(
    `SELECT ${columns} FROM exchange.job
     WHERE ($1::text IS NULL OR state = $1) AND ($2::bigint IS NULL OR source_case_id = $2 OR destination_case_id = $2)
       AND ($3::uuid IS NULL OR job_id < $3) ORDER BY job_id DESC LIMIT $4`,
    [filter.state ?? null, filter.caseId ?? null, filter.before ?? null, filter.limit],
  );
  return read(rows);
};

export const listOpenJobs = async (tx: Queryable): Promise<JobId[]> => {
  const { rows } = await tx.query<{ job_id: JobId }>(
    'SELECT job_id FROM exchange.job WHERE finished_at IS NULL ORDER BY job_id',
  );
  return rows.map((row) => row.job_id);
};

/** For a process that knows that it is the only one: what others held, it may take. What it drives itself already stays its own. */
export const clearLeases = async (tx: Queryable, worker: string): Promise<void> => {
  await tx.query(
    'UPDATE exchange.job SET lease_until = NULL, worker = NULL WHERE finished_at IS NULL AND worker <> $1',
    [worker],
  );
};

/** Takes the job for `leaseMs`; undefined while another process drives it, when it has ended, and for a tick that is not its newest. */
export const takeJob = async (
  tx: Queryable,
  jobId: JobId,
  worker: string,
  leaseMs: number,
  tick?: number,
): Promise<ExchangeJob | undefined> => {
  const { rows } = await tx.query(
    `UPDATE exchange.job SET fencing_token = fencing_token + 1, worker = $2, lease_until = clock_timestamp() + $3 * interval '1 millisecond'
     WHERE job_id = $1 AND finished_at IS NULL AND (lease_until IS NULL OR lease_until < clock_timestamp())
       AND ($4::bigint IS NULL OR tick = $4) RETURNING ${columns}`,
    [jobId, worker, leaseMs, tick ?? null],
  );
  return read(rows)[0];
};

/** Still this one's, and whether it shall be cancelled. Renews the lease. */
export const renewLease = async (
  tx: Queryable,
  job: Pick<ExchangeJob, 'jobId' | 'fencingToken'>,
  leaseMs: number,
): Promise<{ readonly mine: boolean; readonly cancelRequested: boolean }> => {
  const { rows } = await tx.query<{ cancel_requested: boolean }>(
    `UPDATE exchange.job SET lease_until = clock_timestamp() + $3 * interval '1 millisecond'
     WHERE job_id = $1 AND fencing_token = $2 AND worker IS NOT NULL RETURNING cancel_requested`,
    [job.jobId, job.fencingToken, leaseMs],
  );
  return { mine: rows.length === 1, cancelRequested: rows[0]?.cancel_requested === true };
};

export interface JobChange {
  readonly state?: ExchangeState;
  readonly endsAs?: 'FAILED' | 'CANCELLED' | 'ROLLED_BACK';
  readonly batchId?: BatchId;
  readonly attempt?: number;
  readonly checkpoint?: Checkpoint;
  readonly resources?: readonly Resource[];
  readonly counters?: Partial<Counters>;
  readonly failure?: Failure | null;
  readonly manifestKey?: string;
  /** Its author lets go of it. */
  readonly idle?: boolean;
}

/** @throws CaseboundError `lease_lost` */
export const changeJob = async (
  tx: Queryable,
  job: Pick<ExchangeJob, 'jobId' | 'fencingToken'>,
  change: JobChange,
): Promise<ExchangeJob> => {
  const json = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
  const { rows } = await tx.query(
    `UPDATE exchange.job
     SET state = coalesce($3, state), ends_as = coalesce($4, ends_as), batch_id = coalesce($5::bigint, batch_id), attempt = coalesce($6::int, attempt),
         checkpoint = checkpoint || coalesce($7::jsonb, '{}'), resources = coalesce($8::jsonb, resources),
         counters = counters || coalesce($9::jsonb, '{}'), failure = CASE WHEN $10 THEN $11::jsonb ELSE failure END,
         manifest_key = coalesce($12, manifest_key),
         lease_until = CASE WHEN $13 THEN NULL ELSE lease_until END, worker = CASE WHEN $13 THEN NULL ELSE worker END, tick = tick + CASE WHEN $13 THEN 1 ELSE 0 END,
         finished_at = CASE WHEN $14 THEN clock_timestamp() ELSE finished_at END, updated_at = clock_timestamp()
     WHERE job_id = $1 AND fencing_token = $2 RETURNING ${columns}`,
    [
      job.jobId,
      job.fencingToken,
      change.state ?? null,
      change.endsAs ?? null,
      change.batchId ?? null,
      change.attempt ?? null,
      json(change.checkpoint),
      json(change.resources),
      json(change.counters),
      change.failure !== undefined,
      json(change.failure ?? undefined),
      change.manifestKey ?? null,
      change.idle ?? false,
      change.state !== undefined && hasEnded(change.state),
    ],
  );
  const [changed] = read(rows);
  if (changed === undefined)
    throw new CaseboundError('lease_lost', `The exchange ${job.jobId} was taken over by another process.`);
  return changed;
};

export const requestCancel = async (tx: Queryable, jobId: JobId): Promise<void> => {
  await tx.query('UPDATE exchange.job SET cancel_requested = true, updated_at = clock_timestamp() WHERE job_id = $1', [
    jobId,
  ]);
};

/** Opens an ended job again, for a retry or a rollback. Returns undefined when it is not in one of `from`. */
export const reopenJob = async (
  tx: Queryable,
  jobId: JobId,
  from: readonly ExchangeState[],
  to: { readonly state: ExchangeState; readonly endsAs?: 'ROLLED_BACK'; readonly nextRound?: boolean },
): Promise<ExchangeJob | undefined> => {
  const { rows } = await tx.query(
    `UPDATE exchange.job SET state = $3, ends_as = $4, round = round + CASE WHEN $5 THEN 1 ELSE 0 END, attempt = 0, failure = NULL,
       checkpoint = '{}', cancel_requested = false, finished_at = NULL, updated_at = clock_timestamp()
     WHERE job_id = $1 AND state = ANY ($2) RETURNING ${columns}`,
    [jobId, from, to.state, to.endsAs ?? null, to.nextRound ?? false],
  );
  return read(rows)[0];
};
