/** Path and query of a call. */
import { CaseboundError } from '../casebound-error.ts';
import type { Operation } from '../operation.ts';
import type { AnyInput } from './create-client.ts';

const parameterText = (name: string, place: string, value: unknown): string => {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      throw new CaseboundError('validation_failed', `${name} was called with a ${place} that cannot be sent.`, {
        errors: [{ path: place, message: 'Expected text, a number or a boolean.' }],
      });
  }
};

/** A path segment. URL parsers resolve `.` and `..`, encoded or not, which would call another address. */
const encodeSegment = (name: string, place: string, value: unknown): string => {
  const text = parameterText(name, place, value);
  if (text === '' || text === '.' || text === '..') {
    throw new CaseboundError('validation_failed', `${name} was called with a ${place} that no address can hold.`, {
      errors: [{ path: place, message: 'It must not be empty, "." or "..".' }],
    });
  }
  return encode(name, place, text);
};

const encode = (name: string, place: string, text: string): string => {
  if (text.isWellFormed()) return encodeURIComponent(text);
  throw new CaseboundError('validation_failed', `${name} was called with a ${place} that is not well-formed Unicode.`, {
    errors: [{ path: place, message: 'It has a lone surrogate.' }],
  });
};

/** `/v1/cases/7?limit=10`. Query members that are `undefined` are left out; the items of an array repeat their name. */
export const encodeAddress = (name: string, operation: Operation, input: AnyInput): string => {
  const path = operation.path.replaceAll(/\{([^}]*)\}/g, (_braces, parameter: string) =>
    encodeSegment(name, `path.${parameter}`, input.params?.[parameter]),
  );
  const pairs = Object.entries(input.query ?? {}).flatMap(([key, value]) => {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    const place = `query.${key}`;
    return values
      .filter((item) => item !== undefined)
      .map((item) => `${encode(name, place, key)}=${encode(name, place, parameterText(name, place, item))}`);
  });
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
};
