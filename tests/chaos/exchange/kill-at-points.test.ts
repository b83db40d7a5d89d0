/**
 * SIGKILL between the steps of an exchange: a process that dies at a crash point, and a second one that finishes. The exchange ends
 * verified, holds what one that nobody harmed holds, and leaves nothing behind. `run-chaos.ts` takes every point.
 */
import { createTemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  openTestDatabases,
  type TestDatabases,
} from '../../../apps/server/src/database/testing/open-test-databases.ts';
import { nameOf, suiteKills, type Kill } from './crash-points.ts';
import { killAndFinish, killWithinCopy, type KilledExchange } from './kill-and-finish.ts';
import { openLane, type Lane } from './open-lane.ts';

let databases: TestDatabases;
let folder: Awaited<ReturnType<typeof createTemporaryFolder>>;
let lane: Lane;
beforeAll(async () => {
  databases = await openTestDatabases();
  folder = await createTemporaryFolder();
  lane = await openLane({ target: databases.database.target, folder: folder.path });
}, 120_000);
afterAll(async () => {
  await lane.close();
  await databases.close();
  await folder[Symbol.asyncDispose]();
});

const expectUnharmed = (killed: KilledExchange): void => {
  const { job, shape, expected, expectedState, leftovers, differences, signed } = killed;
  expect([job.state, job.resources]).toEqual([expectedState, []]);
  expect(shape).toEqual(expected);
  expect(leftovers).toEqual([]);
  expect(differences).toEqual([]);
  expect(signed).toBe(expectedState === 'FINISHED');
};

describe('a process that is killed', () => {
  test.each(suiteKills.map((kill) => [nameOf(kill), kill] as [string, Kill]))(
    'at %s is followed by one that finishes, with nothing doubled, lost or left',
    async (_name, kill) => {
      expectUnharmed(await killAndFinish(lane, kill));
    },
    600_000,
  );

  test('within the record copy is followed by one that finishes', async () => {
    expectUnharmed(await killWithinCopy(lane));
  }, 600_000);
});
