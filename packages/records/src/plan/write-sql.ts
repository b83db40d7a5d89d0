/**
 * The statements of writes, all set-based: one statement per table and kind of change, however many documents.
 *
 * - Values travel as one array per column. Columns that hold references are document ids by the time they get here.
 * - Texts are compiled once per table and cached; they depend on the model and the schema's name alone.
 */
import { documentColumn, keyColumns } from '../ddl/emit-ddl.ts';
import type { ScalarType, Table } from '../derive/model.ts';
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';
import { sqlType } from '../derive/scalar-type.ts';
import type { Cell } from '../write/flatten-document.ts';
import { arrayLiteral } from './array-literal.ts';
import { type BoundColumns, type BoundRow, columnsOfRows, nulls } from './bound-columns.ts';

export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
  /** What to count when it has run (`send-statements.ts`). */
  readonly tally?: Tally;
}

export interface Tally {
  readonly kind: 'lock' | 'edges-inserted' | 'edges-deleted' | 'rebuilds';
  /** Rows that were asked for; those that were written are told by the database. */
  readonly asked: number;
}

/** What the shared descriptor table holds beyond the members of a descriptor document. */
export interface DescriptorExtra {
  readonly resourceKeyId: number;
  readonly discriminator: string;
}

/**
 * The rows of arrays of one length as a list of selected values. As a table, `FROM unnest($1, $2)`, PostgreSQL would keep them in a
 * tuplestore first, which is a fifth of what inserting them costs. A column that is one value in all rows (`areOne`) is bound as it is.
 */
const unnestEach = (types: readonly string[], areOne: readonly boolean[] = []): string =>
  types
    .map((type, index) =>
      areOne[index] === true ? `$${index + 1}::${type.slice(0, -2)}` : `unnest($${index + 1}::${type})`,
    )
    .join(', ');

/** Whether a column of many rows has one value in all of them: an array costs its element in each. */
const isOneOfMany = (cells: readonly Cell[]): boolean =>
  cells.length >= minSparseRows && cells.every((cell) => cell === cells[0]);

const bound = (cells: readonly Cell[], isOne: boolean | undefined): unknown =>
  isOne === true ? cells[0] : arrayLiteral(cells);

const arrayType = (type: ScalarType): string => `${type.kind === 'numeric' ? 'numeric' : sqlType(type)}[]`;

interface SparseInsert {
  readonly text: string;
  readonly values: () => unknown[];
}

interface TableTexts {
  readonly insert: string;
  /** One row of plain values: for a table that holds one of a document, when one document is written. */
  readonly insertOne: string;
  readonly update: string | null;
  readonly remove: string;
  /** Only for tables keyed by a reference: insert, or update where something differs. */
  readonly upsert: string;
}

/** A text of several INSERTs, found by the texts that it is made of. */
interface Merged {
  text: string | null;
  readonly next: Map<string, Merged>;
}

/** Combinations of tables whose merged text is kept. */
const maxMerged = 5_000;

/**
 * Rows from which on an INSERT leaves out the columns that none of them has, and names once what all of them have: a wide table is mostly
 * empty, and each NULL of an array is parsed.
 */
const minSparseRows = 100;
/** Combinations of columns of one table whose text is kept; what comes beyond them names every column. */
const maxSparseTexts = 64;

const mergeTexts = (inserts: readonly Statement[]): string => {
  let offset = 0;
  const shifted = inserts.map((insert) => {
    const before = offset;
    offset += insert.values.length;
    return insert.text.replaceAll(/\$(\d+)/g, (_whole, digits: string) => `$${Number(digits) + before}`);
  });
  const parts = shifted.slice(0, -1).map((text, index) => `w${index} AS (${text})`);
  return `WITH ${parts.join(', ')} ${shifted.at(-1) ?? ''}`;
};

/** What is counted of a merged statement is what its last part, whose rows the database tells, counts. */
const mergedStatement = (text: string, inserts: readonly Statement[]): Statement => {
  const tally = inserts.at(-1)?.tally;
  const values = inserts.flatMap((each) => each.values);
  return tally === undefined ? { text, values } : { text, values, tally };
};

export class WriteSql {
  readonly schema: string;
  private readonly texts = new Map<Table, TableTexts>();
  private readonly fixed = new Map<string, string>();
  private readonly sparse = new Map<Table, Map<string, string>>();
  private readonly merged: Merged = { text: null, next: new Map() };
  private mergedCount = 0;

