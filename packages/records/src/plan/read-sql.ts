/**
 * Compiles the SQL that renders documents of a resource as JSON text, whole pages in one statement.
 *
 * - The text is complete: `id`, members in schema order, `_etag`, `_lastModifiedDate`. It goes to the client as it is.
 * - Every collection is one correlated subselect on the leading columns of its primary key; every reference is one on the
 *   primary key of its target.
 */
import { documentColumn } from '../ddl/emit-ddl.ts';
import type { Column, Member, Model, ReferenceBinding, Resource, Table } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { IdentityJoins, type IdentityPart } from './identity-sql.ts';
import { identityTextSql, jsonMemberSql, jsonValueSql, joinPartsSql } from './json-sql.ts';

export class ReadSql {
  private readonly model: Model;
  private readonly schema: string;
  private aliases = 0;

  constructor(model: Model, schema: string) {
    this.model = model;
    this.schema = schema;
  }

  private nextAlias(): string {
    this.aliases += 1;
    return `c${this.aliases}`;
  }

  private qualified(table: string): string {
    return `${quoteIdentifier(this.schema)}.${quoteIdentifier(table)}`;
  }

  /** Comma-joined members of a row without braces; '' when there are none. */
  private membersSql(members: readonly Member[], alias: string, table: Table, joins?: IdentityJoins): string {
    const parts = members.map((member) => this.memberSql(member, alias, table, joins));
    return parts.length === 0 ? `''` : joinPartsSql(parts);
  }

  /** The joins that `memberSql` may add to, for the row `alias`. */
  joinsOf(alias: string): IdentityJoins {
    return new IdentityJoins(this.model, this.schema, `${alias}_`);
  }

  /**
   * `"name":value` of a member of the row `alias` of a table; NULL where it has none. What it refers to is read by subselects, or by
   * `joins`, which are then to stand in the FROM.
   */
  memberSql(member: Member, alias: string, table: Table, joins?: IdentityJoins): string {
    switch (member.kind) {
      case 'scalar':
        return jsonMemberSql(
          member.name,
          jsonValueSql(`${alias}.${quoteIdentifier(member.column.name)}`, member.column.type),
        );
      case 'descriptor':
        return jsonMemberSql(member.name, this.descriptorSql(member.column, alias, joins));
      case 'reference':
        return jsonMemberSql(member.name, this.referenceSql(member.column, member.binding, alias, joins));
      case 'object':
        if (member.members.length === 0) return 'NULL';
        return jsonMemberSql(
          member.name,
          `('{' || nullif(${this.membersSql(member.members, alias, table, joins)}, '') || '}')`,
        );
      case 'extension':
        return jsonMemberSql(member.name, this.extensionSql(member.table, alias, table));
      case 'collection':
        return jsonMemberSql(member.name, this.collectionSql(member.table, member.scalarItems, alias, table));
    }
  }

  private descriptorSql(column: Column, alias: string, joins?: IdentityJoins): string {
    if (joins !== undefined)
      return `to_json(${joins.join('descriptor', `${alias}.${quoteIdentifier(column.name)}`)}.uri)::text`;
    const x = this.nextAlias();
    return `(SELECT to_json(${x}.uri)::text FROM ${this.qualified('descriptor')} ${x} WHERE ${x}.document_id = ${alias}.${quoteIdentifier(column.name)})`;
  }

  private referenceSql(column: Column, binding: ReferenceBinding, alias: string, joins?: IdentityJoins): string {
    const scope = joins ?? new IdentityJoins(this.model, this.schema, `${this.nextAlias()}_`);
    const reference = `${alias}.${quoteIdentifier(column.name)}`;
    const told = new Set<string>();
    const parts = binding.elements.flatMap((element, index) => {
      // Two elements of the target's identity may be one member here: a section's school is its course's and its session's.
      if (told.has(element.member)) return [];
      told.add(element.member);
      const source = scope.targetElement(binding, reference, index);
      const declaredText = element.type.kind === 'text' && source.type.kind !== 'text';
      return [
        jsonMemberSql(
          element.member,
          declaredText
            ? `to_json(${identityTextSql(source.sql, source.type)})::text`
            : jsonValueSql(source.sql, source.type),
        ),
      ];
    });
    if (joins !== undefined) {
      const target = joins.target(binding, reference);
      return target === null
        ? 'NULL'
        : `CASE WHEN ${target}.document_id IS NOT NULL THEN '{' || ${joinPartsSql(parts)} || '}' END`;
    }
    const [first = '', ...others] = scope.joins;
    // The first join's table is what the reference points to; it becomes the FROM of the subselect.
    const match = /^LEFT JOIN (.+) (\S+) ON (.+)$/.exec(first);
    const from = match === null ? '' : `FROM ${match[1]} ${match[2]} ${others.join(' ')} WHERE ${match[3]}`;
    return `(SELECT '{' || ${joinPartsSql(parts)} || '}' ${from})`;
  }

