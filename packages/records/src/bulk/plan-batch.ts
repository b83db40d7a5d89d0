/**
 * Decides what a batch of documents will do, in stream order, from one look-up.
 *
 * - A document may refer to one that stands before it in the batch; what one-by-one writes would refuse is refused here.
 * - Waves: documents of one wave and resource are written by the same statements; what refers to a new document of another
 *   resource comes in a later wave, because foreign keys are checked at the end of each statement.
 */
import { CaseboundError } from '@casebound/contract';
import type { Resource } from '../derive/model.ts';
import { UuidSeries } from '../identity/uuid-v7.ts';
import { diffDocuments } from '../write/diff-rows.ts';
import type { FlatDocument } from '../write/flatten-document.ts';
import { keepSpelling } from '../write/keep-spelling.ts';
import type { ExistingDocument, LookUp } from '../write/look-up.ts';
import type { ReferentialIds } from '../write/referential-ids.ts';
import { unresolvedError, unresolvedErrors } from '../write/resolve-references.ts';
import { duplicateIdentity, notAllowed } from '../write/write-document.ts';
import type { WriteItem } from '../write/write-items.ts';
import { BatchResolution } from './batch-resolution.ts';
import type { RowBlock } from './row-block.ts';

/** A row of the stream that passed validation: document `at` of a block. */
export interface PreparedRow {
  /** Position in the stream, from 0. */
  readonly index: number;
  readonly block: RowBlock;
  readonly at: number;
}

export type RowOutcome =
  | {
      readonly index: number;
      readonly outcome: 'created' | 'updated' | 'unchanged';
      readonly documentId: number;
      readonly uuid: string;
    }
  | { readonly index: number; readonly outcome: 'failed'; readonly error: CaseboundError };

/** New documents of a group: their places in the block, their ids. */
export interface NewDocuments {
  readonly places: number[];
  readonly documentIds: number[];
  readonly uuids: string[];
}

/** What is written of one resource in one wave. */
export interface BatchGroup {
  readonly block: RowBlock;
  readonly created: NewDocuments;
  readonly updated: WriteItem[];
}

export interface BatchPlan {
  readonly groups: readonly BatchGroup[];
  /** One for each row, in their order. */
  readonly outcomes: readonly RowOutcome[];
  readonly resolution: BatchResolution;
  /** What the batch refers to and does not write itself, ascending. */
  readonly hubs: readonly number[];
}

class BatchPlanner {
  private readonly found: ReadonlyMap<Resource, LookUp>;
  private readonly ids: ReferentialIds;
  private readonly resolution: BatchResolution;
  private readonly waves: Map<Resource, BatchGroup>[] = [];
  private readonly outcomes: RowOutcome[] = [];
  private readonly freeIds: number[];
  private readonly unreferable = new Set<string>();
  private readonly uuids = new UuidSeries();
  /** Slots that written rows refer to, descriptors left out. */
  private readonly referred = new Set<number>();

  constructor(ids: ReferentialIds, found: ReadonlyMap<Resource, LookUp>) {
    this.ids = ids;
    this.found = found;
    this.freeIds = [...found.values()].flatMap((part) => part.newIds).reverse();
    this.resolution = new BatchResolution(ids);
    for (const part of found.values()) {
      this.resolution.take(part.identities);
      for (const id of part.unreferable) this.unreferable.add(id);
    }
  }

  /** The wave of a row that is written; notes what it refers to. */
  private waveOf({ block, at }: PreparedRow): number {
    let wave = 0;
    const [from, to] = block.referencesOf(at);
    for (let reference = from; reference < to; reference += 1) {
      const slot = block.referenceSlots[reference] ?? -1;
      wave = Math.max(wave, this.resolution.waveAfter(slot, block.resource));
      if (block.referenceColumns[reference]?.kind === 'reference') this.referred.add(slot);
    }
    return wave;
  }

  private groupOf(row: PreparedRow, wave: number): BatchGroup {
    const { block } = row;
    while (this.waves.length <= wave) this.waves.push(new Map());
    const known = this.waves[wave]?.get(block.resource);
    if (known !== undefined) return known;
    const group: BatchGroup = { block, created: { places: [], documentIds: [], uuids: [] }, updated: [] };
    this.waves[wave]?.set(block.resource, group);
    return group;
  }

  private create(row: PreparedRow): void {
    const { at, index } = row;
    const documentId = this.freeIds.pop();
    if (documentId === undefined) throw new CaseboundError('internal', 'The database gave too few document ids.');
    const uuid = this.uuids.next();
    const wave = this.waveOf(row);
    const { created } = this.groupOf(row, wave);
    created.places.push(at);
    created.documentIds.push(documentId);
    created.uuids.push(uuid);
    this.resolution.addNew(row, documentId, wave);
    this.outcomes.push({ index, outcome: 'created', documentId, uuid });
  }

  private update(row: PreparedRow, existing: ExistingDocument, given: FlatDocument): void {
    const { documentId, uuid } = existing;
    const flat = keepSpelling(existing.before, given);
    const { index } = row;
    if (existing.before !== null && diffDocuments(existing.before, flat).length === 0) {
      this.outcomes.push({ index, outcome: 'unchanged', documentId, uuid });
      return;
    }
    this.groupOf(row, this.waveOf(row)).updated.push({ flat, documentId, uuid, existing });
    this.resolution.addUpdated(row);
    this.outcomes.push({ index, outcome: 'updated', documentId, uuid });
  }

  private checkReferences(row: PreparedRow, existing: ExistingDocument | null): void {
    if (this.unreferable.size === 0 && this.resolution.isComplete(row)) return;
    const missing = unresolvedErrors(
      row.block.documentAt(row.at),
      (id) => this.resolution.get(id) !== undefined,
      this.unreferable,
      existing?.before ?? null,
    );
    if (missing.length > 0) throw unresolvedError(missing);
  }

  private decide(row: PreparedRow): void {
    const { block, at } = row;
    const { resource } = block;
    const there = this.found.get(resource)?.existing;
    const existing =
      there === undefined || there.size === 0 ? undefined : there.get(this.ids.idOf(block.own[at] ?? -1));
    if (existing?.isAllowed === false) throw notAllowed(resource);
    this.checkReferences(row, existing ?? null);
    if (existing !== undefined) this.update(row, existing, block.documentAt(at));
    else if (this.resolution.isTaken(row)) throw duplicateIdentity(resource, block.identityAt(at), this.unreferable);
    else this.create(row);
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
    const groups = this.waves.flatMap((wave) => [...wave.values()]);
    return { groups, outcomes: this.outcomes, resolution: this.resolution, hubs: this.hubs() };
  }

  private hubs(): readonly number[] {
    const { documentOf } = this.resolution;
    const others = [...this.referred].filter((slot) => !this.resolution.isOwn(slot));
    return [...new Set(others.map((slot) => documentOf[slot] ?? 0))].sort((a, b) => a - b);
  }
}

/** Decides a batch in which no two rows share an identity. `ids` are those of its blocks. */
export const planBatch = (
  ids: ReferentialIds,
  rows: readonly PreparedRow[],
  found: ReadonlyMap<Resource, LookUp>,
): BatchPlan => new BatchPlanner(ids, found).run(rows);
