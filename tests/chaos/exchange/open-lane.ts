/**
 * An installation in which exchanges are killed one after another: its source case, and what a case holds into which that was exchanged
 * without any harm.
 */
import { ExchangeRequest, type CaseId, type JobId, type ManifestCursor } from '@casebound/contract';
import { checkManifest } from '../../../apps/server/src/features/exchange/verification/check-manifest.ts';
import { getJob, type ExchangeJob } from '../../../apps/server/src/features/exchange/job-store.ts';
import { requestExchange } from '../../../apps/server/src/features/exchange/request-exchange.ts';
import { fillCase, type ExhibitSpec } from '../../../apps/server/src/features/exchange/testing/fill-case.ts';
import {
  joinTestExchange,
  testActor,
  type JoinedExchange,
  type TestPlace,
} from '../../../apps/server/src/features/exchange/testing/open-test-exchange.ts';
import {
  comment,
  highlight,
  redaction,
} from '../../../apps/server/src/platform/document-engine/testing/sample-annotations.ts';
import { formatInstantJson } from '@casebound/pdf';
import { readLeftovers, readShape, type Shape } from './read-shape.ts';
import { patience, settings } from './settings.ts';

/** Lies under the redaction. */
const secret = 'SECRETWORD';

/** Families, labels, folders, values, natives, redactions, layers with comments, and one exhibit without a PDF. */
const exhibits = (count: number): readonly ExhibitSpec[] =>
  Array.from({ length: count }, (_, at) => ({
    controlNumber: `ACME${String(at + 1).padStart(6, '0')}`,
    pages: [[`Pay the ${secret} of exhibit ${at}`], [`second page of exhibit ${at}`]],
    ...(at % 4 === 1 ? { parent: `ACME${String(at).padStart(6, '0')}` } : {}),
    ...(at % 3 === 1 ? { native: Buffer.from(`native ${at}`) } : {}),
    custodian: `Custodian ${at % 3}`,
    label: at % 2 === 0 ? 'Hot' : 'Cold',
    folder: `Root/${at % 2}`,
    code: 'AEO',
    fields: { Matter: `Matter ${at}` },
    ...(at === count - 1
      ? { withoutPdf: true }
      : {
          instantJson: formatInstantJson({
            annotations: [redaction(`r${at}`, [60, 85, 300, 20]), highlight(`h${at}`, 1)],
            comments: [comment(`c${at}`, `h${at}`, 'look at this')],
            attachments: new Map(),
          }),
        }),
  }));

export interface Lane {
  readonly place: TestPlace;
  /** Looks, asks, and works on nothing. */
  readonly observer: JoinedExchange;
  readonly source: CaseId;
  readonly expected: Shape;
  request(destination: CaseId): ExchangeRequest;
  close(): Promise<void>;
}

export interface Proof {
  readonly job: ExchangeJob;
  readonly shape: Shape;
  readonly leftovers: readonly string[];
  readonly differences: readonly unknown[];
  readonly signed: boolean;
}

export const jobOf = async ({ databases }: JoinedExchange, jobId: JobId): Promise<ExchangeJob> =>
  databases.control.transaction({ readOnly: true }, async (tx) => getJob(tx, jobId));

/** All that is held against an exchange that ended. */
export const proofOf = async (world: JoinedExchange, jobId: JobId): Promise<Proof> => {
  const job = await jobOf(world, jobId);
  const differences: unknown[] = [];
  let signed = false;
  const isThere = job.state.startsWith('FINISHED');
  for (
    let cursor: ManifestCursor | null = isThere ? { offset: 0, line: 0, previous: '0'.repeat(64) } : null;
    cursor !== null;
  ) {
    const part: Awaited<ReturnType<typeof checkManifest>> = await checkManifest(
      world.parts,
      jobId,
      testActor,
      cursor,
      100,
      new AbortController().signal,
    );
    differences.push(...part.differences);
    signed = part.signed === true;
    cursor = part.next;
  }
  return {
    job,
    shape: await readShape(world, job.destinationCaseId),
    leftovers: await readLeftovers(world),
    differences,
    signed,
  };
};

/** Another process follows: it takes over what was left, and works until the exchange has ended. */
export const finish = async (place: TestPlace, jobId: JobId): Promise<Proof> => {
  await using follower = await joinTestExchange(place, {
    config: settings,
    ownsQueues: true,
    settleMs: patience.settleMs,
  });
  await follower.settled(jobId);
  const proof = await proofOf(follower, jobId);
  return proof;
};

export const openLane = async (place: TestPlace, count = 8): Promise<Lane> => {
  const observer = await joinTestExchange(place, { config: settings, still: true });
  const source = await observer.createCase('source');
  await fillCase(observer.parts, source, exhibits(count));
  const request = (destination: CaseId): ExchangeRequest =>
    ExchangeRequest.parse({
      sourceCaseId: source,
      destinationCaseId: destination,
      selection: { by: 'all' },
      includeNatives: true,
    });
  const unharmed = await observer.createCase('unharmed');
  const { job } = await requestExchange(observer.parts, testActor, request(unharmed), undefined);
  const { job: ended, shape, leftovers, differences, signed } = await finish(place, job.jobId);
  if (ended.state !== 'FINISHED' || !signed || differences.length + leftovers.length > 0)
    throw new Error(
      `An exchange that nobody harmed is ${ended.state}: ${JSON.stringify({ failure: ended.failure, leftovers, differences, signed })}`,
    );
  return { place, observer, source, expected: shape, request, close: async () => observer[Symbol.asyncDispose]() };
};
