/** From what a client sent to flat rows: shape, validate, flatten. Every failure of one document in one `validation_failed`. */
import { CaseboundError, type FieldError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import type { StoreContext } from '../store-context.ts';
import { type FlatDocument, flattenDocument, type ReferentialIds } from './flatten-document.ts';
import type { JsonValue } from './parse-json.ts';
import { shapeDocument } from './shape-document.ts';

/** Errors told of one document. */
const maxErrors = 200;

export type Prepared =
  | { readonly ok: true; readonly flat: FlatDocument }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/** Prepares one document without throwing; the bulk path reports errors by row. */
export const tryPrepare = (ctx: StoreContext, resource: Resource, input: JsonValue, ids?: ReferentialIds): Prepared => {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { ok: false, errors: [{ path: '$', message: 'must be an object' }] };
  }
  const shaped = shapeDocument(input, resource, ctx.coercions(resource));
  const errors = ctx.validator(resource).validate(shaped);
  const flattened = flattenDocument(resource, shaped, ids);
  if (errors.length === 0) return flattened;
  // What only the columns know (a day that no month has) is told together with what the schema says.
  const told = new Set(errors.map((error) => error.path));
  const more = flattened.ok ? [] : flattened.errors.filter((error) => !told.has(error.path));
  return { ok: false, errors: [...errors, ...more].slice(0, maxErrors) };
};

/** Throws `validation_failed` with the JSON path of everything that is wrong. */
export const prepareDocument = (ctx: StoreContext, resource: Resource, input: JsonValue): FlatDocument => {
  const prepared = tryPrepare(ctx, resource, input);
  if (prepared.ok) return prepared.flat;
  throw invalidDocument(resource, prepared.errors);
};

export const invalidDocument = (resource: Resource, errors: readonly FieldError[]): CaseboundError => {
  const [first] = errors;
  return new CaseboundError(
    'validation_failed',
    `The ${resource.name.resourceName} is not valid: ${first?.path} ${first?.message}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}.`,
    { errors },
  );
};
