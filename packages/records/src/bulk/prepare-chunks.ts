/**
 * The chunks of a stream: rows parsed, validated and flattened, or what is wrong with them.
 *
 * - While the database works on a chunk the next is prepared; the event loop gets a turn in between.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CaseboundError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import type { StoreContext } from '../store-context.ts';
import { type JsonValue, parseJson } from '../write/parse-json.ts';
import { allErrors, invalidDocument, shapeAndValidate } from '../write/prepare-document.ts';
import { ReferentialIds } from '../write/referential-ids.ts';
import type { PreparedRow, RowOutcome } from './plan-batch.ts';
import { RowBlock } from './row-block.ts';

/** One row of a bulk write: a document, or its JSON text; or what is wrong with a row that could not be read. */
export type BulkRow =
  | { readonly resource: Resource; readonly document: JsonValue | { readonly text: string } }
  | { readonly unreadable: CaseboundError };

export interface Chunk {
  readonly ids: ReferentialIds;
  readonly rows: readonly PreparedRow[];
  readonly failed: readonly RowOutcome[];
}

const isText = (document: JsonValue | { readonly text: string }): document is { readonly text: string } =>
  typeof document === 'object' &&
  document !== null &&
  !Array.isArray(document) &&
  typeof document['text'] === 'string' &&
  Object.keys(document).length === 1;

class ChunkBuilder implements Chunk {
  readonly ids = new ReferentialIds();
  readonly rows: PreparedRow[] = [];
  readonly failed: RowOutcome[] = [];
  private readonly ctx: StoreContext;
  private readonly blocks = new Map<Resource, RowBlock>();

  constructor(ctx: StoreContext) {
    this.ctx = ctx;
  }

  get size(): number {
    return this.rows.length + this.failed.length;
  }

  add(row: BulkRow, index: number): void {
    try {
      if ('unreadable' in row) throw row.unreadable;
      this.prepare(row.resource, row.document, index);
    } catch (error) {
      if (!(error instanceof CaseboundError)) throw error;
      this.failed.push({ index, outcome: 'failed', error });
    }
  }

  private prepare(resource: Resource, input: JsonValue | { readonly text: string }, index: number): void {
    const value = isText(input) ? parseJson(input.text, this.ctx.limits.json) : input;
    const { document, errors } = shapeAndValidate(this.ctx, resource, value);
    if (document === null) throw invalidDocument(resource, errors);
    const block = this.blockOf(resource);
    const at = block.size;
    const all = allErrors(errors, block.add(document, errors.length > 0));
    if (all.length > 0) throw invalidDocument(resource, all);
    this.rows.push({ index, block, at });
  }

  private blockOf(resource: Resource): RowBlock {
    const known = this.blocks.get(resource);
    if (known !== undefined) return known;
    const block = new RowBlock(this.ctx.flatPlan(resource), this.ids);
    this.blocks.set(resource, block);
    return block;
  }
}

/** Milliseconds of parsing before the event loop gets a turn. */
const maxSliceMs = 2;

export async function* chunksOf(
  ctx: StoreContext,
  rows: AsyncIterable<BulkRow> | Iterable<BulkRow>,
  size: number,
): AsyncGenerator<Chunk> {
  let chunk = new ChunkBuilder(ctx);
  let index = 0;
  let yielded = performance.now();
  for await (const some of inSlices(rows)) {
    for (const row of some) {
      // A stream that is in memory never waits, and the answers of the database would lie unread until the chunk is complete.
      if (performance.now() - yielded > maxSliceMs) {
        await nextTurn();
        yielded = performance.now();
      }
      chunk.add(row, index);
      index += 1;
      if (chunk.size < size) continue;
      yield chunk;
      chunk = new ChunkBuilder(ctx);
    }
  }
  if (chunk.size > 0) yield chunk;
}

/** What is in memory comes in one piece: a promise a row costs as much as some of the work on it. */
async function* inSlices(rows: AsyncIterable<BulkRow> | Iterable<BulkRow>): AsyncGenerator<Iterable<BulkRow>> {
  if (Symbol.iterator in rows) yield rows;
  else for await (const row of rows) yield [row];
}

/** Cuts rows where an identity repeats: each batch then names every identity once, and batches follow each other in order. */
export const cutAtRepeats = ({ ids, rows }: Chunk): readonly (readonly PreparedRow[])[] => {
  const batches: PreparedRow[][] = [];
  let batch: PreparedRow[] = [];
  /** By slot: how many batches there were when it was last seen in one. */
  const seen = new Int32Array(ids.size);
  for (const row of rows) {
    const [own, alias] = [row.block.own[row.at] ?? -1, row.block.alias[row.at] ?? -1];
    const repeats = (slot: number): boolean => seen[slot] === batches.length && batch.length > 0;
    if (batch.length === 0 || repeats(own) || (alias >= 0 && repeats(alias))) {
      batch = [];
      batches.push(batch);
    }
    seen[own] = batches.length;
    if (alias >= 0) seen[alias] = batches.length;
    batch.push(row);
  }
  return batches;
};
