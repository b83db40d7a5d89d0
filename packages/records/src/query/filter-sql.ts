/**
 * Query fields as SQL over a root row `t`.
 *
 * - A field that is an element of a reference's identity becomes a semi-join along the references to the table that holds it, so
 *   its index is used; a descriptor is looked up by its referential id.
 * - Values are bound; an unknown field or a value of the wrong type is a 400 that names it.
 */
import { CaseboundError } from '@casebound/contract';
import {
  type Column,
  displayName,
  type Model,
  type QueryTarget,
  type ReferenceBinding,
  type Resource,
  resourceId,
  type ResourceName,
  type ScalarType,
} from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { sqlType } from '../derive/scalar-type.ts';
import { descriptorReferentialId } from '../identity/referential-id.ts';
import { isUuid } from '../identity/uuid-v7.ts';
import type { StoreContext } from '../store-context.ts';
import { normaliseScalar } from '../write/normalise-value.ts';

export interface Filter {
  readonly field: string;
  readonly value: string;
}

const badFilter = (field: string, message: string): CaseboundError =>
  new CaseboundError('validation_failed', `The query parameter ${field.slice(0, 100)} ${message}.`, {
    errors: [{ path: `query.${field.slice(0, 100)}`, message }],
  });

const numberForm = /^-?\d{1,20}(?:\.\d{1,20})?$/;

const typedValue = (field: string, value: string, type: ScalarType): string | number | boolean => {
  const lower = value.toLowerCase();
  const parsed =
    type.kind === 'bigint' || type.kind === 'numeric'
      ? numberForm.test(value)
        ? Number(value)
        : value
      : type.kind === 'boolean' && (lower === 'true' || lower === 'false')
        ? lower === 'true'
        : value;
  const result = normaliseScalar(
    parsed,
    type.kind === 'numeric' ? { kind: 'numeric', precision: null, scale: null } : type,
  );
  if (!result.ok) throw badFilter(field, result.message);
  return result.value;
};

/** The descriptor type of an element of an identity, however many references away; null for any other element. */
const descriptorAt = (model: Model, name: ResourceName, index: number): ResourceName | null => {
  const concrete = model.resources.get(resourceId(name));
  if (concrete === undefined) {
    const [sample] = model.abstracts.get(resourceId(name))?.subclasses ?? [];
    return sample === undefined
      ? null
      : descriptorAt(model, sample.name, sample.alias?.elements[index]?.ownIndex ?? -1);
  }
  const source = concrete.identity[index]?.source;
  if (source?.kind === 'reference') return descriptorAt(model, source.binding.target, source.elementIndex);
  return source?.kind === 'descriptor' ? source.column.descriptor : null;
};

export class FilterBuilder {
  readonly values: unknown[];
  private readonly ctx: StoreContext;
  private readonly field: string;
  private readonly value: string;

  constructor(ctx: StoreContext, filter: Filter, values: unknown[]) {
    this.ctx = ctx;
    this.field = filter.field;
    this.value = filter.value;
    this.values = values;
  }

  private bind(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }

  private scalar(column: string, type: ScalarType): string {
    return `${column} = ${this.bind(typedValue(this.field, this.value, type))}::${type.kind === 'numeric' ? 'numeric' : sqlType(type)}`;
  }

  private descriptor(column: string, target: Column['descriptor']): string {
    if (target === null) return 'FALSE';
    const id = this.bind(descriptorReferentialId(target, this.value));
    return `${column} = (SELECT document_id FROM ${this.ctx.writes.qualified('referential_identity')} WHERE referential_id = ${id}::uuid)`;
  }

  /** `column` holds the uri of a descriptor as it is registered, whatever the case of the value. */
  private uri(column: string, target: ResourceName): string {
    const [identity, descriptor] = ['referential_identity', 'descriptor'].map((name) =>
      this.ctx.writes.qualified(name),
    );
    const id = this.bind(descriptorReferentialId(target, this.value));
    return `${column} = (SELECT x.uri FROM ${identity} i JOIN ${descriptor} x ON x.document_id = i.document_id WHERE i.referential_id = ${id}::uuid)`;
  }

