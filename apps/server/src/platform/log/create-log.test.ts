import { CaseboundError } from '@casebound/contract';
import { describe, expect, it } from 'vitest';
import { createLog } from './create-log.ts';
import type { LogFields } from './Port.ts';

const capture = (level: 'debug' | 'info' = 'debug') => {
  const lines: string[] = [];
  const log = createLog({ level }, { write: (line) => lines.push(line) });
  return { log, lines, parsed: (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line)) };
};

/** What an untyped caller may pass. */
const untyped = (fields: Record<string, unknown>): LogFields => fields;

const canaries = {
  documentText: 'CANARY privileged and confidential memorandum',
  fieldValue: 'CANARY-Smith, Jane',
  token: 'cb_CANARYCANARYCANARYCANARYCANARYCANARYCANARY0123456',
  secret: 'CANARY/password+123',
  sql: "INSERT INTO t VALUES ('CANARY')",
};

describe('the log', () => {
  it('writes a line of JSON with time, level, message and fields', () => {
    const { log, parsed } = capture();
    log.info('Case created', { caseId: 7, operation: 'createCase', durationMs: 12.5, errorCode: 'case_name_taken' });
    expect(parsed()).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        level: 'info',
        message: 'Case created',
        caseId: 7,
        operation: 'createCase',
        durationMs: 12.5,
        errorCode: 'case_name_taken',
      },
    ]);
  });

  it('writes nothing below its level', () => {
    const { log, lines } = capture('info');
    log.debug('Quiet');
    expect(lines).toEqual([]);
  });

  it('carries the fields of with() into each line', () => {
    const { log, parsed } = capture();
    log.with({ component: 'http' }).with({ requestId: '-r.1' }).warn('Slow', { status: 200 });
    expect(parsed()).toMatchObject([{ component: 'http', requestId: '-r.1', status: 200 }]);
  });

  it('lets no canary through, whatever field, message, cause or aggregate it is put in', () => {
    const { log, lines, parsed } = capture();
    for (const canary of Object.values(canaries)) {
      log.info('Unknown fields', untyped({ documentText: canary, [canary]: 1, nested: { canary }, list: [canary] }));
      log.with(untyped({ token: canary, fieldValue: canary })).warn('Child');
      // A field of the right name whose value is not what belongs there.
      log.info(
        'Known fields',
        untyped({ caseId: canary, status: canary, component: { canary }, durationMs: [canary] }),
      );
      log.info('Addresses', { address: `postgres://casebound:${canary}@db:5432/x?password=${canary}` });
      const driver = Object.assign(new Error(`duplicate key (name)=(${canary})`), {
        code: '23505',
        detail: canary,
        [canary]: canary,
        query: canary,
      });
      log.error('Plain error', {}, driver);
      log.error('Cause', {}, new CaseboundError('internal', canary, { cause: driver }));
      log.error('Deep cause', {}, new Error('x', { cause: new Error('y', { cause: new TypeError(canary) }) }));
      log.error('Aggregate', {}, new AggregateError([driver], canary));
      log.error('Not an error', {}, canary);
      log.error('Object', {}, { message: canary, stack: canary });
      log.error('Many lines', {}, new Error(`a\n    at ${canary} (file.ts:1:1)\n    at b (c.ts:1:1)`));
      const changed = new Error(`first\n    at ${canary} (file.ts:1:1)`);
      changed.message = 'second';
      log.error('Message changed', {}, changed);
      const renamed = new Error('x');
      renamed.name = canary;
      log.error('Renamed', {}, renamed);
      const coded = Object.assign(new Error('x'), { code: `${canary} x` });
      log.error('Coded', {}, coded);
    }
    expect(lines.length).toBe(14 * Object.keys(canaries).length);
    expect(lines.filter((line) => line.includes('CANARY'))).toEqual([]);
    expect(parsed()[0]).toMatchObject({ droppedFields: 4 });
  });

  it('says of an error its class, code and place, and those of its causes', () => {
    const { log, parsed } = capture();
    const cause = Object.assign(new TypeError('hidden'), { code: '40P01' });
    log.error('Failed', { operation: 'createCase' }, new CaseboundError('internal', 'hidden', { cause }));
    const [line] = parsed();
    expect(line).toMatchObject({
      level: 'error',
      operation: 'createCase',
      error: {
        class: 'CaseboundError',
        code: 'internal',
        stack: expect.arrayContaining([expect.stringContaining('create-log.test.ts')]),
        cause: { class: 'TypeError', code: '40P01' },
      },
    });
  });

  it('ends at a cause that leads back to itself', () => {
    const { log, parsed } = capture();
    const error = new Error('a');
    error.cause = error;
    log.error('Loop', {}, error);
    expect(JSON.stringify(parsed()[0]).match(/"class"/g)).toHaveLength(5);
  });
});
