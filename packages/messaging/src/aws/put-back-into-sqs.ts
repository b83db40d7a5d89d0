/** Puts dead letters back into SQS: sent before the transaction that deletes them commits, so twice at worst, never lost. */
import type { PutBack } from '../postgres/postgres-dead-letters.ts';
import type { Queues } from '../ports.ts';

export const putBackIntoSqs =
  (queues: Pick<Queues, 'send'>): PutBack =>
  async (_tx, queue, letters) => {
    await queues.send(
      queue,
      letters.map(({ body, attributes, fairnessKey }) => ({ body, attributes, fairnessKey })),
    );
  };
