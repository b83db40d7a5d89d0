/**
 * Errors on the wire: RFC 9457 problem details, `application/problem+json`.
 *
 * - `type` is `urn:casebound:error:<code>`; `code` repeats it for readers who want no URN.
 * - Nothing but the error's own code, detail, field errors and correlation id is sent: never a cause, a stack or SQL.
 */
import { z } from 'zod';
import { CaseboundError } from './casebound-error.ts';
import { errorTable } from './errors.ts';
import type { ErrorCode } from './errors.ts';

export const problemContentType = 'application/problem+json';

export const FieldProblem = z
  .object({
    path: z
      .string()
      .describe('JSON path within the body (`$.name`), or `path.<name>` or `query.<name>` of the address.'),
    message: z.string(),
  })
  .meta({ id: 'FieldProblem' });

export const Problem = z
  .object({
    type: z.string().describe('`urn:casebound:error:<code>`.'),
    title: z.string().describe('What the code means, the same for every occurrence.'),
    status: z.int().describe('The HTTP status of the answer.'),
    detail: z.string().describe('One sentence about this occurrence.'),
    instance: z.string().optional().describe('The path that was asked for.'),
    code: z.string().describe('One of the codes in docs/errors.md; clients must expect codes that they do not know.'),
    correlationId: z.string().describe('The `X-Request-Id` of the answer; the server log tells more under it.'),
    errors: z.array(FieldProblem).optional().describe('Everything that is wrong with the input, each at its path.'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorTable, code);

/** The problem document of an error. `instance` is a path without its query, which may hold values. */
export const toProblem = (error: CaseboundError, correlationId: string, instance?: string): Problem => ({
  type: `urn:casebound:error:${error.code}`,
  title: errorTable[error.code].title,
  status: error.status,
  detail: error.message,
  ...(instance === undefined ? {} : { instance }),
  code: error.code,
  correlationId,
  ...(error.errors.length === 0 ? {} : { errors: [...error.errors] }),
});

/** The error that a problem document stands for. A code that this version does not know becomes `response_invalid`. */
export const fromProblem = (problem: Problem, retryAfterSeconds?: number): CaseboundError => {
  const options = {
    errors: problem.errors ?? [],
    correlationId: problem.correlationId,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
  return isErrorCode(problem.code)
    ? new CaseboundError(problem.code, problem.detail, options)
    : new CaseboundError(
        'response_invalid',
        `The server answered ${problem.status} with the error code "${problem.code}", which this version does not know: ${problem.detail}`,
        options,
      );
};
