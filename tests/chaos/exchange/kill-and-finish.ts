/** One process that is killed in an exchange, and another that finishes it. */
import { fileURLToPath } from 'node:url';
import type { CaseId, JobId } from '@casebound/contract';
import { requestExchange } from '../../../apps/server/src/features/exchange/request-exchange.ts';
import { rollBack } from '../../../apps/server/src/features/exchange/steer-exchange.ts';
import { testActor } from '../../../apps/server/src/features/exchange/testing/open-test-exchange.ts';
import { spawnScript } from '../../../packages/test-kit/src/spawn-script.ts';
import { nameOf, type Kill } from './crash-points.ts';
import { finish, jobOf, type Lane, type Proof } from './open-lane.ts';
import { readShape, type Shape } from './read-shape.ts';
import { patience } from './settings.ts';

const worker = fileURLToPath(new URL('exchange-worker.ts', import.meta.url));

export interface KilledExchange extends Proof {
  /** What the destination shall hold. */
  readonly expected: Shape;
  readonly expectedState: 'FINISHED' | 'ROLLED_BACK';
}

const killItself = async (lane: Lane, jobId: JobId, { point, hit }: Pick<Kill, 'point' | 'hit'>): Promise<void> => {
  const script = spawnScript(worker, {
    env: {
      CHAOS_PLACE: JSON.stringify(lane.place),
      CHAOS_JOB: jobId,
      CHAOS_CRASH_AT: point,
      CHAOS_CRASH_HIT: String(hit),
    },
    timeoutMs: patience.processMs,
  });
  const end = await script.ended;
  if (end.signal !== 'SIGKILL' || !end.stdout.endsWith(`dying at ${point}\n`)) {
    const { state, failure } = await jobOf(lane.observer, jobId);
    throw new Error(
      `It did not die at ${point} (the exchange is ${state}, ${JSON.stringify(failure)}):\n${end.stdout}\n${end.stderr}`,
    );
  }
};

/** Starts a process on the job and waits until it has killed itself. @throws Error when it ends otherwise; the job has ended then, too */
const dieAt = async (lane: Lane, jobId: JobId, kill: Pick<Kill, 'point' | 'hit'>): Promise<void> =>
  killItself(lane, jobId, kill).catch(async (error: unknown) => {
    // An exchange that goes on would be found by, and killed in, those that follow.
    await finish(lane.place, jobId).catch(() => undefined);
    throw error;
  });

/** Starts a process on the job and kills it when some chunks of records are copied and others are not. False: it was too fast. */
const dieWithinCopy = async (lane: Lane, jobId: JobId, destination: CaseId): Promise<boolean> => {
  const script = spawnScript(worker, {
    env: { CHAOS_PLACE: JSON.stringify(lane.place), CHAOS_JOB: jobId, CHAOS_CRASH_AT: '' },
    timeoutMs: patience.processMs,
  });
  try {
    for (const deadline = performance.now() + 60_000; performance.now() < deadline;) {
      const { done, left } = await lane.observer.parts.sessions.withCase(destination, testActor, async (tx) => {
        const { rows } = await tx.query<{ done: number; left: number }>(
          'SELECT count(done_at)::int AS done, count(*)::int - count(done_at)::int AS left FROM record_copy_chunk',
        );
        return rows[0] ?? { done: 0, left: 0 };
      });
      if (done > 0) {
        script.signal('SIGKILL');
        await script.ended;
        return left > 0;
      }
    }
    return false;
  } finally {
    await script.kill();
  }
};

/** A process that is killed in the middle of the record copy, and another that finishes it. Tried until the kill strikes there. */
export const killWithinCopy = async (lane: Lane): Promise<KilledExchange> => {
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const destination = await lane.observer.createCase(`within the record copy ${attempt}`);
    const { job } = await requestExchange(lane.observer.parts, testActor, lane.request(destination), undefined);
    const isWithin = await dieWithinCopy(lane, job.jobId, destination);
    const proof = await finish(lane.place, job.jobId);
    if (isWithin) return { ...proof, expected: lane.expected, expectedState: 'FINISHED' };
  }
  throw new Error('No process was killed within the record copy.');
};

const killExchange = async (lane: Lane, kill: Kill): Promise<KilledExchange> => {
  const destination = await lane.observer.createCase(nameOf(kill));
  const { job } = await requestExchange(lane.observer.parts, testActor, lane.request(destination), undefined);
  await dieAt(lane, job.jobId, kill);
  const proof = await finish(lane.place, job.jobId);
  return { ...proof, expected: lane.expected, expectedState: 'FINISHED' };
};

/** What stays as evidence when an exchange was rolled back: its ledger, the job of its copy, the manifest. */
const evidence = /^(exchange_|record_copy_)/;
const withoutEvidence = (shape: Shape): Shape => ({
  ...shape,
  rows: Object.fromEntries(Object.entries(shape.rows).filter(([name]) => !evidence.test(name))),
  objects: Object.fromEntries(Object.entries(shape.objects).filter(([key]) => !key.includes('/exchanges/'))),
});

const killRollback = async (lane: Lane, kill: Kill): Promise<KilledExchange> => {
  const destination = await lane.observer.createCase(nameOf(kill));
  const before = await readShape(lane.observer, destination);
  const { job } = await requestExchange(lane.observer.parts, testActor, lane.request(destination), undefined);
  const finished = await finish(lane.place, job.jobId);
  if (finished.job.state !== 'FINISHED') throw new Error(`The exchange is ${finished.job.state}.`);
  await rollBack(lane.observer.parts, job.jobId);
  await dieAt(lane, job.jobId, kill);
  const proof = await finish(lane.place, job.jobId);
  return {
    ...proof,
    shape: withoutEvidence(proof.shape),
    expected: withoutEvidence(before),
    expectedState: 'ROLLED_BACK',
  };
};

export const killAndFinish = async (lane: Lane, kill: Kill): Promise<KilledExchange> =>
  kill.work === 'rollback' ? killRollback(lane, kill) : killExchange(lane, kill);
