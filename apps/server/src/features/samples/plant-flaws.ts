/** What real productions get wrong, once each: the first documents that fit are spoiled, and the truth says which. */
import type { FamilyPlan, ItemKind, ItemPlan } from './plan-families.ts';

export type FlawKind = 'missing_native' | 'corrupt_pdf' | 'hash_mismatch' | 'fake_tiff';

const victims: readonly (readonly [kind: ItemKind, flaw: FlawKind])[] = [
  ['xlsx', 'missing_native'],
  ['pdf', 'corrupt_pdf'],
  ['txt', 'hash_mismatch'],
  ['scan-tiff', 'fake_tiff'],
];

export class FlawPlan {
  readonly #waiting: Map<ItemKind, FlawKind>;
  readonly #planted: FlawKind[] = [];
  readonly #families = new Set<number>();

  constructor(wanted: boolean) {
    this.#waiting = new Map(wanted ? victims : []);
  }

  get planted(): readonly FlawKind[] {
    return this.#planted;
  }

  /** The flaw of a document, if it gets one: no attachment, no duplicate, and nothing that is redacted. */
  take(plan: ItemPlan, family: FamilyPlan, isRoot: boolean): FlawKind | undefined {
    const flaw = this.#waiting.get(plan.kind);
    if (flaw === undefined || !isRoot || family.duplicateOf !== undefined || plan.secrets.length > 0) return undefined;
    this.#waiting.delete(plan.kind);
    this.#planted.push(flaw);
    this.#families.add(family.index);
    return flaw;
  }

  /** Whether a family has a flaw, so that its duplicates are none. */
  touched(family: number | undefined): boolean {
    return family !== undefined && this.#families.has(family);
  }
}
