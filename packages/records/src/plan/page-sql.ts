/**
 * Compiles the SQL that renders many documents of a resource at once, as sets: one scan of each table for the whole page.
 *
 * - The text of a document is what `ReadSql.body` gives, byte for byte. That one asks every collection again for every parent row,
 *   which is less to start and so right for one document; this one groups the rows of all parents, which costs less from about ten on.
 * - Nothing is joined: every table yields pieces of text with a place among their siblings, and pieces are aggregated by the key of
 *   the row that they belong to. The shape of the plan does therefore not depend on how many rows the planner expects.
 * - `ids` stands for an array of document ids, an expression that the planner cannot see through.
 */
import { documentColumn } from '../ddl/emit-ddl.ts';
import type { Member, Resource, Table } from '../derive/model.ts';
import { quoteIdentifier } from '../derive/naming.ts';
import { jsonMemberSql, joinPartsSql } from './json-sql.ts';
import type { ReadSql } from './read-sql.ts';

/** A SELECT of `key1..keyN, text`: for each row of a table the comma-joined members, NULL where there are none. */
interface Rows {
  readonly sql: string;
}

const keyNames = (table: Table): string[] => ['k0', ...table.ordinals.map((_, index) => `k${index + 1}`)];

/** A member whose text needs rows of other tables. */
const isSource = (member: Member): boolean =>
  member.kind === 'collection' ||
  member.kind === 'extension' ||
  (member.kind === 'object' && member.members.some(isSource));

export class PageSql {
  private readonly reads: ReadSql;
  private readonly ids: string;
  private readonly qualified: (table: string) => string;
  private aliases = 0;

  constructor(reads: ReadSql, qualified: (table: string) => string, ids: string) {
    this.reads = reads;
    this.qualified = qualified;
    this.ids = ids;
  }

  private nextAlias(): string {
    this.aliases += 1;
    return `p${this.aliases}`;
  }

  private scan(table: Table, alias: string, joins: readonly string[] = []): string {
    return `${[`${this.qualified(table.name)} ${alias}`, ...joins].join(' ')} WHERE ${alias}.${quoteIdentifier(documentColumn(table))} = ANY(${this.ids})`;
  }

  private keys(table: Table, alias: string): string {
    return [documentColumn(table), ...table.ordinals]
      .map((name, index) => `${alias}.${quoteIdentifier(name)} AS k${index}`)
      .join(', ');
  }

  /** Pieces `keys, n, piece` of the members of a table's rows. Every row yields one at least, if only a NULL. */
  private pieces(members: readonly Member[], table: Table, first: number): string {
    const runs: { readonly at: number; readonly members: Member[] }[] = [];
    const sources: string[] = [];
    members.forEach((member, index) => {
      if (isSource(member)) {
        const keys = keyNames(table).join(', ');
        sources.push(
          `SELECT ${keys}, ${first + index} AS n, ${jsonMemberSql(member.name, 'text')} AS piece FROM (${this.source(member, table)}) ${this.nextAlias()}`,
        );
        return;
      }
      const last = runs.at(-1);
      if (last === undefined || last.at + last.members.length !== index) runs.push({ at: index, members: [member] });
      else last.members.push(member);
    });
    if (runs.length === 0) runs.push({ at: 0, members: [] });
    // A scan for each run: VALUES beside one scan would set its expressions up anew for every row (a third of the time of a page).
    const own = runs.map((run) => {
      const x = this.nextAlias();
      const joins = this.reads.joinsOf(x);
      const parts = run.members.map((member) => this.reads.memberSql(member, x, table, joins));
      const piece = parts.length === 0 ? 'NULL::text' : `nullif(${joinPartsSql(parts)}, '')`;
      return `SELECT ${this.keys(table, x)}, ${first + run.at} AS n, ${piece} AS piece FROM ${this.scan(table, x, joins.joins)}`;
    });
    return [...own, ...sources].join(' UNION ALL ');
  }

