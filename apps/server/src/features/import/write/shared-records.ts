/**
 * Records that many exhibits share: custodians, labels with their categories, folders with theirs, confidentiality codes. Written once,
 * in a transaction of their own before the first chunk that needs them, so that chunks that are written at once never wait for each other.
 *
 * - What is known is remembered only after it was committed.
 * - What is there stays as it is, whoever made it and when: a record that somebody makes after it was not found is found by the next try.
 * - A confidentiality code takes the lowest bit that is free, under a lock: two imports cannot give one bit to two codes.
 */
import { CaseboundError } from '@casebound/contract';
import type { BulkRow, JsonValue, Model, RowOutcome } from '@casebound/records';
import type { Queryable } from '../../../database/index.ts';
import { caseResource } from '../../records/index.ts';
import type { SourceRow } from '../source-row.ts';

/** Codes of one case: more would not fit the bits of a number. */
const maxBits = 52;
const maxCodeLength = 100;
/** Names that are remembered: some 10 MB. */
const maxKnown = 100_000;

/** For `onRow` of a write of records that were not there. Throws what a row failed for, and `conflict_retries_exhausted` when one was written over. */
export const requireNew = (outcome: RowOutcome): void => {
  if (outcome.outcome === 'failed') throw outcome.error;
  if (outcome.outcome === 'updated')
    throw new CaseboundError('conflict_retries_exhausted', 'Somebody made a shared record in the same moment.', {
      retryAfterSeconds: 1,
    });
};

const depthOf = (path: string): number => path.split('/').length;

/** Names by kind. */
class Names {
  readonly #kinds = new Map<string, Set<string>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(kind: string, name: string): boolean {
    return this.#kinds.get(kind)?.has(name) === true;
  }

  add(kind: string, name: string): void {
    const names = this.#kinds.get(kind) ?? new Set();
    this.#kinds.set(kind, names.add(name));
    this.#size += 1;
  }

  addAll(others: Names): void {
    for (const [kind, names] of others.#kinds) for (const name of names) this.add(kind, name);
  }
}

export class SharedRecords {
  readonly #model: Model;
  readonly #bits = new Map<string, number>();
  #known = new Names();
  #pending = new Names();
  #pendingBits = new Map<string, number>();

  constructor(model: Model) {
    this.#model = model;
  }

  /** Forgets what was about to be added, before it is tried again. */
  begin(): void {
    this.#pending = new Names();
    this.#pendingBits = new Map();
  }

