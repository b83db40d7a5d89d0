/**
 * Looks through the JSON Schema of a resource for what would fail a request later: keywords of a wrong form, patterns that are no
 * regular expressions, references to other schemas.
 *
 * - Unknown keywords are ignored, as the standard says. The caller has bounded the depth.
 */
import type { Problems } from './load-schema.ts';

const typeNames = new Set(['string', 'number', 'integer', 'boolean', 'object', 'array', 'null']);
const maxPattern = 2_000;

type Check = (value: unknown) => string | null;

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const count: Check = (value) => (isCount(value) ? null : 'must be a whole number from 0');
const number: Check = (value) => (typeof value === 'number' && Number.isFinite(value) ? null : 'must be a number');
const truth: Check = (value) => (typeof value === 'boolean' ? null : 'must be true or false');
const names: Check = (value) =>
  Array.isArray(value) && value.every((name) => typeof name === 'string') ? null : 'must be a list of names';

const pattern: Check = (value) => {
  if (typeof value !== 'string' || value.length > maxPattern)
    return `must be a text of at most ${maxPattern} characters`;
  try {
    return new RegExp(value, 'u') instanceof RegExp ? null : 'is no regular expression';
  } catch {
    return 'is no regular expression';
  }
};

const type: Check = (value) => {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.length > 0 && list.every((name) => typeof name === 'string' && typeNames.has(name))
    ? null
    : 'must name types of JSON';
};

const elsewhere: Check = () => 'leads to another schema; write it out in place';

const checks: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['type', type],
  ['pattern', pattern],
  ['required', names],
  ['enum', (value) => (Array.isArray(value) && value.length > 0 ? null : 'must be a list of values')],
  ['uniqueItems', truth],
  ['multipleOf', (value) => (number(value) === null && Number(value) > 0 ? null : 'must be a number above 0')],
  ...[
    'maxLength',
    'minLength',
    'maxItems',
    'minItems',
    'maxProperties',
    'minProperties',
    'maxContains',
    'minContains',
  ].map((name): [string, Check] => [name, count]),
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].map((name): [string, Check] => [name, number]),
  ...['$ref', '$dynamicRef', '$recursiveRef'].map((name): [string, Check] => [name, elsewhere]),
]);

const oneSchema = new Set([
  'items',
  'additionalProperties',
  'contains',
  'not',
  'if',
  'then',
  'else',
  'propertyNames',
  'unevaluatedItems',
  'unevaluatedProperties',
]);
const manySchemas = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
const namedSchemas = new Set(['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions']);

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

class SchemaWalk {
  private readonly problems: Problems;

  constructor(problems: Problems) {
    this.problems = problems;
  }

  schema(value: unknown, at: string): void {
    if (typeof value === 'boolean') return;
    if (!isObject(value)) {
      this.problems.add(at, 'is no JSON schema');
      return;
    }
    for (const [keyword, inner] of Object.entries(value)) this.keyword(keyword, inner, at);
    this.requiredMembers(value, at);
  }

  private keyword(keyword: string, value: unknown, at: string): void {
    const place = `${at}.${keyword.slice(0, 100)}`;
    const message = checks.get(keyword)?.(value) ?? null;
    if (message !== null) this.problems.add(place, message);
    if (oneSchema.has(keyword)) this.schema(value, place);
    else if (manySchemas.has(keyword)) {
      if (!Array.isArray(value) || value.length === 0) this.problems.add(place, 'must be a list of schemas');
      else value.forEach((item, index) => this.schema(item, `${place}[${index}]`));
    } else if (namedSchemas.has(keyword)) {
      if (!isObject(value)) this.problems.add(place, 'must have a schema for each name');
      else for (const [name, inner] of Object.entries(value)) this.named(keyword, name, inner, place);
    }
  }

  private named(keyword: string, name: string, value: unknown, at: string): void {
    const place = `${at}.${name.slice(0, 100)}`;
    if (keyword === 'patternProperties') {
      const message = pattern(name);
      if (message !== null) this.problems.add(place, message);
    }
    this.schema(value, place);
  }

  /** A member that is required but not declared would be dropped from every document, which then lacks it. */
  private requiredMembers(schema: Readonly<Record<string, unknown>>, at: string): void {
    const { properties, required } = schema;
    if (!isObject(properties) || !Array.isArray(required)) return;
    for (const name of required) {
      if (typeof name === 'string' && !Object.hasOwn(properties, name))
        this.problems.add(`${at}.required`, `names ${name.slice(0, 100)}, which is not declared`);
    }
  }
}

/** Adds what is wrong with one resource's `jsonSchemaForInsert` to `problems`. */
export const checkJsonSchema = (schema: unknown, at: string, problems: Problems): void =>
  new SchemaWalk(problems).schema(schema, at);
