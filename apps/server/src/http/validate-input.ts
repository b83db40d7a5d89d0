/**
 * Input against the schemas of its operation: everything that is wrong, in one answer.
 *
 * - Text that PostgreSQL cannot store as it is (U+0000, lone surrogates) is refused wherever it stands.
 * - Messages name what was expected; they never repeat a value.
 */
import { CaseboundError } from '@casebound/contract';
import type { FieldError, Operation } from '@casebound/contract';
import type { z } from 'zod';

export interface RawInput {
  readonly params: unknown;
  readonly query: Readonly<Record<string, unknown>>;
  /** `undefined` when none was sent. */
  readonly body: unknown;
}

export interface ValidInput {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

type Part = 'params' | 'query' | 'body';
type Step = PropertyKey;

const MAX_ERRORS = 100;
const MAX_NAME = 64;
const prefixes: Readonly<Record<Part, string>> = { params: 'path', query: 'query', body: '$' };

/** `$.items[3]['odd name']`; RFC 9535, normalised but for names that need no quotes. */
const fieldPath = (part: Part, steps: readonly Step[]): string =>
  steps.reduce<string>((path, step) => {
    if (typeof step === 'number') return `${path}[${step}]`;
    const name = String(step).slice(0, MAX_NAME);
    return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
      ? `${path}.${name}`
      : `${path}['${name.replaceAll(/[\\']/g, String.raw`\$&`)}']`;
  }, prefixes[part]);

const valueAt = (value: unknown, steps: readonly Step[]): unknown =>
  steps.reduce<unknown>(
    (at, step) =>
      typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? Reflect.get(at, step) : undefined,
    value,
  );

/** Of the branches of a union, the one that comes nearest: the fewest issues. */
const nearestBranch = (branches: readonly (readonly z.core.$ZodIssue[])[]): readonly z.core.$ZodIssue[] =>
  branches.reduce<readonly z.core.$ZodIssue[]>(
    (best, branch) => (best.length === 0 || branch.length < best.length ? branch : best),
    [],
  );

const describeIssue = (part: Part, input: unknown, issue: z.core.$ZodIssue, above: readonly Step[]): FieldError[] => {
  const steps = [...above, ...issue.path];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: fieldPath(part, [...steps, key]),
        message: 'This is not a member that the operation knows.',
      }));
    case 'invalid_union': {
      const nearest = nearestBranch(issue.errors);
      if (nearest.length > 0) return nearest.flatMap((inner) => describeIssue(part, input, inner, steps));
      break;
    }
    case 'invalid_key':
    case 'invalid_element':
      return issue.issues.flatMap((inner) => describeIssue(part, input, inner, steps));
    case 'invalid_type':
      if (valueAt(input, steps) === undefined) return [{ path: fieldPath(part, steps), message: 'This is required.' }];
      break;
    default:
      break;
  }
  return [{ path: fieldPath(part, steps), message: issue.message }];
};

const textProblem = (text: string): string | undefined => {
  if (text.includes('\u0000')) return 'Text must not have the character U+0000.';
  return text.isWellFormed() ? undefined : 'Text must be well-formed Unicode, without lone surrogates.';
};

/** Text that cannot be stored, names included. Depth is bounded by the parser. */
const unstorableText = (part: Part, value: unknown, steps: readonly Step[]): FieldError[] => {
  if (typeof value === 'string') {
    const message = textProblem(value);
    return message === undefined ? [] : [{ path: fieldPath(part, steps), message }];
  }
  if (typeof value !== 'object' || value === null) return [];
  const members: [Step, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return members.flatMap(([step, member]) => {
    const message = typeof step === 'string' ? textProblem(step) : undefined;
    return message === undefined
      ? unstorableText(part, member, [...steps, step])
      : [{ path: fieldPath(part, steps), message: `The name of a member: ${message}` }];
  });
};

/** A part for which the operation has no schema must be empty. */
const validateAbsent = (part: Part, input: unknown): FieldError[] => {
  if (part === 'params' || input === undefined) return [];
  if (part === 'body') return [{ path: '$', message: 'The operation takes no body.' }];
  return Object.keys(input ?? {}).map((name) => ({
    path: fieldPath(part, [name]),
    message: 'This is not a member that the operation knows.',
  }));
};

/** Parsed parts of the input. Throws `validation_failed` with all that is wrong with any of them. */
export const validateInput = (operation: Operation, input: RawInput): ValidInput => {
  const errors: FieldError[] = [];
  const validate = (part: Part): unknown => {
    const schema = operation[part];
    const unstorable = unstorableText(part, input[part], []);
    errors.push(...unstorable);
    if (schema === undefined) {
      errors.push(...validateAbsent(part, input[part]));
      return undefined;
    }
    const parsed = schema.safeParse(input[part]);
    if (parsed.success) return parsed.data;
    const found = parsed.error.issues.flatMap((issue) => describeIssue(part, input[part], issue, []));
    errors.push(...found.filter(({ path }) => !unstorable.some((error) => error.path === path)));
    return undefined;
  };
  const valid = { params: validate('params'), query: validate('query'), body: validate('body') };
  if (errors.length === 0) return valid;
  const detail =
    errors.length === 1
      ? 'One member of the request is not valid.'
      : `${errors.length} members of the request are not valid.`;
  throw new CaseboundError('validation_failed', detail, { errors: errors.slice(0, MAX_ERRORS) });
};
