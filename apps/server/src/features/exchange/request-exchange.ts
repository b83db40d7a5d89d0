/**
 * Starts an exchange, through whichever door it is asked for.
 *
 * 1. Everything that can be refused is refused before anything is made, with its reason.
 * 2. A key names a request for good: the same request under it finds its job, whatever the timing, another one is refused. Without a
 *    key the request's own content is it.
 * 3. The job's row and the message that makes it move are one transaction.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { CaseboundError, JobId, type Actor, type ExchangeRequest } from '@casebound/contract';
import type { ExchangeDependencies } from './dependencies.ts';
import { findByKey, countOpen, insertJob, type ExchangeJob } from './job-store.ts';
import { orchestratorQueue } from './orchestrator/advance-exchange.ts';
import { previewExchange } from './preview-exchange.ts';

export interface StartedExchange {
  readonly job: ExchangeJob;
  /** False: the key was used before. */
  readonly created: boolean;
}

/** JSON with members in one order, so that equal requests have equal texts. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );

const hashRequest = (request: ExchangeRequest): string => createHash('sha256').update(canonical(request)).digest('hex');

/** UUIDv7 (RFC 9562, section 5.7), so that newer jobs sort after older ones. */
const newJobId = (now: Date): JobId => {
  const time = now.getTime().toString(16).padStart(12, '0');
  return JobId.parse(`${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`);
};

const newTraceparent = (): string => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;

const sameRequest = (job: ExchangeJob, requestHash: string): StartedExchange => {
  if (job.requestHash === requestHash) return { job, created: false };
  throw new CaseboundError(
    'idempotency_key_reused',
    `The idempotency key names the exchange ${job.jobId}, which was asked for otherwise.`,
  );
};

/** Errors: those of `previewExchange`, `idempotency_key_reused`, `too_many_jobs`. */
export const requestExchange = async (
  dependencies: ExchangeDependencies,
  actor: Actor,
  request: ExchangeRequest,
  key: string | undefined,
  signal?: AbortSignal,
): Promise<StartedExchange> => {
  const { control, config, clock } = dependencies;
  const requestHash = hashRequest(request);
  const idempotencyKey = key ?? `sha256:${requestHash}`;
  const known = await control.transaction({ readOnly: true }, async (tx) => findByKey(tx, idempotencyKey));
  if (known !== undefined) return sameRequest(known, requestHash);
  const preview = await previewExchange(dependencies, actor, request, signal);
  if (preview.conflicts > 0 && request.onConflict === 'fail') {
    throw new CaseboundError(
      'exchange_conflict',
      `The destination has ${preview.conflicts} of the control numbers already, among them ${preview.conflictExamples.slice(0, 3).join(', ')}.`,
    );
  }
  return control.transaction({}, async (tx) => {
    for (const caseId of [request.sourceCaseId, request.destinationCaseId].toSorted((a, b) => a - b)) {
      const open = await countOpen(tx, caseId);
      if (open >= config.maxOpenPerCase)
        throw new CaseboundError(
          'too_many_jobs',
          `Case ${caseId} takes part in ${open} exchanges that run; at most ${config.maxOpenPerCase} may.`,
          { retryAfterSeconds: 30 },
        );
    }
    const job = await insertJob(tx, {
      jobId: newJobId(clock.now()),
      idempotencyKey,
      requestHash,
      request,
      createdBy: actor,
      traceparent: newTraceparent(),
    });
    if (job === undefined) {
      const first = await findByKey(tx, idempotencyKey);
      if (first === undefined) throw new CaseboundError('internal', 'A used idempotency key has no job.');
      return sameRequest(first, requestHash);
    }
    await dependencies
      .messaging()
      .outbox.send(tx, orchestratorQueue, [
        { body: JSON.stringify({ jobId: job.jobId }), fairnessKey: job.destinationCaseId },
      ]);
    return { job, created: true };
  });
};