  constructor(schema: string) {
    this.schema = schema;
  }

  /** One string for one text: what is looked up by a text finds it without reading it again. */
  private text(key: string, make: () => string): string {
    const known = this.fixed.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.fixed.set(key, made);
    return made;
  }

  /**
   * Several INSERTs as one statement. A statement costs its own messages, binding and start, which for one document is more than its
   * rows do. Only for inserts that do not touch each other's rows: parts of one statement do not see one another, and foreign keys
   * are checked at its end.
   */
  mergeInserts(inserts: readonly Statement[]): readonly Statement[] {
    if (inserts.length < 2) return inserts;
    let at = this.merged;
    for (const insert of inserts) {
      const known = at.next.get(insert.text);
      if (known === undefined && this.mergedCount >= maxMerged) return [mergedStatement(mergeTexts(inserts), inserts)];
      const next = known ?? { text: null, next: new Map<string, Merged>() };
      if (known === undefined) {
        at.next.set(insert.text, next);
        this.mergedCount += 1;
      }
      at = next;
    }
    at.text ??= mergeTexts(inserts);
    return [mergedStatement(at.text, inserts)];
  }

  qualified(table: string): string {
    return `${quoteIdentifier(this.schema)}.${quoteIdentifier(table)}`;
  }

  /** FROM and WHERE that give a row when the store has another schema than the one of a fingerprint. */
  otherSchema(fingerprint: string): string {
    return `FROM ${this.qualified('effective_schema')} s WHERE s.fingerprint <> ${quoteLiteral(fingerprint)}`;
  }

  private textsOf(table: Table): TableTexts {
    const known = this.texts.get(table);
    if (known !== undefined) return known;
    const isDescriptor = table.name === 'descriptor';
    const keyNames = [documentColumn(table), ...table.ordinals];
    const names = [...keyNames, ...table.columns.map((column) => column.name)];
    const types = [
      'bigint[]',
      ...table.ordinals.map(() => 'int[]'),
      ...table.columns.map((column) => arrayType(column.type)),
    ];
    const list = names.map(quoteIdentifier).join(', ');
    const arrays = types.map((type, index) => `$${index + 1}::${type}`).join(', ');
    const next = types.length + 1;
    const target = this.qualified(table.name);
    const insert = isDescriptor
      ? `INSERT INTO ${target} (${list}, resource_key_id, discriminator, uri) SELECT u.*, $${next}::smallint, $${next + 1}::text, u.namespace || '#' || u.code_value FROM unnest(${arrays}) AS u(${list})`
      : `INSERT INTO ${target} (${list}) SELECT ${unnestEach(types)}`;
    const singles = types.map((type, index) => `$${index + 1}::${type.slice(0, -2)}`);
    const uri = `$${names.indexOf('namespace') + 1}::text || '#' || $${names.indexOf('code_value') + 1}::text`;
    const insertOne = isDescriptor
      ? `INSERT INTO ${target} (${list}, resource_key_id, discriminator, uri) VALUES (${singles.join(', ')}, $${next}::smallint, $${next + 1}::text, ${uri})`
      : `INSERT INTO ${target} (${list}) VALUES (${singles.join(', ')})`;
    const key = keyColumns(table);
    const where = key.map((name) => `t.${quoteIdentifier(name)} = u.${quoteIdentifier(name)}`).join(' AND ');
    const changed = names.filter((name) => !key.includes(name));
    const sets = changed.map((name) => `${quoteIdentifier(name)} = u.${quoteIdentifier(name)}`);
    if (isDescriptor) sets.push(`uri = u.namespace || '#' || u.code_value`);
    const keyTypes = key.map((name) => types[names.indexOf(name)] ?? 'bigint[]');
    const keyArrays = keyTypes.map((type, index) => `$${index + 1}::${type}`).join(', ');
    const upsertSets = changed.map((name) => `${quoteIdentifier(name)} = excluded.${quoteIdentifier(name)}`);
    const own = changed.map((name) => `${quoteIdentifier(table.name)}.${quoteIdentifier(name)}`).join(', ');
    const theirs = changed.map((name) => `excluded.${quoteIdentifier(name)}`).join(', ');
    const texts = {
      insert,
      insertOne,
      update:
        sets.length === 0
          ? null
          : `UPDATE ${target} t SET ${sets.join(', ')} FROM unnest(${arrays}) AS u(${list}) WHERE ${where}`,
      upsert: `${insert} ON CONFLICT (${key.map(quoteIdentifier).join(', ')}) DO UPDATE SET ${upsertSets.join(', ')} WHERE (${own}) IS DISTINCT FROM (${theirs})`,
      remove: `DELETE FROM ${target} t USING unnest(${keyArrays}) AS u(${key.map(quoteIdentifier).join(', ')}) WHERE ${where}`,
    };
    this.texts.set(table, texts);
    return texts;
  }

