/**
 * The compiled validator of a resource: JSON schema, equality constraints, array uniqueness; every failure at its JSON path.
 *
 * - Compiled on first use: a store of hundreds of resources starts without compiling any.
 * - `uniqueItems` of objects is checked here by canonical text, because a pairwise comparison of 10,000 items takes minutes.
 */
import { _, Ajv2020, type CodeKeywordDefinition, type ErrorObject, str, type ValidateFunction } from 'ajv/dist/2020.js';
import type { FieldError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import { nodeKind } from '../derive/scalar-type.ts';
import type { JsonSchema } from '../schema/api-schema.ts';
import { parsePath, pathFromPointer, type PathStep } from '../schema/json-path.ts';
import { canonicalText } from '../identity/referential-id.ts';
import { sortedJson } from './normalise-value.ts';
import type { JsonValue } from './parse-json.ts';

const maxErrors = 200;

export interface ResourceValidator {
  validate(document: { [key: string]: JsonValue }): readonly FieldError[];
}

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The schema without what this file checks itself, and with required members of any shape still required. `isShaped`: documents come
 * here with no member that the schema does not name (`shape-document.ts`), so none is looked for.
 */
const prepare = (schema: unknown, uniqueArrays: string[], path: string, isShaped: boolean): unknown => {
  if (Array.isArray(schema)) return schema.map((item) => prepare(item, uniqueArrays, path, false));
  if (!isSchema(schema)) return schema;
  const kind = nodeKind(schema);
  const isNode = isShaped && kind !== 'json';
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === '$schema' || key === '$id' || key === 'title' || key === 'description' || key === 'minItems') {
      if (key === 'minItems' && value !== 0) out[key] = value;
    } else if (key === 'uniqueItems') {
      if (value === true) uniqueArrays.push(path);
    } else if (key === 'properties' && isSchema(value)) {
      out[key] = Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [name, prepare(inner, uniqueArrays, `${path}.${name}`, isNode)]),
      );
    } else if (key === 'additionalProperties' && isNode && kind === 'object') {
      // Dropped before.
    } else if (key === 'format' && (value === 'date' || value === 'time' || value === 'date-time')) {
      // Dates and times are read by `normaliseScalar`, which also knows the columns' bounds.
    } else if (key === 'items') out[key] = prepare(value, uniqueArrays, `${path}[*]`, isNode);
    else out[key] = prepare(value, uniqueArrays, path, false);
  }
  return out;
};

const toFieldError = (error: ErrorObject): FieldError => {
  const at = pathFromPointer(error.instancePath);
  if (error.keyword === 'required') {
    return {
      path: `${at}.${String((error.params as { missingProperty?: unknown }).missingProperty)}`,
      message: 'is required',
    };
  }
  return { path: at, message: error.message ?? 'is not valid' };
};

const codePoints = (text: string): number => {
  let count = 0;
  for (const _point of text) count += 1;
  return count;
};

/** As the validator's own, which counts code points, and counts them only in a text that has more code units than is allowed. */
const maxLength: CodeKeywordDefinition = {
  keyword: 'maxLength',
  type: 'string',
  schemaType: 'number',
  error: {
    message: ({ schemaCode }) => str`must NOT have more than ${schemaCode} characters`,
    params: ({ schemaCode }) => _`{limit: ${schemaCode}}`,
  },
  code: (context) => {
    const { data, schemaCode, gen } = context;
    const count = gen.scopeValue('func', { ref: codePoints });
    context.fail(_`${data}.length > ${schemaCode} && ${count}(${data}) > ${schemaCode}`);
  },
};

interface Found {
  readonly path: string;
  readonly value: JsonValue;
}

/** Every value at a path, each with its concrete path. */
export const valuesAt = (document: JsonValue, steps: readonly PathStep[]): readonly Found[] => {
  let found: Found[] = [{ path: '$', value: document }];
  for (const step of steps) {
    found = found.flatMap(({ path, value }) => {
      if (step.kind === 'each') {
        return Array.isArray(value) ? value.map((item, index) => ({ path: `${path}[${index}]`, value: item })) : [];
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, step.name))
        return [];
      const inner = value[step.name];
      return inner === undefined || inner === null ? [] : [{ path: `${path}.${step.name}`, value: inner }];
    });
  }
  return found;
};

/** The key that items of an array may not share; null for an item that has none. */
type KeyOf = (item: JsonValue) => string | null;

const repeats = (items: readonly JsonValue[], keyOf: KeyOf): boolean => {
  if (items.length < 2) return false;
  const keys = items.map(keyOf).filter((key) => key !== null);
  return new Set(keys).size < keys.length;
};

/** Whether an array that the steps lead to has two items of one key: looked at first, because places are named only where it has. */
const hasRepeats = (value: JsonValue | undefined, steps: readonly PathStep[], keyOf: KeyOf, at = 0): boolean => {
  const step = steps[at];
  if (step === undefined || typeof value !== 'object' || value === null) return false;
  if (step.kind === 'member')
    return (
      !Array.isArray(value) && Object.hasOwn(value, step.name) && hasRepeats(value[step.name], steps, keyOf, at + 1)
    );
  if (!Array.isArray(value)) return false;
  if (at === steps.length - 1) return repeats(value, keyOf);
  return value.some((item) => hasRepeats(item, steps, keyOf, at + 1));
};

