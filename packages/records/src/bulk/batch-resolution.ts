/**
 * What the slots of a batch stand for: documents that were found, and those that the batch makes itself.
 *
 * - By slot, in arrays of numbers: a batch asks for what each reference stands for several times.
 */
import type { Resource } from '../derive/model.ts';
import type { Resolved } from '../write/look-up.ts';
import type { ReferentialIds } from '../write/referential-ids.ts';
import type { Resolution } from '../write/write-items.ts';
import type { PreparedRow } from './plan-batch.ts';

/** What a batch does with the document of a slot; 0 where it does nothing. */
const [isUpdated, isNew] = [1, 2];

export class BatchResolution implements Resolution {
  /** Document ids by slot; 0 for what is not there. */
  readonly documentOf: Float64Array;
  private readonly ids: ReferentialIds;
  private readonly written: Uint8Array;
  /** Of new documents. */
  private readonly waves: Int32Array;
  private readonly resources: (Resource | undefined)[];
  private slots: ReadonlyMap<string, number> | null = null;

  constructor(ids: ReferentialIds) {
    this.ids = ids;
    this.documentOf = new Float64Array(ids.size);
    this.written = new Uint8Array(ids.size);
    this.waves = new Int32Array(ids.size);
    this.resources = Array.from({ length: ids.size });
  }

  /** Takes what a look-up found. */
  take(identities: ReadonlyMap<string, Resolved>): void {
    if (identities.size === 0) return;
    for (let slot = 0; slot < this.documentOf.length; slot += 1) {
      const found = identities.get(this.ids.idOf(slot));
      if (found !== undefined) this.documentOf[slot] = found.documentId;
    }
  }

  get(referentialId: string): number | undefined {
    this.slots ??= new Map(this.documentOf.keys().map((slot) => [this.ids.idOf(slot), slot]));
    const documentId = this.documentOf[this.slots.get(referentialId) ?? -1] ?? 0;
    return documentId === 0 ? undefined : documentId;
  }

  /** Whether everything that the row refers to is there. */
  isComplete({ block, at }: PreparedRow): boolean {
    const [from, to] = block.referencesOf(at);
    for (let reference = from; reference < to; reference += 1)
      if (this.documentOf[block.referenceSlots[reference] ?? -1] === 0) return false;
    return true;
  }

  /**
   * Whether another has the superclass identity of a row of which no record says anything. Where something had its own identity as well,
   * it was deleted or renamed before what it says was read: what has it now, if anything, is told by the attempt to write the row.
   */
  isTaken({ block, at }: PreparedRow): boolean {
    const alias = block.alias[at] ?? -1;
    return this.documentOf[block.own[at] ?? -1] === 0 && alias >= 0 && this.documentOf[alias] !== 0;
  }

  /** The wave in which a document of a resource can be written that refers to a slot. */
  waveAfter(slot: number, resource: Resource): number {
    if (this.written[slot] !== isNew) return 0;
    return (this.waves[slot] ?? 0) + (this.resources[slot] === resource ? 0 : 1);
  }

  addNew({ block, at }: PreparedRow, documentId: number, wave: number): void {
    for (const slot of [block.own[at] ?? -1, block.alias[at] ?? -1]) {
      if (slot < 0) continue;
      this.documentOf[slot] = documentId;
      this.written[slot] = isNew;
      this.waves[slot] = wave;
      this.resources[slot] = block.resource;
    }
  }

  addUpdated({ block, at }: PreparedRow): void {
    for (const slot of [block.own[at] ?? -1, block.alias[at] ?? -1]) if (slot >= 0) this.written[slot] = isUpdated;
  }

  /** Whether the batch writes the document of a slot. */
  isOwn(slot: number): boolean {
    return this.written[slot] !== 0;
  }

  /** Whether the batch makes the document of a slot: nobody else can see or change it. */
  isNew(slot: number): boolean {
    return this.written[slot] === isNew;
  }
}
