/**
 * One process that works on exchanges, until one of them ends. It dies by SIGKILL when it comes to a named crash point.
 *
 * Environment: CHAOS_PLACE (JSON of a `TestPlace`), CHAOS_JOB, CHAOS_CRASH_AT (name of the point), CHAOS_CRASH_HIT (which time it comes
 * there, from 1).
 */
import { writeSync } from 'node:fs';
import { JobId } from '@casebound/contract';
import {
  joinTestExchange,
  type TestPlace,
} from '../../../apps/server/src/features/exchange/testing/open-test-exchange.ts';
import { patience, settings } from './settings.ts';

const { CHAOS_PLACE = '', CHAOS_JOB = '', CHAOS_CRASH_AT: wanted, CHAOS_CRASH_HIT: hit = '1' } = process.env;
let left = Number(hit);
// The test that started this process wrote it.
const place = JSON.parse(CHAOS_PLACE) as TestPlace;

const world = await joinTestExchange(place, {
  config: settings,
  ownsQueues: true,
  settleMs: patience.settleMs,
  crashPoint: (name) => {
    if (name !== wanted) return;
    left -= 1;
    if (left > 0) return;
    // Said with the last breath: a SIGKILL alone does not say where it struck.
    writeSync(1, `dying at ${name}\n`);
    process.kill(process.pid, 'SIGKILL');
  },
});
console.log('working');
const job = await world.settled(JobId.parse(CHAOS_JOB));
console.log(`ended as ${job.state}`);
await world[Symbol.asyncDispose]();
