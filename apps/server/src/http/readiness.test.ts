import { CaseboundError } from '@casebound/contract';
import { createFakeClock } from '@casebound/test-kit';
import { describe, expect, it } from 'vitest';
import { createLog } from '../platform/log/create-log.ts';
import { createReadiness, requireReady } from './readiness.ts';
import type { ReadinessCheck } from './readiness.ts';

const create = (checks: Readonly<Record<string, ReadinessCheck>>) => {
  const clock = createFakeClock();
  const log = createLog({ level: 'silent' }, { write: () => undefined });
  return { clock, readiness: createReadiness({ checks, clock, log, timeoutMs: 500 }) };
};

describe('readiness', () => {
  it('is the report of all checks', async () => {
    const { readiness } = create({ database: async () => 'Answers.', objects: async () => 'Writable.' });
    expect(requireReady(await readiness.report())).toEqual({
      ready: true,
      checks: [
        { name: 'database', ok: true, detail: 'Answers.' },
        { name: 'objects', ok: true, detail: 'Writable.' },
      ],
    });
  });

  it('names what failed and why, but no text of an error that is not ours', async () => {
    const { readiness } = create({
      database: async () => {
        throw new CaseboundError('database_unreachable', 'The database does not answer.');
      },
      objects: async () => {
        throw new Error('CANARY');
      },
      clock: async () => 'Right.',
    });
    const report = await readiness.report();
    expect(() => requireReady(report)).toThrow(
      expect.objectContaining({
        code: 'not_ready',
        errors: [
          { path: 'database', message: 'The database does not answer.' },
          { path: 'objects', message: 'It failed for a reason that was not foreseen.' },
        ],
      }),
    );
  });

  it('does not wait longer than its limit, and tells the check', async () => {
    let told = false;
    const { clock, readiness } = create({
      database: async (signal) =>
        new Promise(() => {
          signal.addEventListener('abort', () => (told = true));
        }),
    });
    const report = readiness.report();
    await clock.advance(500);
    expect(await report).toMatchObject({ ready: false, checks: [{ ok: false, detail: 'No result within 500 ms.' }] });
    expect(told).toBe(true);
    expect(clock.sleepers).toBe(0);
  });

  it('asks once a second, however many ask', async () => {
    let asked = 0;
    const { clock, readiness } = create({ database: async () => `Asked ${(asked += 1)} times.` });
    await Promise.all([readiness.report(), readiness.report(), readiness.report()]);
    expect(asked).toBe(1);
    await clock.advance(999);
    await readiness.report();
    expect(asked).toBe(1);
    await clock.advance(1);
    await readiness.report();
    expect(asked).toBe(2);
  });

  it('says no from the beginning of the shutdown on', async () => {
    const { readiness } = create({ database: async () => 'Answers.' });
    await readiness.report();
    readiness.beginShutdown();
    expect(await readiness.report()).toMatchObject({ ready: false, checks: [{ name: 'server', ok: false }] });
  });
});
