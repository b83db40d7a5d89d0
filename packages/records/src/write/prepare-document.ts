/** From what a client sent to flat rows: shape, validate, flatten. Every failure of one document in one `validation_failed`. */
import { CaseboundError, type FieldError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import type { StoreContext } from '../store-context.ts';
import { type FlatDocument, flattenDocument } from './flatten-document.ts';
import type { JsonValue } from './parse-json.ts';
import { shapeDocument } from './shape-document.ts';

/** Errors told of one document. */
const maxErrors = 200;

type JsonObject = { [key: string]: JsonValue };

/** A document in its shape, with what its schema says against it; or why it has none. */
export type Shaped =
  | { readonly document: JsonObject; readonly errors: readonly FieldError[] }
  | { readonly document: null; readonly errors: readonly FieldError[] };

export const shapeAndValidate = (ctx: StoreContext, resource: Resource, input: JsonValue): Shaped => {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { document: null, errors: [{ path: '$', message: 'must be an object' }] };
  }
  const document = shapeDocument(input, ctx.shape(resource));
  return { document, errors: ctx.validator(resource).validate(document) };
};

/** What only the columns know (a day that no month has) is told together with what the schema says. */
export const allErrors = (bySchema: readonly FieldError[], byColumns: readonly FieldError[]): readonly FieldError[] => {
  if (bySchema.length === 0) return byColumns;
  const told = new Set(bySchema.map((error) => error.path));
  return [...bySchema, ...byColumns.filter((error) => !told.has(error.path))].slice(0, maxErrors);
};

/** Throws `validation_failed` with the JSON path of everything that is wrong. */
export const prepareDocument = (ctx: StoreContext, resource: Resource, input: JsonValue): FlatDocument => {
  const { document, errors } = shapeAndValidate(ctx, resource, input);
  if (document === null) throw invalidDocument(resource, errors);
  const flattened = flattenDocument(ctx.flatPlan(resource), document);
  if (flattened.ok && errors.length === 0) return flattened.flat;
  throw invalidDocument(resource, allErrors(errors, flattened.ok ? [] : flattened.errors));
};

export const invalidDocument = (resource: Resource, errors: readonly FieldError[]): CaseboundError => {
  const [first] = errors;
  return new CaseboundError(
    'validation_failed',
    `The ${resource.name.resourceName} is not valid: ${first?.path} ${first?.message}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}.`,
    { errors },
  );
};
