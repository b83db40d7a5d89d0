/**
 * The resources of one content stream while it is rewritten. The original dictionary is never changed, since other streams may
 * share it; new entries get names that are not taken.
 */
import type { CosFile } from '../cos/cos-file.ts';
import { type CosDict, type CosObject, emptyDict, withEntries } from '../cos/objects.ts';

export type ResourceCategory = 'XObject' | 'Font' | 'ExtGState' | 'Properties';

export class ResourceEditor {
  readonly file: CosFile;
  readonly base: CosDict;
  readonly #added = new Map<ResourceCategory, Map<string, CosObject>>();
  readonly #usedXObjects = new Set<string>();

  constructor(file: CosFile, base: CosDict) {
    this.file = file;
    this.base = base;
  }

  /** The entry as it stands in the dictionary: usually a reference. */
  lookup(category: ResourceCategory, name: string): CosObject | undefined {
    return this.#added.get(category)?.get(name) ?? this.file.dict(this.base.entries.get(category))?.entries.get(name);
  }

  useXObject(name: string): void {
    this.#usedXObjects.add(name);
  }

  add(category: ResourceCategory, prefix: string, object: CosObject): string {
    const own = this.#added.get(category) ?? new Map<string, CosObject>();
    this.#added.set(category, own);
    for (const [known, value] of own) if (value === object) return known;
    let number = own.size + 1;
    while (this.lookup(category, `${prefix}${number}`) !== undefined) number += 1;
    own.set(`${prefix}${number}`, object);
    if (category === 'XObject') this.useXObject(`${prefix}${number}`);
    return `${prefix}${number}`;
  }

  /** The new dictionary. External objects that the rewritten stream does not draw are left out: they may hold what was removed. */
  finish(): CosDict {
    const changes: Record<string, CosObject | undefined> = {};
    for (const category of ['XObject', 'Font', 'ExtGState', 'Properties'] as const) {
      const base = this.file.dict(this.base.entries.get(category));
      const entries = new Map(base?.entries ?? emptyDict.entries);
      for (const [name, object] of this.#added.get(category) ?? []) entries.set(name, object);
      if (category === 'XObject')
        for (const name of entries.keys()) if (!this.#usedXObjects.has(name)) entries.delete(name);
      changes[category] = entries.size === 0 ? undefined : { kind: 'dict', entries };
    }
    return withEntries(this.base, changes);
  }
}
