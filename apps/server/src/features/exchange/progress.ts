/** Counts, pace and expected end of an exchange, from its ledger. */
import { exchangeStages, type ExchangeStage, type Progress } from '@casebound/contract';
import type { ExchangeDependencies } from './dependencies.ts';
import { hasEnded, type ExchangeJob } from './job-store.ts';
import { countItems, type StageCount } from './ledger.ts';

export interface JobProgress {
  readonly progress: Progress;
  readonly byStage: Partial<Record<ExchangeStage, Progress>>;
}

/** Items by stage and state; empty before the ledger has any. */
export const readProgress = async (
  { sessions }: Pick<ExchangeDependencies, 'sessions'>,
  job: ExchangeJob,
): Promise<readonly StageCount[]> =>
  sessions.withCase(job.destinationCaseId, job.createdBy, async (tx) => countItems(tx, job.jobId), {
    readOnly: true,
    alongside: true,
  });

const progress = (done: number, failed: number, total: number, seconds: number): Progress => {
  const perSecond = seconds <= 0 ? 0 : Math.round(((done + failed) / seconds) * 100) / 100;
  const left = total - done - failed;
  return {
    done,
    failed,
    total,
    perSecond,
    etaSeconds: left === 0 ? 0 : perSecond === 0 ? null : Math.round(left / perSecond),
  };
};

/** The pace is that since the job began; a stage that an item skips counts as done. */
export const progressOf = (job: ExchangeJob, counts: readonly StageCount[], now: Date): JobProgress => {
  const until = hasEnded(job.state) && job.finishedAt !== null ? job.finishedAt : now;
  const seconds = (until.getTime() - job.createdAt.getTime()) / 1000;
  const sum = (stage: string, ...states: readonly string[]): number =>
    counts
      .filter((one) => one.stage === stage && states.includes(one.state))
      .reduce((total, { count }) => total + count, 0);
  const byStage: Partial<Record<ExchangeStage, Progress>> = {};
  let [done, failed, total] = [0, 0, 0];
  for (const stage of exchangeStages) {
    const all = sum(stage, 'pending', 'done', 'failed', 'skipped');
    if (all === 0) continue;
    const ended = sum(stage, 'done', 'skipped');
    const broken = sum(stage, 'failed');
    byStage[stage] = progress(ended, broken, all, seconds);
    done += ended;
    failed += broken;
    total += all;
  }
  const whole = progress(done, failed, total, seconds);
  return { progress: total === 0 ? { ...whole, total: null, etaSeconds: null } : whole, byStage };
};
