import { expect, test } from 'vitest';
import { runChaos } from './chaos-run.ts';

test('while workers and the database are killed, every item has exactly one effect in every stage', async () => {
  const proof = await runChaos({ seed: 20_260, items: 2000, seconds: 9, workers: 2, leastKilled: 3, report: () => {} });
  expect(proof).toMatchObject({ deadLetters: 0, messagesLeft: 0, outboxLeft: 0 });
  for (const stage of proof.stages) expect(stage).toMatchObject({ effects: 2000, items: 2000 });
  expect(proof.workersKilled).toBeGreaterThan(2);
  expect(proof.databaseKills).toBeGreaterThan(0);
}, 400_000);
