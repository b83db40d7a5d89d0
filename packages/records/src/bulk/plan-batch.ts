/**
 * Decides what a batch of documents will do, in stream order, from one look-up.
 *
 * - A document may refer to one that stands before it in the batch; what one-by-one writes would refuse is refused here.
 * - Waves: documents of one wave and resource are written by the same statements; what refers to a new document of another
 *   resource comes in a later wave, because foreign keys are checked at the end of each statement.
 */
import { CaseboundError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import { uuidV7 } from '../identity/uuid-v7.ts';
import { diffDocuments } from '../write/diff-rows.ts';
import type { FlatDocument } from '../write/flatten-document.ts';
import type { ExistingDocument, LookUp } from '../write/look-up.ts';
import { unresolvedError, unresolvedErrors } from '../write/resolve-references.ts';
import { duplicateIdentity, notAllowed } from '../write/write-document.ts';
import type { WriteItem } from '../write/write-statements.ts';

/** A row of the stream that passed validation. */
export interface PreparedRow {
  /** Position in the stream, from 0. */
  readonly index: number;
  readonly flat: FlatDocument;
}

export type RowOutcome =
  | {
      readonly index: number;
      readonly outcome: 'created' | 'updated' | 'unchanged';
      readonly documentId: number;
      readonly uuid: string;
    }
  | { readonly index: number; readonly outcome: 'failed'; readonly error: CaseboundError };

export interface BatchGroup {
  readonly resource: Resource;
  readonly items: readonly WriteItem[];
}

export interface BatchPlan {
  readonly groups: readonly BatchGroup[];
  readonly outcomes: readonly RowOutcome[];
  readonly resolution: ReadonlyMap<string, number>;
}

interface Accepted {
  readonly item: WriteItem;
  readonly wave: number;
}

class BatchPlanner {
  private readonly found: ReadonlyMap<Resource, LookUp>;
  private readonly resolution = new Map<string, number>();
  private readonly newDocuments = new Map<number, Accepted>();
  private readonly accepted: Accepted[] = [];
  readonly outcomes: RowOutcome[] = [];
  private readonly freeIds: number[];
  private readonly unreferable = new Set<string>();

  constructor(found: ReadonlyMap<Resource, LookUp>) {
    this.found = found;
    this.freeIds = [...found.values()].flatMap((part) => part.newIds).reverse();
    for (const part of found.values()) {
      for (const [id, entry] of part.identities) this.resolution.set(id, entry.documentId);
      for (const id of part.unreferable) this.unreferable.add(id);
    }
  }

  private waveOf(flat: FlatDocument): number {
    let wave = 0;
    for (const reference of flat.references) {
      const target = this.newDocuments.get(this.resolution.get(reference.referentialId) ?? -1);
      if (target === undefined) continue;
      wave = Math.max(wave, target.wave + (target.item.flat.resource === flat.resource ? 0 : 1));
    }
    return wave;
  }

  private accept(row: PreparedRow, item: WriteItem): void {
    const accepted = { item, wave: this.waveOf(row.flat) };
    this.accepted.push(accepted);
    const { documentId, uuid } = item;
    this.outcomes.push({ index: row.index, outcome: item.existing === null ? 'created' : 'updated', documentId, uuid });
    if (item.existing !== null) return;
    this.newDocuments.set(documentId, accepted);
    this.resolution.set(row.flat.referentialId, documentId);
    if (row.flat.aliasId !== null) this.resolution.set(row.flat.aliasId, documentId);
  }

  private update(row: PreparedRow, existing: ExistingDocument): void {
    const { flat } = row;
    const { documentId, uuid } = existing;
    if (existing.before !== null && diffDocuments(existing.before, flat).length === 0) {
      this.outcomes.push({ index: row.index, outcome: 'unchanged', documentId, uuid });
    } else this.accept(row, { flat, documentId, uuid, existing });
  }

  private decide(row: PreparedRow): void {
    const { flat } = row;
    const existing = this.found.get(flat.resource)?.existing.get(flat.referentialId);
    if (existing?.isAllowed === false) throw notAllowed(flat.resource);
    const missing = unresolvedErrors(flat, (id) => this.resolution.has(id), this.unreferable, existing?.before ?? null);
    if (missing.length > 0) throw unresolvedError(missing);
    if (existing !== undefined) {
      this.update(row, existing);
      return;
    }
    if (this.resolution.has(flat.referentialId) || (flat.aliasId !== null && this.resolution.has(flat.aliasId))) {
      throw duplicateIdentity(flat.resource, flat, this.unreferable);
    }
    const documentId = this.freeIds.pop();
    if (documentId === undefined) throw new CaseboundError('internal', 'The database gave too few document ids.');
    this.accept(row, { flat, documentId, uuid: uuidV7(), existing: null });
  }

  run(rows: readonly PreparedRow[]): BatchPlan {
    for (const row of rows) {
      try {
        this.decide(row);
      } catch (error) {
        if (!(error instanceof CaseboundError)) throw error;
        this.outcomes.push({ index: row.index, outcome: 'failed', error });
      }
    }
    const waves = Map.groupBy(this.accepted, (entry) => entry.wave);
    const groups = [...waves.keys()]
      .sort((a, b) => a - b)
      .flatMap((wave) =>
        [...Map.groupBy(waves.get(wave) ?? [], (entry) => entry.item.flat.resource)].map(([resource, entries]) => ({
          resource,
          items: entries.map((entry) => entry.item),
        })),
      );
    return { groups, outcomes: this.outcomes, resolution: this.resolution };
  }
}

/** Decides a batch in which no two rows share an identity. */
export const planBatch = (rows: readonly PreparedRow[], found: ReadonlyMap<Resource, LookUp>): BatchPlan =>
  new BatchPlanner(found).run(rows);
