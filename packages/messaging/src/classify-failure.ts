/**
 * Which family an error belongs to. The one place where errors of drivers are judged for handlers; what is not known here is
 * Recoverable, so that a defect delays a message and never loses it.
 */
import { CaseboundError } from '@casebound/contract';
import type { FailureFamily } from '@casebound/contract';
import { sqlStateOf } from './postgres/sql-error.ts';

export interface Failure {
  readonly family: FailureFamily;
  readonly code: string;
  /** For people and dead letters. Texts of unknown errors are left out: they may hold values. */
  readonly reason: string;
}

/** The handler found its effect made already by something that leaves no idempotency record. Counts as success, and is logged. */
export class AlreadyDone extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'AlreadyDone';
  }
}

const codeOf = (error: unknown): string | undefined => {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
};

/**
 * SQLSTATE classes (PostgreSQL manual, appendix A) in which repeating the same statement with the same values cannot help:
 * feature not supported, cardinality, data exception, integrity constraint, syntax or access rule.
 */
const hopelessClasses = new Set(['0A', '21', '22', '23', '42']);

export const classifyFailure = (error: unknown): Failure => {
  if (error instanceof AlreadyDone) return { family: 'already_done', code: 'already_done', reason: error.message };
  if (error instanceof CaseboundError) return { family: error.family, code: error.code, reason: error.message };
  const code = sqlStateOf(error) ?? codeOf(error);
  if (code !== undefined && code.length === 5 && hopelessClasses.has(code.slice(0, 2))) {
    return {
      family: 'permanent',
      code: `sqlstate_${code}`,
      reason: `The database refused a statement for good (SQLSTATE ${code}).`,
    };
  }
  if (code !== undefined) {
    return {
      family: 'recoverable',
      code: /^[A-Z0-9_]{3,40}$/.test(code) ? code : 'internal',
      reason: 'A driver or the system reported a failure that may pass.',
    };
  }
  const name = error instanceof Error ? error.constructor.name : typeof error;
  return {
    family: 'recoverable',
    code: 'internal',
    reason: `The handler failed with an unexpected ${name}; the log has its stack.`,
  };
};
