/**
 * SQL for the elements of a resource's identity, however many references away their values live.
 *
 * - Joins along one chain of references are shared: five elements that come through one section need one join of section.
 * - Every join is by primary key and LEFT, so it neither drops nor multiplies rows.
 */
import { type Model, type Resource, resourceId, type ReferenceBinding, type ScalarType } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { identityTextSql } from './json-sql.ts';

export interface ElementSql {
  readonly sql: string;
  readonly type: ScalarType;
  readonly isDescriptor: boolean;
}

export class IdentityJoins {
  readonly joins: string[] = [];
  private readonly model: Model;
  private readonly schema: string;
  private readonly aliases = new Map<string, string>();
  private readonly prefix: string;

  /** `prefix` keeps the aliases of two scopes of one statement apart. */
  constructor(model: Model, schema: string, prefix = 'j') {
    this.model = model;
    this.schema = schema;
    this.prefix = prefix;
  }

  /** Alias of the row of a table whose document id is `on`; joined once, however often it is asked for. */
  join(table: string, on: string): string {
    const known = this.aliases.get(`${table} ${on}`);
    if (known !== undefined) return known;
    const alias = `${this.prefix}${this.aliases.size + 1}`;
    this.aliases.set(`${table} ${on}`, alias);
    this.joins.push(
      `LEFT JOIN ${quoteIdentifier(this.schema)}.${quoteIdentifier(table)} ${alias} ON ${alias}.document_id = ${on}`,
    );
    return alias;
  }

  /** Element `index` of the identity of `resource`, whose root row has the alias `alias`. */
  element(resource: Resource, alias: string, index: number): ElementSql {
    const source = resource.identity[index]?.source;
    if (source === undefined) return { sql: 'NULL', type: { kind: 'text' }, isDescriptor: false };
    const column = `${alias}.${quoteIdentifier(source.column.name)}`;
    if (source.kind === 'scalar') return { sql: column, type: source.column.type, isDescriptor: false };
    if (source.kind === 'descriptor') {
      return { sql: `${this.join('descriptor', column)}.uri`, type: { kind: 'text' }, isDescriptor: true };
    }
    return this.targetElement(source.binding, column, source.elementIndex);
  }

  /** Alias of the row that a reference column refers to; null when the model does not know the target. */
  target(binding: ReferenceBinding, column: string): string | null {
    const table =
      this.model.resources.get(resourceId(binding.target))?.root.name ??
      this.model.abstracts.get(resourceId(binding.target))?.viewName;
    return table === undefined ? null : this.join(table, column);
  }

  /** Element `index` of the identity of what a reference column refers to. */
  targetElement(binding: ReferenceBinding, column: string, index: number): ElementSql {
    const concrete = this.model.resources.get(resourceId(binding.target));
    if (concrete !== undefined) return this.element(concrete, this.join(concrete.root.name, column), index);
    const view = this.model.abstracts.get(resourceId(binding.target));
    const viewColumn = view?.columns[index];
    if (view === undefined || viewColumn === undefined)
      return { sql: 'NULL', type: { kind: 'text' }, isDescriptor: false };
    const alias = this.join(view.viewName, column);
    const isDescriptor = binding.elements[index]?.isDescriptor ?? false;
    return { sql: `${alias}.${quoteIdentifier(viewColumn.name)}`, type: viewColumn.type, isDescriptor };
  }

  /** The elements as `path=value`, in the order in which a referential id hashes them joined by `#`. */
  identityParts(
    resource: Resource,
    alias: string,
    labels: readonly { readonly path: string; readonly ownIndex: number }[],
  ): readonly IdentityPart[] {
    return labels.map(({ path, ownIndex }) => {
      const element = this.element(resource, alias, ownIndex);
      const text = identityTextSql(element.sql, element.type);
      return { sql: `${quoteLiteral(`${path}=`)} || ${text}`, isDescriptor: element.isDescriptor };
    });
  }
}

/** One element of an identity. A descriptor's letter case does not count; who hashes the text lowers it. */
export interface IdentityPart {
  readonly sql: string;
  readonly isDescriptor: boolean;
}
