/**
 * SQL of the identities that records of the source will have in the destination, with the hooks of the policy applied, however many
 * references away the changed value lives.
 *
 * - Reads the source alone: an identity is known, and can be checked for conflicts, before a row is written.
 */
import { type ReferenceBinding, type Resource, resourceId } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { sqlType } from '../derive/scalar-type.ts';
import { identityText, type IdentityText } from '../identity/recompute-identities.ts';
import type { ElementSql, IdentityPart } from '../plan/identity-sql.ts';
import { identityTextSql } from '../plan/json-sql.ts';
import type { CopySql } from './copy-sql.ts';

const nothing: ElementSql = { sql: 'NULL', type: { kind: 'text' }, isDescriptor: false };

class SourceJoins {
  readonly joins: string[] = [];
  private readonly sql: CopySql;
  private readonly prefix: string;
  private readonly aliases = new Map<string, string>();

  constructor(sql: CopySql, prefix: string) {
    this.sql = sql;
    this.prefix = prefix;
  }

  private join(from: string, on: string): string {
    const known = this.aliases.get(`${from} ${on}`);
    if (known !== undefined) return known;
    const alias = `${this.prefix}${this.aliases.size + 1}`;
    this.aliases.set(`${from} ${on}`, alias);
    this.joins.push(`LEFT JOIN ${from} ${alias} ON ${alias}.document_id = ${on}`);
    return alias;
  }

  /** Element `index` of the identity of a resource of the source model, whose root row has the alias. */
  element(resource: Resource, alias: string, index: number): ElementSql {
    const source = resource.identity[index]?.source;
    if (source === undefined) return nothing;
    const column = `${alias}.${quoteIdentifier(source.column.name)}`;
    if (source.kind === 'descriptor')
      return {
        sql: `${this.join(this.sql.source('descriptor'), column)}.uri`,
        type: { kind: 'text' },
        isDescriptor: true,
      };
    if (source.kind === 'reference') return this.target(source.binding, column, source.elementIndex);
    const mapped = this.sql.plan.byName.get(resourceId(resource.name))?.tables[0];
    const item = mapped?.columns.find((candidate) => candidate.source === source.column);
    if (mapped === undefined || item === undefined || item.value.kind !== 'hook')
      return { sql: column, type: source.column.type, isDescriptor: false };
    const scope = this.sql.scope(mapped, item.source, alias);
    const { type } = item.destination;
    return { sql: `(${item.value.hook(scope)})::${sqlType(type)}`, type, isDescriptor: false };
  }

  private target(binding: ReferenceBinding, column: string, index: number): ElementSql {
    const { source } = this.sql.plan;
    const concrete = source.resources.get(resourceId(binding.target));
    if (concrete !== undefined)
      return this.element(concrete, this.join(this.sql.source(concrete.root.name), column), index);
    const view = source.abstracts.get(resourceId(binding.target));
    const viewColumn = view?.columns[index];
    if (view === undefined || viewColumn === undefined) return nothing;
    // The view of an abstract resource written out, because the store's own knows no hooks.
    const branches = view.subclasses.map((subclass) => {
      const inner = new SourceJoins(this.sql, `${this.prefix}v`);
      const elements = view.columns.map((item, at) => {
        const element = inner.element(subclass, 't', subclass.alias?.elements[at]?.ownIndex ?? 0);
        return `${element.sql} AS ${quoteIdentifier(item.name)}`;
      });
      return `SELECT t.document_id, ${elements.join(', ')} FROM ${this.sql.source(subclass.root.name)} t ${inner.joins.join(' ')}`;
    });
    const alias = this.join(`(${branches.join(' UNION ALL ')})`, column);
    const isDescriptor = binding.elements[index]?.isDescriptor ?? false;
    return { sql: `${alias}.${quoteIdentifier(viewColumn.name)}`, type: viewColumn.type, isDescriptor };
  }

  parts(
    resource: Resource,
    labels: readonly { readonly path: string; readonly ownIndex: number }[],
  ): readonly IdentityPart[] {
    return labels.map(({ path, ownIndex }) => {
      const element = this.element(resource, 't', ownIndex);
      const text = identityTextSql(element.sql, element.type);
      return { sql: `${quoteLiteral(`${path}=`)} || ${text}`, isDescriptor: element.isDescriptor };
    });
  }
}

/** What the referential id and the superclass id of a root row `t` hash; `alias` is null without a superclass. */
export const sourceIdentity = (
  sql: CopySql,
  resource: Resource,
): { readonly own: IdentityText; readonly alias: IdentityText | null; readonly joins: string } => {
  const joins = new SourceJoins(sql, 'i');
  const own = joins.parts(
    resource,
    resource.identity.map((element, ownIndex) => ({ path: element.path, ownIndex })),
  );
  const alias = resource.alias === null ? null : joins.parts(resource, resource.alias.elements);
  return { own: identityText(own), alias: alias === null ? null : identityText(alias), joins: joins.joins.join(' ') };
};