  private literals({ documentIds, ordinals, cells }: BoundColumns): string[] {
    return [documentIds, ...ordinals, ...cells.map((column) => column ?? nulls(documentIds.length))].map(arrayLiteral);
  }

  /** The INSERT of the columns that some row has; null where every column is named. */
  private sparseInsert(table: Table, { documentIds, ordinals, cells }: BoundColumns): SparseInsert | null {
    if (documentIds.length < minSparseRows || table.name === 'descriptor') return null;
    const used = [...cells.keys()].filter((at) => cells[at] !== null);
    const columns = [documentIds, ...ordinals, ...used.map((at) => cells[at] ?? [])];
    // The first stays an array: the rows come of it.
    const areOne = columns.map((column, at) => at > 0 && isOneOfMany(column));
    if (used.length === table.columns.length && !areOne.includes(true)) return null;
    const texts = this.sparse.get(table) ?? new Map<string, string>();
    this.sparse.set(table, texts);
    const key = `${used.join()} ${areOne.map(Number).join('')}`;
    const values = (): unknown[] => columns.map((column, at) => bound(column, areOne[at]));
    const known = texts.get(key);
    if (known !== undefined) return { text: known, values };
    if (texts.size >= maxSparseTexts) return null;
    const some = table.columns.filter((_column, at) => used.includes(at));
    const names = [documentColumn(table), ...table.ordinals, ...some.map((column) => column.name)];
    const types = ['bigint[]', ...table.ordinals.map(() => 'int[]'), ...some.map(({ type }) => arrayType(type))];
    const text = `INSERT INTO ${this.qualified(table.name)} (${names.map(quoteIdentifier).join(', ')}) SELECT ${unnestEach(types, areOne)}`;
    texts.set(key, text);
    return { text, values };
  }

  insertRows(table: Table, rows: BoundColumns, extra: DescriptorExtra | null): Statement {
    const { documentIds, cells } = rows;
    // A collection has any number of rows; one text for each number would make merged statements without end.
    const isOne = documentIds.length === 1 && table.ordinals.length === 0;
    const more = extra === null ? [] : [extra.resourceKeyId, extra.discriminator];
    if (isOne)
      return {
        text: this.textsOf(table).insertOne,
        values: [documentIds[0], ...cells.map((column) => column?.[0] ?? null), ...more],
      };
    const { text, values } = this.sparseInsert(table, rows) ?? {
      text: this.textsOf(table).insert,
      values: (): unknown[] => [...this.literals(rows), ...more],
    };
    return {
      text,
      // Made when it is sent: the statements before it are on their way by then.
      get values() {
        return values();
      },
    };
  }

  /** Null for a table of key columns alone, where no row can change. */
  updateRows(table: Table, rows: readonly BoundRow[]): Statement | null {
    const text = this.textsOf(table).update;
    return text === null ? null : { text, values: this.literals(columnsOfRows(table, rows)) };
  }

  deleteRows(table: Table, rows: readonly BoundRow[]): Statement {
    const all = this.literals(columnsOfRows(table, rows));
    const names = [documentColumn(table), ...table.ordinals, ...table.columns.map((column) => column.name)];
    return { text: this.textsOf(table).remove, values: keyColumns(table).map((name) => all[names.indexOf(name)]) };
  }

  /**
   * Makes the rows of the documents in a table keyed by reference be exactly these. What goes is told by what stays, because what a
   * row that goes referred to was never looked up; rows that are right already are not touched.
   */
  replaceRows(table: Table, documentIds: readonly number[], rows: readonly BoundRow[]): readonly Statement[] {
    const target = this.qualified(table.name);
    const reference = table.valueKey === null ? -1 : table.columns.indexOf(table.valueKey);
    const column = quoteIdentifier(table.valueKey?.name ?? '');
    return [
      {
        text: `DELETE FROM ${target} t WHERE t.root_document_id = ANY($1::bigint[]) AND NOT EXISTS (SELECT 1 FROM unnest($2::bigint[], $3::bigint[]) AS u(d, r) WHERE u.d = t.root_document_id AND u.r = t.${column})`,
        values: [
          arrayLiteral(documentIds),
          arrayLiteral(rows.map((row) => row.documentId)),
          arrayLiteral(rows.map((row) => row.cells[reference] ?? null)),
        ],
      },
      { text: this.textsOf(table).upsert, values: this.literals(columnsOfRows(table, rows)) },
    ];
  }

