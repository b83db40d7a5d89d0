/**
 * Documents of one resource of a chunk, flattened into the columns of their tables: a chunk of thousands is some dozens of arrays
 * instead of some objects a row, which the garbage collector would have to carry until the chunk is committed.
 *
 * - Documents count from 0. Rows stand in the order of their documents, so the rows of one lie together.
 * - Cells of references hold slots (`write/referential-ids.ts`).
 */
import type { FieldError } from '@casebound/contract';
import type { Column, Resource, Table } from '../derive/model.ts';
import type { BoundColumns } from '../plan/bound-columns.ts';
import type { FlatPlan, FlatTable } from '../write/flat-plan.ts';
import {
  type Cell,
  type FlatDocument,
  type FlatReference,
  flattenInto,
  type FlatRow,
  type RowSink,
} from '../write/flatten-document.ts';
import type { JsonValue } from '../write/parse-json.ts';
import type { ReferentialIds } from '../write/referential-ids.ts';

class BlockTable {
  readonly table: Table;
  /** The document of each row. */
  readonly documents: number[] = [];
  readonly ordinals: readonly number[][];
  /** May be shorter than there are rows: what is missing at the end is NULL. Undefined where no row has a value. */
  readonly cells: (Cell[] | undefined)[];

  constructor(table: Table) {
    this.table = table;
    this.ordinals = table.ordinals.map(() => []);
    this.cells = table.columns.map(() => undefined);
  }

  begin(document: number, ordinals: readonly number[]): void {
    this.documents.push(document);
    for (let at = 0; at < this.ordinals.length; at += 1) this.ordinals[at]?.push(ordinals[at] ?? 0);
  }

  put(column: number, cell: Cell): void {
    let cells = this.cells[column];
    if (cells === undefined) {
      cells = [];
      this.cells[column] = cells;
    }
    const row = this.documents.length - 1;
    while (cells.length < row) cells.push(null);
    cells.push(cell);
  }

  /** Takes back the rows from the one at `length` on. */
  cut(length: number): void {
    this.documents.length = length;
    for (const ordinals of this.ordinals) ordinals.length = length;
    for (const cells of this.cells) if (cells !== undefined && cells.length > length) cells.length = length;
  }

  /** The first row whose document is not before this one. */
  rowOf(document: number): number {
    let [low, high] = [0, this.documents.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.documents[middle] ?? 0) < document) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  ordinalsAt(row: number): number[] {
    return this.ordinals.map((column) => column[row] ?? 0);
  }
}

export class RowBlock implements RowSink {
  readonly resource: Resource;
  readonly ids: ReferentialIds;
  /** Slots of each document's identity; -1 where there is no alias. */
  readonly own: number[] = [];
  readonly alias: number[] = [];
  /** Slots and columns of all references, in the order of the documents; those of one begin at `referenceStarts`. */
  readonly referenceSlots: number[] = [];
  readonly referenceColumns: Column[] = [];
  private readonly referenceRows: number[] = [];
  private readonly referenceStarts: number[] = [0];
  private readonly tables: readonly BlockTable[];
  private readonly plan: FlatPlan;

  constructor(plan: FlatPlan, ids: ReferentialIds) {
    this.plan = plan;
    this.resource = plan.resource;
    this.ids = ids;
    this.tables = plan.tables.map(({ table }) => new BlockTable(table));
  }

  /** Documents so far. */
  get size(): number {
    return this.own.length;
  }

  /** Flattens a shaped document behind the others, or tells what is wrong with it. With `isWrong` it is not kept. */
  add(document: { [key: string]: JsonValue }, isWrong: boolean): readonly FieldError[] {
    const result = flattenInto(this.plan, document, this, this.ids);
    if (result.ok && !isWrong) {
      this.own.push(result.slots.own);
      this.alias.push(result.slots.alias ?? -1);
      this.referenceStarts.push(this.referenceSlots.length);
      return [];
    }
    for (const table of this.tables) table.cut(table.rowOf(this.size));
    const references = this.referenceStarts.at(-1) ?? 0;
    this.referenceSlots.length = references;
    this.referenceColumns.length = references;
    this.referenceRows.length = references;
    return result.ok ? [] : result.errors;
  }

  begin({ at }: FlatTable, ordinals: readonly number[]): void {
    this.tables[at]?.begin(this.own.length, ordinals);
  }

