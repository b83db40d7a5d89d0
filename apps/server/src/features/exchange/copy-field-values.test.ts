/** Values of exhibits that an exchange lays over others, beside people who edit them. */
import { type CaseId, ExchangeRequest } from '@casebound/contract';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { betweenStatements } from '../../database/testing/between-statements.ts';
import { copyFieldValues } from './copy-field-values.ts';
import { type ExchangeJob, getJob } from './job-store.ts';
import { fillCase } from './testing/fill-case.ts';
import { openTestExchange, testActor, type TestExchange } from './testing/open-test-exchange.ts';

let world: TestExchange;
const { signal } = new AbortController();
beforeAll(async () => {
  world = await openTestExchange();
});
afterAll(async () => world[Symbol.asyncDispose]());

interface Overlaid {
  readonly to: CaseId;
  readonly exhibitId: number;
  readonly job: ExchangeJob;
}

/** An exhibit that an exchange was laid over. */
const overlay = async (name: string): Promise<Overlaid> => {
  const [from, to] = [await world.createCase(`${name} from`), await world.createCase(`${name} to`)];
  await fillCase(world.parts, from, [{ controlNumber: 'O1', pages: [['new words']], fields: { Matter: 'new' } }]);
  const there = await fillCase(world.parts, to, [
    { controlNumber: 'O1', pages: [['old words']], fields: { Matter: 'old' } },
  ]);
  const { jobId } = await world.run(
    ExchangeRequest.parse({
      sourceCaseId: from,
      destinationCaseId: to,
      selection: { by: 'all' },
      onConflict: 'overlay',
    }),
  );
  const job = await world.parts.control.transaction({ readOnly: true }, async (tx) => getJob(tx, jobId));
  return { to, exhibitId: there.get('O1')?.exhibitId ?? 0, job };
};
const valueOf = async ({ to, exhibitId }: Overlaid) =>
  (await world.parts.fields.read(to, testActor, [exhibitId])).get(exhibitId)?.values['Matter'];
const edit = async ({ to, exhibitId }: Overlaid, text: string) =>
  world.parts.fields.update(to, testActor, { exhibitId, values: { Matter: text } });

test('a step that is repeated does not undo what somebody edited since', async () => {
  const overlaid = await overlay('repeated');
  expect(await valueOf(overlaid)).toBe('new');
  await edit(overlaid, 'edited');
  const segments = async (): Promise<number> =>
    world.parts.sessions.withCase(
      overlaid.to,
      testActor,
      async (tx) => (await tx.query('SELECT FROM custom_field_segment')).rowCount,
    );
  const before = await segments();
  await copyFieldValues(world.parts, overlaid.job, signal);
  expect([await valueOf(overlaid), await segments()]).toEqual(['edited', before]);
}, 60_000);

test('an edit that comes in between is not lost', async () => {
  const overlaid = await overlay('between');
  const { to, job } = overlaid;
  await edit(overlaid, 'old');
  // As if the step had not come so far.
  await world.parts.sessions.withCase(to, testActor, async (tx) =>
    tx.query('UPDATE exchange_exhibit SET fields_before = NULL'),
  );
  let edited: Promise<unknown> | undefined;
  const sessions = betweenStatements(
    world.parts.sessions,
    (text) => text.includes('INSERT INTO custom_field_pointer AS pointer'),
    async () => {
      edited = edit(overlaid, 'between');
      // It is done by then, or waits for the exchange.
      await Promise.race([
        edited,
        new Promise((resolve) => {
          setTimeout(resolve, 500);
        }),
      ]);
    },
  );
  await copyFieldValues({ ...world.parts, sessions }, job, signal);
  await edited;
  expect(await valueOf(overlaid)).toBe('between');
}, 60_000);
