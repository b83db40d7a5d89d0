/** Two workflows of three steps, each step leaving a row when it is made and another when it is undone; one fails at its last step. */
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';
import { defineWorkflow } from '@casebound/messaging';
import type { Sql, SqlDatabase, StepDefinition } from '@casebound/messaging';

export const tripTable =
  'CREATE TABLE chaos_trip (at bigint GENERATED ALWAYS AS IDENTITY, workflow text NOT NULL, step text NOT NULL, what text NOT NULL)';

type Empty = Record<string, never>;

export const createTrips = (database: SqlDatabase) => {
  const note = async (tx: Sql, workflow: string, step: string, what: string): Promise<void> => {
    await tx.query('INSERT INTO chaos_trip (workflow, step, what) VALUES ($1, $2, $3)', [workflow, step, what]);
  };
  const step = (workflow: string, name: string, fails = false): StepDefinition<Empty> => ({
    name,
    attempts: 1,
    run: async ({ once }) => {
      if (fails) throw new CaseboundError('message_invalid', `The step ${name} is made to fail.`);
      await database.transaction(async (tx) => once(tx, async () => note(tx, workflow, name, 'made')));
    },
    compensate: async ({ undo }) => {
      await database.transaction(async (tx) => undo(tx, async () => note(tx, workflow, name, 'undone')));
    },
  });
  const trip = (name: string, fails: boolean) =>
    defineWorkflow<Empty>({
      name,
      version: 1,
      input: z.record(z.string(), z.never()),
      steps: [step(name, 'reserve'), step(name, 'copy'), step(name, 'settle', fails)],
    });
  return { succeeding: trip('trip-that-succeeds', false), failing: trip('trip-that-fails', true) };
};
