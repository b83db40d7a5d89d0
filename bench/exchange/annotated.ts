/**
 * exchange-annotated: exhibits of five pages with a redaction on every page, burned in and proved, their text read anew, indexed, verified and
 * signed; pages a second against burning in alone, with the same workers, of the same PDFs.
 *
 * `EXHIBITS=1000` is the full size.
 */
import { redaction } from '../../apps/server/src/platform/document-engine/testing/sample-annotations.ts';
import { routingOf } from '../../apps/server/src/features/exchange/processors/pre-uploader.ts';
import { ExchangeRequest } from '@casebound/contract';
import { median, openBench, report, round } from './open-bench.ts';

const exhibits = Number(process.env['EXHIBITS'] ?? 80);
const rounds = Number(process.env['ROUNDS'] ?? 3);
const pagesEach = 5;
const marks = Array.from({ length: pagesEach }, (_, page) => redaction(`r${page}`, [60, 85, 300, 20], page));

const bench = await openBench();
const filled = await bench.fill('source', {
  exhibits,
  pages: (at) =>
    Array.from({ length: pagesEach }, (_, page) =>
      Array.from({ length: 30 }, (_line, line) => `Line ${line} of page ${page} of exhibit ${at}: the secret amount.`),
    ),
  annotations: () => marks,
});
const routing = routingOf(
  ExchangeRequest.parse({ sourceCaseId: 1, destinationCaseId: 2, selection: { by: 'all' } }).annotations,
);

/** Burning in, and nothing else: as many documents at once as there is work for the workers. */
const burnAlone = async (): Promise<number> => {
  const started = performance.now();
  let next = 0;
  const run = async (): Promise<void> => {
    for (let pdf = filled.pdfs[next++]; pdf !== undefined; pdf = filled.pdfs[next++])
      await bench.system.pdf.burnIn({
        pdf: Uint8Array.from(pdf),
        annotations: { annotations: marks, comments: [], attachments: new Map() },
        routing,
      });
  };
  await Promise.all(Array.from({ length: 8 }, run));
  return performance.now() - started;
};

const [ours, theirs]: [number[], number[]] = [[], []];
for (let at = 0; at < rounds; at += 1) {
  theirs.push(await burnAlone());
  const to = await bench.createCase(`ours ${at}`);
  ours.push((await bench.until(await bench.start(filled.caseId, to, {}), 'ended')).ms);
}
const pages = exhibits * pagesEach;
await report('exchange-annotated', [
  {
    exhibits,
    pages,
    oursPagesPerSecond: round((pages / median(ours)) * 1000, 1),
    burnInPagesPerSecond: round((pages / median(theirs)) * 1000, 1),
    ratio: round(median(ours.map((ms, at) => (theirs[at] ?? Number.NaN) / ms))),
    peakRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
  },
]);
await bench.close();
