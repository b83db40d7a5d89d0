/**
 * What the keys of rows say taken together, told while they are copied: a judgement that no row can be the subject of needs no statement
 * over all of them. A fact may be claimed that is none; the statement then finds nothing.
 */
import type { RowKeys } from '../source-row.ts';
import { KeySet } from './key-set.ts';

const maxNumberLength = 255;

/** Keys that differ may be stored alike: what COPY cannot write becomes U+FFFD. */
const isStoredAsIs = (key: string): boolean => key.isWellFormed() && !key.includes('\0');

export class KeyFacts {
  readonly #numbers = new KeySet();
  /** Numbers of rows that name a parent, and of the parents that they name. */
  readonly #children = new KeySet();
  readonly #parents = new KeySet();
  /** A row without a control number. */
  hasUnnumbered = false;
  /** A control number that is too long. */
  hasLongNumbers = false;
  /** Two rows of one control number. */
  hasRepeatedNumbers = false;
  /** How many rows name another as their parent. */
  children = 0;
  /** A row whose parent names a parent itself. */
  hasGrandparents = false;
  /** A row that names its family. */
  hasFamilies = false;
  rejected = 0;

  /** Takes note of a row; keys are trimmed. */
  add({ controlNumber, parentKey, familyKey, rejected }: RowKeys): void {
    if (rejected) {
      this.rejected += 1;
      return;
    }
    if (controlNumber === null) this.hasUnnumbered = true;
    else this.#addNumber(controlNumber);
    if (familyKey !== null) this.hasFamilies = true;
    if (parentKey !== null && parentKey !== controlNumber) this.#addChild(controlNumber, parentKey);
    // The first row of a family may have a parent elsewhere.
    if (this.children > 0 && this.hasFamilies) this.hasGrandparents = true;
  }

  #addChild(controlNumber: string | null, parentKey: string): void {
    this.children += 1;
    this.#parents.add(parentKey);
    if (this.#children.has(parentKey) || !isStoredAsIs(parentKey)) this.hasGrandparents = true;
    if (controlNumber === null) return;
    this.#children.add(controlNumber);
    if (this.#parents.has(controlNumber) || !isStoredAsIs(controlNumber)) this.hasGrandparents = true;
  }

  /** Documents that only the image list names: they are numbered as it names them, each once. */
  addImageDocuments(count: number): void {
    if (count > 0) this.hasLongNumbers = true;
  }

  #addNumber(number: string): void {
    if (number.length > maxNumberLength) this.hasLongNumbers = true;
    if (!this.#numbers.add(number) || !isStoredAsIs(number)) this.hasRepeatedNumbers = true;
  }
}
