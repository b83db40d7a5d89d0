/** What is wrong with the configuration: all of it at once, each with key, value, expectation and place. */
import { CaseboundError } from '@casebound/contract';
import type { Origin } from './effective-config.ts';
import { describeOrigin } from './located-value.ts';

export interface ConfigProblem {
  readonly path: readonly string[];
  /** A sentence part without the key, which comes before it, and without the place, which comes after. */
  readonly message: string;
  readonly origin: Origin | undefined;
}

const sentenceOf = ({ path, message, origin }: ConfigProblem): string => {
  const place = origin === undefined || origin.kind === 'default' ? '' : ` (${describeOrigin(origin)})`;
  return `${path.length === 0 ? 'the configuration' : path.join('.')}: ${message}${place}`;
};

const mostInDetail = 20;

/** `detail` names all problems, up to twenty; `errors` has each at its JSON path. */
export const configInvalid = (problems: readonly ConfigProblem[]): CaseboundError => {
  const sentences = problems.map(sentenceOf);
  const named = sentences.slice(0, mostInDetail).join('; ');
  const more = sentences.length > mostInDetail ? `; and ${sentences.length - mostInDetail} more` : '';
  const detail = sentences.length === 1 ? `${named}.` : `${sentences.length} settings are not valid: ${named}${more}.`;
  return new CaseboundError('config_invalid', detail, {
    errors: problems.map((problem, index) => ({
      path: ['$', ...problem.path].join('.'),
      message: sentences[index] ?? problem.message,
    })),
  });
};