  private rows(members: readonly Member[], table: Table): Rows {
    if (!members.some(isSource)) {
      const x = this.nextAlias();
      const joins = this.reads.joinsOf(x);
      const parts = members.map((member) => this.reads.memberSql(member, x, table, joins));
      const text = parts.length === 0 ? 'NULL::text' : `nullif(${joinPartsSql(parts)}, '')`;
      return { sql: `SELECT ${this.keys(table, x)}, ${text} AS text FROM ${this.scan(table, x, joins.joins)}` };
    }
    const keys = keyNames(table).join(', ');
    return {
      sql: `SELECT ${keys}, string_agg(piece, ',' ORDER BY n) AS text FROM (${this.pieces(members, table, 0)}) ${this.nextAlias()} GROUP BY ${keys}`,
    };
  }

  /** `keys of the parent, text`: the value of a member that lives in other tables. */
  private source(member: Member, parent: Table): string {
    const keys = keyNames(parent).join(', ');
    switch (member.kind) {
      case 'object':
        return `SELECT ${keys}, '{' || text || '}' AS text FROM (${this.rows(member.members, parent).sql}) ${this.nextAlias()}`;
      case 'extension':
        return `SELECT ${keys}, '{' || coalesce(text, '') || '}' AS text FROM (${this.rows(member.table.members, member.table).sql}) ${this.nextAlias()}`;
      case 'collection':
        return this.collection(member, parent);
      case 'scalar':
      case 'descriptor':
      case 'reference':
        return '';
    }
  }

  private collection(member: Member & { kind: 'collection' }, parent: Table): string {
    const { table } = member;
    const keys = keyNames(parent);
    if (table.members.some(isSource)) {
      const order = `k${table.ordinals.length}`;
      return `SELECT ${keys.join(', ')}, '[' || string_agg('{' || coalesce(text, '') || '}', ',' ORDER BY ${order}) || ']' AS text FROM (${this.rows(table.members, table).sql}) ${this.nextAlias()} GROUP BY ${keys.join(', ')}`;
    }
    const x = this.nextAlias();
    const parentKeys = [documentColumn(table), ...table.ordinals.slice(0, -1)].map(
      (name) => `${x}.${quoteIdentifier(name)}`,
    );
    const named = parentKeys.map((key, index) => `${key} AS k${index}`).join(', ');
    const order = [table.ordinals.at(-1) ?? '', ...(table.valueKey === null ? [] : [table.valueKey.name])]
      .map((name) => `${x}.${quoteIdentifier(name)}`)
      .join(', ');
    const joins = this.reads.joinsOf(x);
    const item = this.reads.itemSql(table, member.scalarItems, x, joins);
    return `SELECT ${named}, '[' || string_agg(${item}, ',' ORDER BY ${order}) || ']' AS text FROM ${this.scan(table, x, joins.joins)} GROUP BY ${parentKeys.join(', ')}`;
  }

  /** `document_id, etag, body` of the documents in `ids`, in no order. */
  documents(resource: Resource): string {
    // What stands before and behind the members comes in one row: documents that lie apart are dear to look up twice.
    const meta = `SELECT d.document_id AS k0, 0 AS n, NULL::text AS piece, d.etag, ${this.reads.idSql()} AS head, ${this.reads.metaSql()} AS foot FROM ${this.qualified('document')} d WHERE d.document_id = ANY(${this.ids})`;
    const own = `SELECT k0, n, piece, NULL, NULL, NULL FROM (${this.pieces(resource.root.members, resource.root, 1)}) ${this.nextAlias()}`;
    const body = `'{' || min(head) || coalesce(',' || string_agg(piece, ',' ORDER BY n), '') || ',' || min(foot) || '}'`;
    return `SELECT k0 AS document_id, min(etag) AS etag, ${body} AS body FROM (${meta} UNION ALL ${own}) ${this.nextAlias()} GROUP BY k0`;
  }
}
