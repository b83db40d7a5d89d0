/**
 * node tests/chaos/exchange/run-chaos.ts [--only TEXT,TEXT] [--exhibits 8]
 *
 * Kills an exchange at every point that it passes, and a rollback at every point of that, each followed by a process that finishes.
 * Prints what each led to; exits with 1 when one of them is not as an exchange that nobody harmed. An embedded database of its own.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { listItems } from '../../../apps/server/src/features/exchange/list-items.ts';
import { startEmbedded } from '../../../apps/server/src/database/embedded/index.ts';
import { allKills, nameOf } from './crash-points.ts';
import { killAndFinish } from './kill-and-finish.ts';
import { openLane } from './open-lane.ts';

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' }, exhibits: { type: 'string', default: '8' } },
});
const folder = await mkdtemp(path.join(tmpdir(), 'casebound-exchange-chaos-'));
const server = await startEmbedded({
  dataDir: path.join(folder, 'database'),
  command: 'exchange chaos run',
  durable: false,
  maxConnections: 300,
});
let failures = 0;
try {
  const { host, port, user, password, database } = server.target;
  const lane = await openLane({ target: { host, port, user, password, database }, folder }, Number(values.exhibits));
  const kills = allKills.filter((kill) => values.only.split(',').some((text) => nameOf(kill).includes(text)));
  console.log(`${kills.length} kills, ${values.exhibits} exhibits`);
  for (const kill of kills) {
    const began = performance.now();
    const faults: string[] = [];
    try {
      const { job, shape, expected, expectedState, leftovers, differences, signed } = await killAndFinish(lane, kill);
      if (job.state !== expectedState) {
        const { items } = await listItems(lane.observer.parts, job.jobId, { state: 'failed', limit: 5 });
        faults.push(`ended as ${job.state}: ${JSON.stringify({ failure: job.failure, items })}`);
      }
      if (job.resources.length > 0) faults.push(`resources ${JSON.stringify(job.resources)}`);
      if (!isDeepStrictEqual(shape, expected))
        faults.push(`holds ${JSON.stringify(shape)} instead of ${JSON.stringify(expected)}`);
      if (leftovers.length > 0) faults.push(`left ${leftovers.join(', ')}`);
      if (differences.length > 0) faults.push(`differs ${JSON.stringify(differences)}`);
      if (!signed && expectedState === 'FINISHED') faults.push('not signed');
    } catch (error) {
      faults.push(String(error));
    }
    if (faults.length > 0) failures += 1;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`${faults.length === 0 ? 'ok  ' : 'FAIL'} ${seconds.padStart(6)} s  ${nameOf(kill)}`);
    for (const fault of faults) console.log(`       ${fault}`);
  }
  await lane.close();
  console.log(
    failures === 0
      ? `Proved: an exchange that is killed at any of ${kills.length} moments ends as one that nobody harmed.`
      : `NOT proved: ${failures} of ${kills.length} ended otherwise.`,
  );
} finally {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;