  /** `column` refers to something whose identity element `index` has the value. */
  private element(column: string, binding: ReferenceBinding, index: number): string {
    const concrete = this.ctx.model.resources.get(resourceId(binding.target));
    if (concrete === undefined) {
      const view = this.ctx.model.abstracts.get(resourceId(binding.target));
      const viewColumn = view?.columns[index];
      if (view === undefined || viewColumn === undefined) return 'FALSE';
      const own = `v.${quoteIdentifier(viewColumn.name)}`;
      const descriptor = descriptorAt(this.ctx.model, view.name, index);
      const condition = descriptor === null ? this.scalar(own, viewColumn.type) : this.uri(own, descriptor);
      return `${column} IN (SELECT v.document_id FROM ${this.ctx.writes.qualified(view.viewName)} v WHERE ${condition})`;
    }
    const source = concrete.identity[index]?.source;
    if (source === undefined) return 'FALSE';
    const inner = `r.${quoteIdentifier(source.column.name)}`;
    const condition =
      source.kind === 'scalar'
        ? this.scalar(inner, source.column.type)
        : source.kind === 'descriptor'
          ? this.descriptor(inner, source.column.descriptor)
          : this.element(inner, source.binding, source.elementIndex);
    return `${column} IN (SELECT r.document_id FROM ${this.ctx.writes.qualified(concrete.root.name)} r WHERE ${condition})`;
  }

  target(target: QueryTarget): string {
    const isRoot = target.table.kind === 'root';
    const column = `${isRoot ? 't' : 'x'}.${quoteIdentifier(target.column.name)}`;
    const condition =
      target.column.kind === 'descriptor'
        ? this.descriptor(column, target.column.descriptor)
        : target.column.reference !== null && target.elementIndex !== null
          ? this.element(column, target.column.reference, target.elementIndex)
          : this.scalar(column, target.column.type);
    if (isRoot) return condition;
    return `t.document_id IN (SELECT x.root_document_id FROM ${this.ctx.writes.qualified(target.table.name)} x WHERE ${condition})`;
  }

  id(): string {
    if (!isUuid(this.value)) throw badFilter('id', 'must be a UUID');
    return `t.document_id = (SELECT document_id FROM ${this.ctx.writes.qualified('document')} WHERE document_uuid = ${this.bind(this.value)}::uuid)`;
  }
}

const fieldTargets = (resource: Resource, field: string): readonly QueryTarget[] | null => {
  const exact = resource.queryFields.get(field);
  if (exact !== undefined) return exact;
  for (const [name, targets] of resource.queryFields) if (name.toLowerCase() === field.toLowerCase()) return targets;
  return null;
};

/** The condition of all filters, appending its values to `values`. `TRUE` without filters. */
export const filterSql = (
  ctx: StoreContext,
  resource: Resource,
  filters: readonly Filter[],
  values: unknown[],
): string => {
  const conditions = filters.map((filter) => {
    if (filter.value.includes('\u0000') || !filter.value.isWellFormed())
      throw badFilter(filter.field, 'holds a NUL character or half of a surrogate pair');
    if (filter.value.length > 2_000) throw badFilter(filter.field, 'is longer than 2,000 characters');
    const builder = new FilterBuilder(ctx, filter, values);
    const targets = fieldTargets(resource, filter.field);
    if (targets === null) {
      if (filter.field === 'id') return builder.id();
      throw badFilter(filter.field, `is no query field of ${displayName(resource.name)}`);
    }
    return `(${targets.map((target) => builder.target(target)).join(' OR ')})`;
  });
  return conditions.length === 0 ? 'TRUE' : conditions.join(' AND ');
};