  insertDocuments(ids: readonly number[], uuids: readonly string[], resourceKeyId: number): Statement {
    if (ids.length === 1) {
      return {
        text: this.text(
          'insertDocument',
          () =>
            `INSERT INTO ${this.qualified('document')} (document_id, document_uuid, resource_key_id) VALUES ($1::bigint, $2::uuid, $3::smallint)`,
        ),
        values: [ids[0], uuids[0], resourceKeyId],
      };
    }
    return {
      text: this.text(
        'insertDocuments',
        () =>
          `INSERT INTO ${this.qualified('document')} (document_id, document_uuid, resource_key_id) SELECT unnest($1::bigint[]), unnest($2::uuid[]), $3::smallint`,
      ),
      values: [arrayLiteral(ids), arrayLiteral(uuids), resourceKeyId],
    };
  }

  /** Bumps the etags of documents that still have the etag they were read with; raises the guard when one has not. */
  bumpGuarded(ids: readonly number[], etags: readonly number[]): Statement {
    return {
      text: this.text(
        'bumpGuarded',
        () =>
          `WITH bumped AS (UPDATE ${this.qualified('document')} d SET etag = d.etag + 1, last_modified_at = now() FROM unnest($1::bigint[], $2::bigint[]) AS u(i, e) WHERE d.document_id = u.i AND d.etag = u.e RETURNING 1) SELECT ${this.qualified('records_guard')}((SELECT count(*) FROM bumped), $3::bigint, 'etag')`,
      ),
      values: [arrayLiteral(ids), arrayLiteral(etags), ids.length],
    };
  }

  insertIdentities(rows: readonly { referentialId: string; documentId: number; resourceKeyId: number }[]): Statement {
    return this.insertIdentityColumns({
      referentialIds: rows.map((row) => row.referentialId),
      documentIds: rows.map((row) => row.documentId),
      resourceKeyIds: rows.map((row) => row.resourceKeyId),
    });
  }

  insertIdentityColumns({ referentialIds, documentIds, resourceKeyIds }: IdentityColumns): Statement {
    if (referentialIds.length === 1) {
      return {
        text: this.text(
          'insertIdentity',
          () =>
            `INSERT INTO ${this.qualified('referential_identity')} (referential_id, document_id, resource_key_id) VALUES ($1::uuid, $2::bigint, $3::smallint)`,
        ),
        values: [referentialIds[0], documentIds[0], resourceKeyIds[0]],
      };
    }
    const isOne = isOneOfMany(resourceKeyIds);
    return {
      text: this.text(
        isOne ? 'insertIdentitiesOfOne' : 'insertIdentities',
        () =>
          `INSERT INTO ${this.qualified('referential_identity')} (referential_id, document_id, resource_key_id) SELECT ${unnestEach(['uuid[]', 'bigint[]', 'smallint[]'], [false, false, isOne])}`,
      ),
      values: [arrayLiteral(referentialIds), arrayLiteral(documentIds), bound(resourceKeyIds, isOne)],
    };
  }

  updateIdentities(rows: readonly { referentialId: string; documentId: number; resourceKeyId: number }[]): Statement {
    return {
      text: this.text(
        'updateIdentities',
        () =>
          `UPDATE ${this.qualified('referential_identity')} r SET referential_id = u.r FROM unnest($1::uuid[], $2::bigint[], $3::smallint[]) AS u(r, d, k) WHERE r.document_id = u.d AND r.resource_key_id = u.k AND r.referential_id <> u.r`,
      ),
      values: [
        arrayLiteral(rows.map((row) => row.referentialId)),
        arrayLiteral(rows.map((row) => row.documentId)),
        arrayLiteral(rows.map((row) => row.resourceKeyId)),
      ],
    };
  }

