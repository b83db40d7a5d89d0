import { describe, expect, it } from 'vitest';
import { databaseConfigSchema } from './config.ts';
import { validateTimeouts } from './validate-timeouts.ts';

const { timeouts } = databaseConfigSchema.parse({ kind: 'embedded' });

describe('validateTimeouts', () => {
  it('accepts the defaults with the default time limits of handlers', () => {
    expect(() => {
      validateTimeouts(timeouts, [
        { name: 'http.requestTimeoutMs', ms: 30_000 },
        { name: 'import', ms: 900_000 },
      ]);
    }).not.toThrow();
  });

  it('names every violation with its numbers', () => {
    const wrong = { ...timeouts, lockTimeoutMs: 20_000, idleInTransactionTimeoutMs: 25_000 };
    expect(() => {
      validateTimeouts(wrong, [{ name: 'http.requestTimeoutMs', ms: 10_000 }]);
    }).toThrow(
      'database.timeouts.lockTimeoutMs (20000 ms) must be less than database.timeouts.statementTimeoutMs (15000 ms); ' +
        'database.timeouts.idleInTransactionTimeoutMs (25000 ms) must be less than database.timeouts.transactionTimeoutMs (25000 ms); ' +
        'database.timeouts.statementTimeoutMs (15000 ms) must be less than the handler timeout http.requestTimeoutMs (10000 ms); ' +
        'database.timeouts.transactionTimeoutMs (25000 ms) must be less than the handler timeout http.requestTimeoutMs (10000 ms).',
    );
  });
});