  /** What was added is committed. */
  keep(): void {
    // What is forgotten is found in the case when it is met again.
    if (this.#known.size > maxKnown) this.#known = new Names();
    this.#known.addAll(this.#pending);
    for (const [code, bit] of this.#pendingBits) this.#bits.set(code, bit);
    this.begin();
  }

  #isNew(kind: string, name: string): boolean {
    if (this.#known.has(kind, name) || this.#pending.has(kind, name)) return false;
    this.#pending.add(kind, name);
    return true;
  }

  /** Names that were not met before. */
  namesOf(rows: readonly SourceRow[]): ReadonlyMap<string, readonly string[]> {
    const names = new Map<string, string[]>();
    const note = (kind: string, name: string): boolean => {
      if (!this.#isNew(kind, name)) return false;
      const list = names.get(kind) ?? [];
      list.push(name);
      names.set(kind, list);
      return true;
    };
    for (const row of rows) {
      for (const name of row.custodians) note('custodian', name);
      for (const label of row.labels)
        if (note('label', JSON.stringify([label.category, label.name]))) note('category', label.category);
      // A folder that was met was met with those that it lies in.
      for (const folder of row.folders) {
        for (let path = folder; note('folder', path) && path.includes('/');)
          path = path.slice(0, path.lastIndexOf('/'));
      }
      for (const code of row.confidentiality) if (!this.#bits.has(code)) note('code', code);
    }
    const folders = names.get('folder');
    // Those that others lie in come first.
    if (folders !== undefined)
      names.set(
        'folder',
        folders.toSorted((a, b) => depthOf(a) - depthOf(b)),
      );
    return names;
  }

  /** Records to write for the names; what is there already is left as it is. */
  async rowsFor(tx: Queryable, names: ReadonlyMap<string, readonly string[]>): Promise<BulkRow[]> {
    const found: BulkRow[] = [];
    const add = (endpoint: string, document: { [key: string]: JsonValue }): void => {
      found.push({ resource: caseResource(this.#model, endpoint), document });
    };
    const missing = await this.#absent(tx, names);
    for (const name of missing.get('custodian') ?? []) add('custodians', { name });
    for (const categoryName of missing.get('category') ?? []) add('labelCategories', { categoryName });
    for (const key of missing.get('label') ?? []) {
      const [categoryName, name] = JSON.parse(key) as [string, string];
      add('labels', { labelCategoryReference: { categoryName }, name });
    }
    for (const path of missing.get('folder') ?? []) {
      const parent = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : null;
      add('folderTags', { path, ...(parent === null ? {} : { parentFolderReference: { path: parent } }) });
    }
    const codes = names.get('code') ?? [];
    if (codes.length > 0) await this.#giveBits(tx, codes, add);
    return found;
  }

  /** Those of the names that the case does not have. One statement for all kinds. */
  async #absent(tx: Queryable, names: ReadonlyMap<string, readonly string[]>): Promise<Map<string, string[]>> {
    const of = (kind: string): readonly string[] => names.get(kind) ?? [];
    const labels = of('label').map((key) => JSON.parse(key) as [string, string]);
    const { rows } = await tx.query<{ kind: string; name: string }>(
      `SELECT 'custodian' AS kind, name FROM custodian WHERE name = ANY ($1::text[])
       UNION ALL SELECT 'category', category_name FROM label_category WHERE category_name = ANY ($2::text[])
       UNION ALL SELECT 'folder', path FROM folder_tag WHERE path = ANY ($3::text[])
       UNION ALL SELECT 'label', json_build_array(category.category_name, label.name)::text
         FROM unnest($4::text[], $5::text[]) AS wanted (category, name)
         JOIN label_category AS category ON category.category_name = wanted.category
         JOIN label ON label.label_category_document_id = category.document_id AND label.name = wanted.name`,
      [
        of('custodian'),
        of('category'),
        of('folder'),
        labels.map(([category]) => category),
        labels.map(([, name]) => name),
      ],
    );
    const there = new Map<string, Set<string>>();
    for (const { kind, name } of rows) {
      const set = there.get(kind) ?? new Set();
      set.add(kind === 'label' ? JSON.stringify(JSON.parse(name)) : name);
      there.set(kind, set);
    }
    return new Map(
      [...names].map(([kind, list]) => [kind, list.filter((name) => there.get(kind)?.has(name) !== true)]),
    );
  }

  async #giveBits(
    tx: Queryable,
    codes: readonly string[],
    add: (endpoint: string, document: { [key: string]: JsonValue }) => void,
  ): Promise<void> {
    await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('confidentiality bits ' || current_schema(), 0))`);
    const { rows } = await tx.query<{ code: string; bit: string }>('SELECT code, bit FROM confidentiality_code');
    const taken = new Set(rows.map((row) => Number(row.bit)));
    const known = new Map(rows.map((row) => [row.code, Number(row.bit)]));
    for (const code of codes) {
      // Codes that are stored alike are one.
      const stored = code.slice(0, maxCodeLength);
      let bit = known.get(stored);
      if (bit === undefined) {
        bit = 0;
        while (taken.has(bit)) bit += 1;
        if (bit >= maxBits) {
          throw new CaseboundError(
            'validation_failed',
            `The case has ${maxBits} confidentiality codes, and there is no bit for another (${code.slice(0, 50)}).`,
          );
        }
        taken.add(bit);
        known.set(stored, bit);
        add('confidentialityCodes', { code: stored, labelText: code.slice(0, 300), bit });
      }
      this.#pendingBits.set(code, bit);
    }
  }

  /** Bits of a row's codes, as `Exhibit.confidentialityStatus` holds them. */
  statusOf(codes: readonly string[]): number {
    return codes.reduce((status, code) => {
      const bit = this.#pendingBits.get(code) ?? this.#bits.get(code);
      return bit === undefined ? status : status + 2 ** bit;
    }, 0);
  }
}
