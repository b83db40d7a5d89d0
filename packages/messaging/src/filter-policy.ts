/**
 * Filter policies of subscriptions: the part of SNS's language that both transports can promise (exact values, `prefix`,
 * `anything-but`, `exists`, `numeric`), over the attributes of an event.
 *
 * All keys must match (AND); of a key's conditions one must (OR). A policy is checked when it is set: an unknown operator is
 * refused, never taken as "matches nothing". Limits are those of SNS: 5 keys, 150 combinations. A `{}` matches everything.
 *
 * Source: "Amazon SNS message filtering", developer guide, sections on string, numeric and key matching.
 */
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';
import type { EventAttributes } from './ports.ts';

const comparison = z.enum(['=', '<', '<=', '>', '>=']);
const lower = z.enum(['>', '>=']);
const upper = z.enum(['<', '<=']);
const scalar = z.union([z.string(), z.number()]);

const Condition = z.union([
  z.string(),
  z.number(),
  z.strictObject({ prefix: z.string().min(1) }),
  z.strictObject({ exists: z.boolean() }),
  z.strictObject({
    'anything-but': z.union([scalar, z.array(scalar).min(1), z.strictObject({ prefix: z.string().min(1) })]),
  }),
  z.strictObject({
    numeric: z.union([z.tuple([comparison, z.number()]), z.tuple([lower, z.number(), upper, z.number()])]),
  }),
]);
type Condition = z.infer<typeof Condition>;

export const FilterPolicy = z
  .record(z.string().min(1), z.array(Condition).min(1))
  .refine((policy) => Object.keys(policy).length <= 5, 'A filter policy has at most 5 keys.')
  .refine(
    (policy) => Object.values(policy).reduce((product, conditions) => product * conditions.length, 1) <= 150,
    'A filter policy has at most 150 combinations of values.',
  );
export type FilterPolicy = z.infer<typeof FilterPolicy>;

const operators = new Set(['prefix', 'exists', 'anything-but', 'numeric']);

const unknownOperator = (value: unknown): string | undefined => {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const condition of Object.values(value).flat()) {
    if (typeof condition !== 'object' || condition === null) continue;
    const unknown = Object.keys(condition).find((operator) => !operators.has(operator));
    if (unknown !== undefined) return unknown;
  }
  return undefined;
};

/** @throws CaseboundError `filter_policy_invalid` that names the operator or the place. */
export const parseFilterPolicy = (value: unknown): FilterPolicy => {
  const parsed = FilterPolicy.safeParse(value);
  if (parsed.success) return parsed.data;
  const operator = unknownOperator(value);
  const issue = parsed.error.issues[0];
  throw new CaseboundError(
    'filter_policy_invalid',
    operator === undefined
      ? `The filter policy is not valid at ${issue?.path.join('.') || 'its top'}: ${issue?.message ?? 'unreadable'}.`
      : `The filter policy uses ${JSON.stringify(operator.slice(0, 40))}, which is not one of: exact values, ${[...operators].join(', ')}.`,
  );
};

const compare = (operator: z.infer<typeof comparison>, value: number, bound: number): boolean => {
  switch (operator) {
    case '=':
      return value === bound;
    case '<':
      return value < bound;
    case '<=':
      return value <= bound;
    case '>':
      return value > bound;
    case '>=':
      return value >= bound;
  }
};

const holds = (condition: Condition, value: string | number | undefined): boolean => {
  if (typeof condition === 'string' || typeof condition === 'number') return value === condition;
  if ('exists' in condition) return (value !== undefined) === condition.exists;
  if (value === undefined) return false;
  if ('prefix' in condition) return typeof value === 'string' && value.startsWith(condition.prefix);
  if ('numeric' in condition) {
    if (typeof value !== 'number') return false;
    const { numeric } = condition;
    if (numeric.length === 2) return compare(numeric[0], value, numeric[1]);
    return compare(numeric[0], value, numeric[1]) && compare(numeric[2], value, numeric[3]);
  }
  const except = condition['anything-but'];
  if (typeof except === 'string' || typeof except === 'number') return value !== except;
  if (Array.isArray(except)) return !except.includes(value);
  return !(typeof value === 'string' && value.startsWith(except.prefix));
};

/** Whether an event with these attributes goes to the subscriber. */
export const matchesPolicy = (policy: FilterPolicy, attributes: EventAttributes): boolean => {
  for (const key in policy) {
    const value = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
    if (!policy[key]?.some((condition) => holds(condition, value))) return false;
  }
  return true;
};
