/**
 * exchange-fairness: an exchange of ten exhibits that is asked for while a large one works, against the same ten alone.
 *
 * `EXHIBITS=100000` is the full size of the large one.
 */
import { median, openBench, plain, report, round } from './open-bench.ts';

const large = Number(process.env['EXHIBITS'] ?? 1_500);
const small = 10;
const rounds = Number(process.env['ROUNDS'] ?? 3);

const bench = await openBench();
const source = await bench.fill('large', { exhibits: large });
const ten = await bench.fill('ten', { exhibits: small });
const options = { includeNatives: true, nativesOfRedacted: 'include', annotations: plain };

const runSmall = async (name: string): Promise<number> => {
  const to = await bench.createCase(name);
  return (await bench.until(await bench.start(ten.caseId, to, options), 'ended')).ms;
};

await runSmall('warm');
const alone: number[] = [];
for (let at = 0; at < rounds; at += 1) alone.push(await runSmall(`alone ${at}`));
const jobId = await bench.start(source.caseId, await bench.createCase('large destination'), options);
await bench.until(jobId, 'PROCESSING');
const beside: number[] = [];
let isOver = false;
const ended = bench.until(jobId, 'ended').finally(() => {
  isOver = true;
});
for (let at = 0; at < rounds; at += 1) {
  const ms = await runSmall(`beside ${at}`);
  // One that ended after the large one was alone for a part of its time.
  if (!isOver) beside.push(ms);
}
const { ms: largeMs } = await ended;
await report('exchange-fairness', [
  {
    large,
    small,
    largeMs: Math.round(largeMs),
    smallAloneMs: Math.round(median(alone)),
    smallBesideMs: Math.round(median(beside)),
    times: round(median(beside) / median(alone)),
    smallBesideWorstMs: Math.round(Math.max(...beside)),
    measured: beside.length,
  },
]);
await bench.close();
