/**
 * The compiled validator of a resource: JSON schema, equality constraints, array uniqueness; every failure at its JSON path.
 *
 * - Compiled on first use: a store of hundreds of resources starts without compiling any.
 * - `uniqueItems` of objects is checked here by canonical text, because a pairwise comparison of 10,000 items takes minutes.
 */
import { _, Ajv2020, type CodeKeywordDefinition, type ErrorObject, str, type ValidateFunction } from 'ajv/dist/2020.js';
import type { FieldError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import type { JsonSchema } from '../schema/api-schema.ts';
import { parsePath, pathFromPointer, type PathStep } from '../schema/json-path.ts';
import { canonicalText } from '../identity/referential-id.ts';
import { sortedJson } from './normalise-value.ts';
import type { JsonValue } from './parse-json.ts';

const maxErrors = 200;

export interface ResourceValidator {
  validate(document: { [key: string]: JsonValue }): readonly FieldError[];
}

/** The schema without what this file checks itself, and with required members of any shape still required. */
const prepare = (schema: unknown, uniqueArrays: string[], path: string): unknown => {
  if (Array.isArray(schema)) return schema.map((item) => prepare(item, uniqueArrays, path));
  if (typeof schema !== 'object' || schema === null) return schema;
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === '$schema' || key === '$id' || key === 'title' || key === 'description' || key === 'minItems') {
      if (key === 'minItems' && value !== 0) out[key] = value;
    } else if (key === 'uniqueItems') {
      if (value === true) uniqueArrays.push(path);
    } else if (key === 'properties' && typeof value === 'object' && value !== null) {
      out[key] = Object.fromEntries(
        Object.entries(value).map(([name, inner]) => [name, prepare(inner, uniqueArrays, `${path}.${name}`)]),
      );
    } else if (key === 'format' && (value === 'date' || value === 'time' || value === 'date-time')) {
      // Dates and times are read by `normaliseScalar`, which also knows the columns' bounds.
    } else out[key] = key === 'items' ? prepare(value, uniqueArrays, `${path}[*]`) : prepare(value, uniqueArrays, path);
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

/** Whether any array on the way has two items or more: what has none repeats nothing. */
const hasSeveral = (value: JsonValue | undefined, steps: readonly PathStep[], at = 0): boolean => {
  const step = steps[at];
  if (step === undefined || typeof value !== 'object' || value === null) return false;
  if (step.kind === 'each') {
    if (!Array.isArray(value)) return false;
    return value.length > 1 || hasSeveral(value[0], steps, at + 1);
  }
  return !Array.isArray(value) && Object.hasOwn(value, step.name) && hasSeveral(value[step.name], steps, at + 1);
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

const duplicateErrors = (items: readonly Found[], keyOf: (item: Found) => string | null): FieldError[] => {
  const seen = new Map<string, string>();
  const errors: FieldError[] = [];
  for (const item of items) {
    const key = keyOf(item);
    if (key === null) continue;
    const other = seen.get(key);
    if (other !== undefined)
      errors.push({ path: item.path, message: `is the same as ${other}, and each may stand only once` });
    else seen.set(key, item.path);
  }
  return errors;
};

interface UniqueRule {
  readonly base: readonly PathStep[];
  readonly members: readonly (readonly PathStep[])[];
  readonly lowered: readonly boolean[];
}

const uniqueRules = (resource: Resource): readonly UniqueRule[] => {
  const descriptorPaths = new Set(resource.descriptors.map((column) => column.path));
  return resource.tables.flatMap((table) => {
    const base = parsePath(table.path) ?? [];
    const key = table.valueKey?.reference ?? null;
    const sets = table.uniques.map((unique) => unique.paths);
    if (key !== null) sets.push(key.elements.map((element) => `${key.path}.${element.member}`));
    return sets.map((paths) => ({
      base,
      members: paths.map((path) => (parsePath(path) ?? []).slice(base.length)),
      lowered: paths.map((path) => descriptorPaths.has(path)),
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
  const schema = prepare(resource.jsonSchema, uniqueArrays, '$') as JsonSchema;
  const check: ValidateFunction = ajv.compile(schema);
  const unique = uniqueArrays.map((path) => parsePath(`${path}[*]`) ?? []);
  const rules = uniqueRules(resource);
  const equal = resource.source.equalityConstraints.map(({ sourceJsonPath, targetJsonPath }): EqualityRule => [
    parsePath(sourceJsonPath) ?? [],
    parsePath(targetJsonPath) ?? [],
  ]);
  return {
    validate: (document) => {
      const errors: FieldError[] = [];
      if (!check(document)) errors.push(...(check.errors ?? []).slice(0, maxErrors).map(toFieldError));
      for (const steps of unique) {
        if (!hasSeveral(document, steps)) continue;
        for (const group of byParent(valuesAt(document, steps)))
          errors.push(...duplicateErrors(group, (item) => sortedJson(item.value)));
      }
      for (const rule of rules) {
        if (!hasSeveral(document, rule.base)) continue;
        for (const group of byParent(valuesAt(document, rule.base))) {
          errors.push(
            ...duplicateErrors(group, (item) => {
              const parts = rule.members.map((steps, index) => {
                const [found] = valuesAt(item.value, steps);
                if (found === undefined) return null;
                const text = scalarText(found.value);
                return rule.lowered[index] === true ? text.toLowerCase() : text;
              });
              return JSON.stringify(parts);
            }),
          );
        }
      }
      errors.push(...equalityErrors(equal, document));
      return errors.length > maxErrors ? errors.slice(0, maxErrors) : errors;
    },
  };
};
