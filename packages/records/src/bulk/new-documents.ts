/** The new documents of a group as columns: rows, identities and edges, made from the block without a look at any document by itself. */
import type { EdgeColumns } from '../plan/write-sql.ts';
import type { StoreContext } from '../store-context.ts';
import { type FreshDocuments, identityColumns } from '../write/write-items.ts';
import type { BatchResolution } from './batch-resolution.ts';
import type { BatchGroup } from './plan-batch.ts';

/** References of one document from which on its edges are found by a map instead of by a look at those before. */
const manyReferences = 50;

interface Edges extends EdgeColumns {
  readonly parents: number[];
  readonly children: number[];
  readonly areIdentity: boolean[];
}

/** One edge for each document that a new one refers to, however often. */
const edgesOf = ({ block, created }: BatchGroup, { documentOf }: BatchResolution): EdgeColumns => {
  const edges: Edges = { parents: [], children: [], areIdentity: [] };
  const { parents, children, areIdentity } = edges;
  const places = new Map<number, number>();
  for (const [index, place] of created.places.entries()) {
    const [from, to] = block.referencesOf(place);
    const isMany = to - from > manyReferences;
    const first = children.length;
    places.clear();
    for (let at = from; at < to; at += 1) {
      const binding = block.referenceColumns[at]?.reference ?? null;
      if (binding === null) continue;
      const child = documentOf[block.referenceSlots[at] ?? -1] ?? 0;
      const known = isMany ? (places.get(child) ?? -1) : children.indexOf(child, first);
      if (known >= 0) {
        areIdentity[known] ||= binding.isIdentity;
        continue;
      }
      if (isMany) places.set(child, children.length);
      parents.push(created.documentIds[index] ?? 0);
      children.push(child);
      areIdentity.push(binding.isIdentity);
    }
  }
  return edges;
};

const recheckedOf = ({ block, created }: BatchGroup, resolution: BatchResolution): ReadonlyMap<string, number> => {
  const seen = new Set<number>();
  for (const place of created.places) {
    const [from, to] = block.referencesOf(place);
    for (let at = from; at < to; at += 1) {
      const slot = block.referenceSlots[at] ?? -1;
      if (block.referenceColumns[at]?.reference?.isMutable === true && !resolution.isNew(slot)) seen.add(slot);
    }
  }
  return new Map([...seen].map((slot) => [block.ids.idOf(slot), resolution.documentOf[slot] ?? 0]));
};

/** Null where the group has none. */
export const newDocumentsOf = (
  ctx: StoreContext,
  group: BatchGroup,
  resolution: BatchResolution,
): FreshDocuments | null => {
  const { block, created } = group;
  const { places, documentIds, uuids } = created;
  if (places.length === 0) return null;
  const idOf = new Float64Array(block.size);
  for (const [index, place] of places.entries()) idOf[place] = documentIds[index] ?? 0;
  const identities = places.map((place) => block.identityAt(place));
  return {
    documentIds,
    uuids,
    identities: identityColumns(
      ctx,
      block.resource,
      documentIds,
      identities.map((identity) => identity.referentialId),
      identities.map((identity) => identity.aliasId),
    ),
    rows: block.bind(idOf, resolution.documentOf),
    edges: edgesOf(group, resolution),
    rechecked: recheckedOf(group, resolution),
  };
};