  insertEdges({ parents, children, areIdentity }: EdgeColumns): Statement {
    const isOne = isOneOfMany(areIdentity);
    return {
      text: this.text(
        isOne ? 'insertEdgesOfOne' : 'insertEdges',
        () =>
          `INSERT INTO ${this.qualified('reference_edge')} (parent_document_id, child_document_id, is_identity_component) SELECT ${unnestEach(['bigint[]', 'bigint[]', 'boolean[]'], [false, false, isOne])}`,
      ),
      values: [arrayLiteral(parents), arrayLiteral(children), bound(areIdentity, isOne)],
      tally: { kind: 'edges-inserted', asked: parents.length },
    };
  }

  /** Makes the edges of the parents be exactly these; a row that is right already is not touched. */
  replaceEdges(parents: readonly number[], edges: readonly Edge[]): readonly Statement[] {
    const values = edgeValues(edgeColumns(edges));
    const table = this.qualified('reference_edge');
    return [
      {
        text: `DELETE FROM ${table} e WHERE e.parent_document_id = ANY($1::bigint[]) AND NOT EXISTS (SELECT 1 FROM unnest($2::bigint[], $3::bigint[]) AS u(p, c) WHERE u.p = e.parent_document_id AND u.c = e.child_document_id)`,
        values: [arrayLiteral(parents), ...values.slice(0, 2)],
        tally: { kind: 'edges-deleted', asked: 0 },
      },
      {
        text: `INSERT INTO ${table} AS e (parent_document_id, child_document_id, is_identity_component) SELECT ${unnestEach(['bigint[]', 'bigint[]', 'boolean[]'])} ON CONFLICT (parent_document_id, child_document_id) DO UPDATE SET is_identity_component = excluded.is_identity_component WHERE e.is_identity_component <> excluded.is_identity_component`,
        values,
        tally: { kind: 'edges-inserted', asked: edges.length },
      },
    ];
  }

  /**
   * Locks what is referred to before anything of one's own, in ascending order: a changer of an identity locks in that order too, so
   * the two cannot wait for each other in a circle.
   */
  lockReferenced(ids: readonly number[]): Statement {
    return {
      text: this.text(
        'lockReferenced',
        () =>
          `SELECT count(*) FROM (SELECT 1 FROM ${this.qualified('document')} WHERE document_id = ANY($1::bigint[]) ORDER BY document_id FOR KEY SHARE) AS locked`,
      ),
      values: [arrayLiteral(ids)],
      tally: { kind: 'lock', asked: ids.length },
    };
  }

  /**
   * Looks again, after the foreign keys have locked their targets, whether what was resolved still has the identity it was found by.
   * A statement of its own: its snapshot is taken after the lock waits, not before. The arrays are hidden behind subselects, so that
   * a plan for unknown lengths looks as cheap as one for these, and is kept; `LIMIT 1` makes each a descent of the key's index.
   */
  recheck(referentialIds: readonly string[], documentIds: readonly number[]): Statement {
    return {
      text: this.text(
        'recheck',
        () =>
          `SELECT ${this.qualified('records_guard')}((SELECT count(*) FROM unnest((SELECT $1::uuid[]), (SELECT $2::bigint[])) AS u(r, d) WHERE (SELECT i.document_id FROM ${this.qualified('referential_identity')} i WHERE i.referential_id = u.r LIMIT 1) = u.d), $3::bigint, 'reference')`,
      ),
      values: [arrayLiteral(referentialIds), arrayLiteral(documentIds), referentialIds.length],
    };
  }

  /** Raises the guard: what the statements of a look-up read does not belong together. */
  changedMeanwhile(): Statement {
    return {
      text: this.text('changedMeanwhile', () => `SELECT ${this.qualified('records_guard')}(0, 1, 'identity')`),
      values: [],
    };
  }
}

/** New rows of `referential_identity`, by column. */
export interface IdentityColumns {
  readonly referentialIds: readonly string[];
  readonly documentIds: readonly number[];
  readonly resourceKeyIds: readonly number[];
}

export interface Edge {
  readonly parent: number;
  readonly child: number;
  readonly isIdentity: boolean;
}

/** Rows of `reference_edge`, by column. */
export interface EdgeColumns {
  readonly parents: readonly number[];
  readonly children: readonly number[];
  readonly areIdentity: readonly boolean[];
}

export const edgeColumns = (edges: readonly Edge[]): EdgeColumns => ({
  parents: edges.map((edge) => edge.parent),
  children: edges.map((edge) => edge.child),
  areIdentity: edges.map((edge) => edge.isIdentity),
});

const edgeValues = ({ parents, children, areIdentity }: EdgeColumns): string[] => [
  arrayLiteral(parents),
  arrayLiteral(children),
  arrayLiteral(areIdentity),
];