const scalarText = (value: JsonValue): string =>
  typeof value === 'object' ? JSON.stringify(value) : canonicalText(value, false);

type EqualityRule = readonly [source: readonly PathStep[], target: readonly PathStep[]];

const equalityErrors = (rules: readonly EqualityRule[], document: JsonValue): FieldError[] => {
  const errors: FieldError[] = [];
  for (const [source, target] of rules) {
    const all = [...valuesAt(document, source), ...valuesAt(document, target)];
    const [first] = all;
    const odd = all.find((entry) => first !== undefined && scalarText(entry.value) !== scalarText(first.value));
    if (first !== undefined && odd !== undefined)
      errors.push({ path: odd.path, message: `must be equal to ${first.path}` });
  }
  return errors;
};

const duplicateErrors = (items: readonly Found[], keyOf: KeyOf): FieldError[] => {
  const seen = new Map<string, string>();
  const errors: FieldError[] = [];
  for (const item of items) {
    const key = keyOf(item.value);
    if (key === null) continue;
    const other = seen.get(key);
    if (other !== undefined)
      errors.push({ path: item.path, message: `is the same as ${other}, and each may stand only once` });
    else seen.set(key, item.path);
  }
  return errors;
};

interface UniqueRule {
  /** Leads to the items. */
  readonly base: readonly PathStep[];
  readonly keyOf: KeyOf;
}

interface KeyPart {
  readonly steps: readonly PathStep[];
  readonly isLowered: boolean;
}

const partOf = (item: JsonValue, { steps, isLowered }: KeyPart): string | null => {
  let value: JsonValue | undefined = item;
  for (const step of steps) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || step.kind === 'each') return null;
    value = Object.hasOwn(value, step.name) ? value[step.name] : undefined;
  }
  if (value === undefined || value === null) return null;
  const text = scalarText(value);
  return isLowered ? text.toLowerCase() : text;
};

/** What lies within one item, so no step of a part leads through an array. */
const keyOfParts =
  (parts: readonly KeyPart[]): KeyOf =>
  (item) =>
    JSON.stringify(parts.map((part) => partOf(item, part)));

const uniqueRules = (resource: Resource): readonly UniqueRule[] => {
  const descriptorPaths = new Set(resource.descriptors.map((column) => column.path));
  return resource.tables.flatMap((table) => {
    const base = parsePath(table.path) ?? [];
    const key = table.valueKey?.reference ?? null;
    const sets = table.uniques.map((unique) => unique.paths);
    if (key !== null) sets.push(key.elements.map((element) => `${key.path}.${element.member}`));
    return sets.map((paths): UniqueRule => ({
      base,
      keyOf: keyOfParts(
        paths.map((path) => ({
          steps: (parsePath(path) ?? []).slice(base.length),
          isLowered: descriptorPaths.has(path),
        })),
      ),
    }));
  });
};

/** Groups items of a nested array by the array they stand in: uniqueness holds within one parent. */
const byParent = (items: readonly Found[]): readonly (readonly Found[])[] => [
  ...Map.groupBy(items, (item) => item.path.slice(0, item.path.lastIndexOf('['))).values(),
];

/** Compiles the validator of one resource. */
export const compileValidator = (resource: Resource): ResourceValidator => {
  const ajv = new Ajv2020({ allErrors: true, strict: false, validateSchema: false, logger: false });
  ajv.removeKeyword('maxLength').addKeyword(maxLength);
  const uniqueArrays: string[] = [];
  const schema = prepare(resource.jsonSchema, uniqueArrays, '$', true) as JsonSchema;
  const check: ValidateFunction = ajv.compile(schema);
  const rules: readonly UniqueRule[] = [
    ...uniqueArrays.map((path) => ({ base: parsePath(`${path}[*]`) ?? [], keyOf: sortedJson })),
    ...uniqueRules(resource),
  ];
  const equal = resource.source.equalityConstraints.map(({ sourceJsonPath, targetJsonPath }): EqualityRule => [
    parsePath(sourceJsonPath) ?? [],
    parsePath(targetJsonPath) ?? [],
  ]);
  return {
    validate: (document) => {
      const errors: FieldError[] = [];
      if (!check(document)) errors.push(...(check.errors ?? []).slice(0, maxErrors).map(toFieldError));
      for (const { base, keyOf } of rules) {
        if (!hasRepeats(document, base, keyOf)) continue;
        for (const group of byParent(valuesAt(document, base))) errors.push(...duplicateErrors(group, keyOf));
      }
      if (equal.length > 0) errors.push(...equalityErrors(equal, document));
      return errors.length > maxErrors ? errors.slice(0, maxErrors) : errors;
    },
  };
};
