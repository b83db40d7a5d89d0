/** From what a client sent to flat rows: shape, validate, flatten. Every failure of one document in one `validation_failed`. */
import { CaseboundError, type FieldError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import type { StoreContext } from '../store-context.ts';
import { type FlatDocument, flattenDocument } from './flatten-document.ts';
import type { JsonValue } from './parse-json.ts';
import { shapeDocument } from './shape-document.ts';

export type Prepared =
  | { readonly ok: true; readonly flat: FlatDocument }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/** Prepares one document without throwing; the bulk path reports errors by row. */
export const tryPrepare = (ctx: StoreContext, resource: Resource, input: JsonValue): Prepared => {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { ok: false, errors: [{ path: '$', message: 'must be an object' }] };
  }
  const shaped = shapeDocument(input, resource, ctx.coercions(resource));
  const errors = ctx.validator(resource).validate(shaped);
  if (errors.length > 0) return { ok: false, errors };
  return flattenDocument(resource, shaped);
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
