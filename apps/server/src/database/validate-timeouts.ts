/**
 * Timeouts that contradict one another are refused at start.
 *
 * Waiting: `lock_timeout < statement_timeout < handler timeout`, or a wait for a lock shows up as a slow statement, and a
 * slow statement as a hung handler. Holding: a statement timeout does not release the locks of a transaction that sits idle,
 * so `transaction_timeout` must end it before its handler's time is up and another takes the work over.
 */
import { CaseboundError } from '@casebound/contract';
import type { Timeouts } from './config.ts';

export interface HandlerTimeout {
  /** `http.requestTimeoutMs`, or the name of a job. */
  readonly name: string;
  readonly ms: number;
}

/** Errors: `config_invalid` with every violation and its numbers. */
export function validateTimeouts(timeouts: Timeouts, handlers: readonly HandlerTimeout[]): void {
  const key = (name: keyof Timeouts): string => `database.timeouts.${name} (${timeouts[name]} ms)`;
  const violations: string[] = [];
  const mustBeLess = (smaller: keyof Timeouts, larger: keyof Timeouts): void => {
    if (timeouts[smaller] >= timeouts[larger]) violations.push(`${key(smaller)} must be less than ${key(larger)}`);
  };
  mustBeLess('lockTimeoutMs', 'statementTimeoutMs');
  mustBeLess('statementTimeoutMs', 'transactionTimeoutMs');
  mustBeLess('idleInTransactionTimeoutMs', 'transactionTimeoutMs');
  for (const handler of handlers) {
    for (const name of ['statementTimeoutMs', 'transactionTimeoutMs'] as const) {
      if (timeouts[name] >= handler.ms) {
        violations.push(`${key(name)} must be less than the handler timeout ${handler.name} (${handler.ms} ms)`);
      }
    }
  }
  if (violations.length > 0) throw new CaseboundError('config_invalid', `${violations.join('; ')}.`);
}