  private extensionSql(table: Table, alias: string, parent: Table): string {
    const x = this.nextAlias();
    return `(SELECT '{' || ${this.membersSql(table.members, x, table)} || '}' FROM ${this.qualified(table.name)} ${x} WHERE ${this.sameRow(table, x, parent, alias)})`;
  }

  private sameRow(table: Table, alias: string, parent: Table, parentAlias: string): string {
    const document = `${alias}.${quoteIdentifier(documentColumn(table))} = ${parentAlias}.${quoteIdentifier(documentColumn(parent))}`;
    const ordinals = parent.ordinals.map(
      (name) => `${alias}.${quoteIdentifier(name)} = ${parentAlias}.${quoteIdentifier(name)}`,
    );
    return [document, ...ordinals].join(' AND ');
  }

  /** JSON text of one item of a collection, its row being `x`. */
  itemSql(table: Table, scalarItems: boolean, x: string, joins?: IdentityJoins): string {
    const [only] = table.members;
    return scalarItems && only !== undefined && (only.kind === 'scalar' || only.kind === 'descriptor')
      ? only.kind === 'scalar'
        ? jsonValueSql(`${x}.${quoteIdentifier(only.column.name)}`, only.column.type)
        : this.descriptorSql(only.column, x, joins)
      : `'{' || ${this.membersSql(table.members, x, table, joins)} || '}'`;
  }

  private collectionSql(table: Table, scalarItems: boolean, alias: string, parent: Table): string {
    const x = this.nextAlias();
    const order = quoteIdentifier(table.ordinals.at(-1) ?? '');
    const item = this.itemSql(table, scalarItems, x);
    const tieBreak = table.valueKey === null ? '' : `, ${x}.${quoteIdentifier(table.valueKey.name)}`;
    return `(SELECT '[' || string_agg(${item}, ',' ORDER BY ${x}.${order}${tieBreak}) || ']' FROM ${this.qualified(table.name)} ${x} WHERE ${this.sameRow(table, x, parent, alias)})`;
  }

  /** `"id":...` of a document `d`. */
  idSql(): string {
    return `'"id":"' || d.document_uuid || '"'`;
  }

  /** The members that stand behind those of the schema. */
  metaSql(): string {
    const modified = jsonMemberSql('_lastModifiedDate', jsonValueSql('d.last_modified_at', { kind: 'timestamp' }));
    return `'"_etag":"' || d.etag || '",' || ${modified}`;
  }

  /** JSON text of a document; `d` is the alias of `document`, `t` of the root table. */
  body(resource: Resource): string {
    const members = resource.root.members.map((member) => this.memberSql(member, 't', resource.root));
    return `'{' || ${joinPartsSql([this.idSql(), ...members, this.metaSql()])} || '}'`;
  }

  /** Joins the cached JSON as `k`: only what was built at the document's etag, and only while no bump of it is waiting. */
  cacheJoin(): string {
    return `LEFT JOIN ${this.qualified('document_cache')} k ON k.document_id = d.document_id AND k.etag = d.etag AND NOT EXISTS (SELECT 1 FROM ${this.qualified('etag_bump')} b WHERE b.document_id = d.document_id)`;
  }

  /** `FROM root t JOIN document d`; for a descriptor restricted to its own type by the key in `keyParameter`. */
  from(resource: Resource): string {
    return `FROM ${this.qualified(resource.root.name)} t JOIN ${this.qualified('document')} d ON d.document_id = t.document_id`;
  }

  /** What the referential id of a row `t` hashes, with the joins it needs; for a superclass with its own labels. */
  identity(
    resource: Resource,
    which: 'own' | 'alias',
  ): { readonly parts: readonly IdentityPart[]; readonly joins: string } {
    if (resource.isDescriptor) {
      const sql = `${quoteLiteral('$.descriptor=')} || t.namespace || '#' || t.code_value`;
      return { parts: [{ sql, isDescriptor: true }], joins: '' };
    }
    const scope = new IdentityJoins(this.model, this.schema, which === 'own' ? 'i' : 'a');
    const labels =
      which === 'alias' && resource.alias !== null
        ? resource.alias.elements
        : resource.identity.map((element, ownIndex) => ({ path: element.path, ownIndex }));
    const parts = scope.identityParts(resource, 't', labels);
    return { parts, joins: scope.joins.join(' ') };
  }
}
