/**
 * Whether the two storages of a case on its way to segments say the same: values of every exhibit, and what filters find.
 *
 * - Reads a thousand exhibits in one state of the database; memory is bounded by them.
 * - An index that is asked for a value finds whole values, whatever their length, so every tag is asked for.
 */
import type { Actor, CaseId } from '@casebound/contract';
import type { CaseTransaction } from '../../database/index.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import type { MaintenanceParts } from './compact-values.ts';
import { differences } from './change-values.ts';
import type { FieldValue } from './field-values.ts';
import { readStoredValues } from './read-values.ts';
import { readPlaced } from './store.ts';
import { readTaggings, readTaggingVersions } from './tags-store.ts';

export interface StorageDifference {
  readonly kind: 'values' | 'version' | 'filter';
  readonly exhibitId: number | null;
  /** Title of the field, where one differs. */
  readonly field: string | null;
  readonly detail: string;
}

export interface StorageComparison {
  /** Exhibits, or values of filters, that were compared. */
  readonly compared: number;
  readonly differing: number;
  /** At most 100. */
  readonly differences: readonly StorageDifference[];
}

const atOnce = 1_000;
const shown = 100;

class Findings {
  #count = 0;
  readonly #first: StorageDifference[] = [];
  add(found: StorageDifference): void {
    this.#count += 1;
    if (this.#first.length < shown) this.#first.push(found);
  }
  report(compared: number): StorageComparison {
    return { compared, differing: this.#count, differences: this.#first };
  }
}

const cut = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 100);

/** Ids of exhibits that have values in either storage, after `after`. */
const nextExhibits = async (tx: CaseTransaction, after: number): Promise<readonly number[]> => {
  const { rows } = await tx.query<{ exhibit_id: string }>(
    `SELECT exhibit_id FROM (
       (SELECT exhibit_id FROM tagging_versions WHERE exhibit_id > $1 ORDER BY exhibit_id LIMIT $2)
       UNION (SELECT exhibit_id FROM custom_field_pointer WHERE exhibit_id > $1 ORDER BY exhibit_id LIMIT $2)
     ) AS either ORDER BY exhibit_id LIMIT $2`,
    [after, atOnce],
  );
  return rows.map((row) => Number(row.exhibit_id));
};

/** Tables against objects, of every exhibit. */
export const compareValues = async (
  { sessions, source }: MaintenanceParts,
  caseId: CaseId,
  actor: Actor,
  signal?: AbortSignal,
): Promise<StorageComparison> => {
  const findings = new Findings();
  let compared = 0;
  for (let after = 0; ;) {
    const from = after;
    const read = await sessions.withCase(
      caseId,
      actor,
      async (tx) => {
        const ids = await nextExhibits(tx, from);
        if (ids.length === 0) return undefined;
        const { pointers } = await readPlaced(tx, ids);
        return { ids, pointers, versions: await readTaggingVersions(tx, ids), tagged: await readTaggings(tx, ids) };
      },
      { readOnly: true, isolation: 'repeatable read', ...(signal === undefined ? {} : { signal }) },
    );
    if (read === undefined) return findings.report(compared);
    const stored = await readStoredValues(source.objects, source.cache, read.pointers, signal);
    for (const exhibitId of read.ids) {
      const object = stored.get(exhibitId);
      const version = read.versions.get(exhibitId);
      if (object?.version !== version) {
        const detail = `Version ${version ?? 'none'} in tables, ${object?.version ?? 'none'} in objects.`;
        findings.add({ kind: 'version', exhibitId, field: null, detail });
      }
      const differing = differences(read.tagged.get(exhibitId) ?? {}, object?.values ?? {});
      for (const [field, [tabled, there]] of Object.entries(differing)) {
        const detail = `${cut(tabled)} in tables, ${cut(there)} in objects.`;
        findings.add({ kind: 'values', exhibitId, field, detail });
      }
    }
    compared += read.ids.length;
    after = read.ids.at(-1) ?? after;
  }
};

const asFilter = (value: FieldValue): string | number =>
  typeof value === 'boolean' ? (value ? 'yes' : 'no') : typeof value === 'number' ? value : String(value);

const foundByIndex = async (
  index: SearchIndex,
  caseId: CaseId,
  field: string,
  value: FieldValue,
): Promise<ReadonlySet<number>> => {
  const found = new Set<number>();
  for (let after = 0; ;) {
    const page = await index.search(
      caseId,
      { filters: [{ field, equals: asFilter(value) }] },
      { after, limit: atOnce },
    );
    for (const id of page) found.add(id);
    if (page.length < atOnce) return found;
    after = page.at(-1) ?? after;
  }
};

/** Tables against index: which exhibits each value of each field finds. */
export const compareFilters = async (
  { sessions, index }: Pick<MaintenanceParts, 'sessions'> & { readonly index: SearchIndex },
  caseId: CaseId,
  actor: Actor,
  signal?: AbortSignal,
): Promise<StorageComparison> => {
  const findings = new Findings();
  const options = { readOnly: true, ...(signal === undefined ? {} : { signal }) } as const;
  let compared = 0;
  for (let after: Buffer = Buffer.alloc(0); ;) {
    const from = after;
    const { rows } = await sessions.withCase(
      caseId,
      actor,
      async (tx) =>
        tx.query<{ tag_sha256: Buffer; title: string; value: FieldValue; exhibits: string[] }>(
          `SELECT tag_sha256, title, value,
                  ARRAY (SELECT exhibit_id FROM taggings WHERE taggings.tag_sha256 = tags.tag_sha256 ORDER BY exhibit_id) AS exhibits
           FROM tags WHERE tag_sha256 > $1 ORDER BY tag_sha256 LIMIT 100`,
          [from],
        ),
      options,
    );
    for (const { title, value, exhibits } of rows) {
      signal?.throwIfAborted();
      if (value === '') continue;
      const tabled = new Set(exhibits.map(Number));
      const indexed = await foundByIndex(index, caseId, title, value);
      compared += 1;
      const apart = [...tabled].filter((id) => !indexed.has(id));
      apart.push(...[...indexed].filter((id) => !tabled.has(id)));
      const [exhibitId] = apart;
      if (exhibitId === undefined) continue;
      const detail = `${cut(value)} finds ${tabled.size} exhibits in tables, ${indexed.size} in the index.`;
      findings.add({ kind: 'filter', exhibitId, field: title, detail });
    }
    const last = rows.at(-1);
    if (last === undefined) return findings.report(compared);
    after = last.tag_sha256;
  }
};
