/** The error behind an answer that is not the success of its operation. */
import { CaseboundError } from '../casebound-error.ts';
import { fromProblem, Problem } from '../problem.ts';
import type { FetchResponse } from './create-client.ts';

const retryAfterSeconds = (response: FetchResponse): number | undefined => {
  const header = response.headers.get('retry-after');
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : undefined;
};

const parseProblem = (text: string): Problem | undefined => {
  try {
    return Problem.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
};

/** The server's own error; `response_invalid` when what answered is no Casebound server (a proxy's page, say). */
export const readProblem = (name: string, response: FetchResponse, text: string): CaseboundError => {
  const problem = parseProblem(text);
  if (problem !== undefined) return fromProblem(problem, retryAfterSeconds(response));
  const correlationId = response.headers.get('x-request-id');
  return new CaseboundError(
    'response_invalid',
    `${name} was answered with HTTP status ${response.status} and no problem document; is this a Casebound server?`,
    correlationId === null ? {} : { correlationId },
  );
};
