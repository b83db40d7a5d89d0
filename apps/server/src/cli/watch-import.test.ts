import { ImportJob } from '@casebound/contract';
import { expect, test } from 'vitest';
import type { CliContext } from './command.ts';
import { describeImport, exitForImport, progressLine } from './watch-import.ts';

const jobId = '0196f0c0-0000-7000-8000-000000000001';
const jobOf = (changes: Partial<Record<keyof ImportJob, unknown>>): ImportJob =>
  ImportJob.parse({
    jobId,
    caseId: 7,
    batchId: 3,
    batch: 'b',
    state: 'finished',
    source: '/s',
    counts: { rows: 10, imported: 10, duplicates: 0, overlaid: 0, rejected: 0, problems: 0, files: 0, bytes: 0 },
    progress: { done: 5, failed: 0, total: 10, perSecond: 2.5, etaSeconds: 2 },
    createdBy: 'system',
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: null,
    finishedAt: null,
    error: null,
    resumable: false,
    stalled: null,
    ...changes,
  });

const exitCodeOf = (job: ImportJob): number => {
  let code = 0;
  const context: Pick<CliContext, 'setExitCode'> = {
    setExitCode: (given) => {
      code = given;
    },
  };
  exitForImport(context, job);
  return code;
};

const nothing = { rows: 0, imported: 0, duplicates: 0, overlaid: 0, rejected: 0, problems: 1, files: 0, bytes: 0 };

test.each([
  [{ state: 'finished' }, 0],
  [{ state: 'finished_with_errors' }, 0],
  [{ state: 'importing' }, 0],
  [{ state: 'cancelled' }, 0],
  [{ state: 'cancelled', counts: nothing }, 0],
  [{ state: 'finished', counts: nothing }, 1],
  [{ state: 'failed' }, 1],
])('the exit code of %j is %d', (changes, code) => {
  expect(exitCodeOf(jobOf(changes))).toBe(code);
});

test('an import whose message died is told with the reason, and with the commands that carry it on or undo it', () => {
  const error = { code: 'receive_count_exceeded', detail: 'Received 20 times without success.' };
  const text = describeImport(jobOf({ state: 'failed', resumable: true, error }));
  expect(text).toContain('Error: Received 20 times without success. (receive_count_exceeded)');
  expect(text).toContain(`\`casebound import resume ${jobId} --case 7\``);
  expect(text).toContain(`\`casebound import cancel ${jobId} --case 7\``);
});

test.each([
  ['importing', 'importing: 5 of 10 rows, 2.5/s, 2 s left'],
  ['processing', 'processing: 5 of 10 documents, 2.5/s, 2 s left'],
  ['indexing', 'indexing: 5 of 10 exhibits, 2.5/s, 2 s left'],
])('progress while %s names what is counted', (state, line) => {
  expect(progressLine(jobOf({ state }))).toBe(line);
});