  put({ at }: FlatTable, column: number, cell: Cell): void {
    this.tables[at]?.put(column, cell);
  }

  refer(flat: FlatTable, at: number, slot: number): void {
    const column = flat.table.columns[at];
    const table = this.tables[flat.at];
    if (column === undefined || table === undefined) return;
    table.put(at, slot);
    this.referenceSlots.push(slot);
    this.referenceColumns.push(column);
    this.referenceRows.push(table.documents.length - 1);
  }

  takeBack({ at }: FlatTable): void {
    const table = this.tables[at];
    table?.cut(table.documents.length - 1);
  }

  /** Places of a document's references in `referenceSlots`: from the first to before the second. */
  referencesOf(document: number): readonly [number, number] {
    return [this.referenceStarts[document] ?? 0, this.referenceStarts[document + 1] ?? 0];
  }

  /** Rows of those documents that have an id here (others have 0), by table; references become ids of what the slots stand for. */
  bind(documentIds: ArrayLike<number>, documentOfSlot: ArrayLike<number>): ReadonlyMap<Table, BoundColumns> {
    const bound = new Map<Table, BoundColumns>();
    for (const table of this.tables) {
      const columns = bindTable(table, documentIds, documentOfSlot);
      if (columns.documentIds.length > 0) bound.set(table.table, columns);
    }
    return bound;
  }

  /** One document by itself. */
  documentAt(document: number): FlatDocument {
    const rows = new Map<Table, FlatRow[]>();
    for (const table of this.tables) {
      const [from, to] = [table.rowOf(document), table.rowOf(document + 1)];
      if (to > from)
        rows.set(
          table.table,
          Array.from({ length: to - from }, (_, at) => this.rowAt(table, from + at)),
        );
    }
    const [from, to] = this.referencesOf(document);
    const references = Array.from({ length: to - from }, (_, at) => this.referenceAt(from + at)).filter(
      (one) => one !== null,
    );
    return { resource: this.resource, ...this.identityAt(document), rows, references };
  }

  identityAt(document: number): Pick<FlatDocument, 'referentialId' | 'aliasId'> {
    const alias = this.alias[document] ?? -1;
    return {
      referentialId: this.ids.idOf(this.own[document] ?? -1),
      aliasId: alias < 0 ? null : this.ids.idOf(alias),
    };
  }

  private rowAt(table: BlockTable, row: number): FlatRow {
    const cells = table.table.columns.map((column, at): Cell => {
      const cell = table.cells[at]?.[row] ?? null;
      return column.kind === 'scalar' || typeof cell !== 'number' ? cell : this.ids.idOf(cell);
    });
    return { ordinals: table.ordinalsAt(row), cells };
  }

  private referenceAt(at: number): FlatReference | null {
    const column = this.referenceColumns[at];
    const table = column === undefined ? undefined : this.tables[this.plan.tableOf.get(column)?.at ?? -1];
    if (column === undefined || table === undefined) return null;
    const ordinals = table.ordinalsAt(this.referenceRows[at] ?? 0);
    return { referentialId: this.ids.idOf(this.referenceSlots[at] ?? -1), column, ordinals };
  }
}

/** Rows of documents that have an id, with the ids of what they refer to. */
const bindTable = (
  table: BlockTable,
  documentIds: ArrayLike<number>,
  documentOfSlot: ArrayLike<number>,
): BoundColumns => {
  const { documents } = table;
  const rows: number[] = [];
  const ids: number[] = [];
  for (let row = 0; row < documents.length; row += 1) {
    const id = documentIds[documents[row] ?? -1] ?? 0;
    if (id === 0) continue;
    rows.push(row);
    ids.push(id);
  }
  const isWhole = rows.length === documents.length;
  return {
    documentIds: ids,
    ordinals: isWhole ? table.ordinals : table.ordinals.map((column) => rows.map((row) => column[row] ?? 0)),
    cells: table.cells.map((cells, at) => {
      if (cells === undefined) return null;
      if (table.table.columns[at]?.kind !== 'scalar') {
        return rows.map((row) => {
          const slot = cells[row];
          return typeof slot === 'number' ? (documentOfSlot[slot] ?? null) : null;
        });
      }
      if (!isWhole) {
        const chosen = rows.map((row) => cells[row] ?? null);
        return chosen.some((cell) => cell !== null) ? chosen : null;
      }
      while (cells.length < documents.length) cells.push(null);
      return cells;
    }),
  };
};
