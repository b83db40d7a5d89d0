/**
 * Puts the layers of the configuration on top of one another: file, environment, flags.
 *
 * - A leaf is taken whole from the highest layer that sets it; lists and records are not merged.
 * - The highest layer that sets a union's `kind` decides it. What lower layers set for another kind is put aside and
 *   reported as ignored; what the same or a higher layer sets for another kind is a contradiction and an error.
 * - Where no layer sets the `kind`, the default's holds; if its variant lacks what was set, and exactly one variant has all of
 *   it, that variant is meant: `CASEBOUND_DATABASE_URL` alone selects the kind that has a `url`.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ConfigProblem } from './config-problem.ts';
import type { IgnoredValue, Origin } from './effective-config.ts';
import { decodeText } from './environment-text.ts';
import { describeOrigin, toPlain, type Located, type LocatedMember } from './located-value.ts';
import { nearestName } from './nearest-name.ts';
import type { LeafNode, ObjectNode, SchemaNode, UnionNode } from './schema-tree.ts';

export interface MergedLayers {
  /** What to give to the schema. */
  readonly input: unknown;
  /** Leaf path (dotted) -> where its value comes from. No entry: the schema's default. */
  readonly given: ReadonlyMap<string, Located>;
  readonly problems: readonly ConfigProblem[];
  readonly ignored: readonly IgnoredValue[];
}

type Path = readonly string[];
type Mapping = Extract<Located, { type: 'mapping' }>;

interface Collected {
  readonly given: Map<string, Located>;
  readonly problems: ConfigProblem[];
  readonly ignored: IgnoredValue[];
}

/** `layers` from lowest to highest precedence. */
export const mergeLayers = (schema: SchemaNode, layers: readonly Located[]): MergedLayers => {
  const collected: Collected = { given: new Map(), problems: [], ignored: [] };
  const input = mergeNode(schema, [], layers, collected);
  return { input, ...collected };
};

const mergeNode = (node: SchemaNode, path: Path, layers: readonly Located[], collected: Collected): unknown => {
  switch (node.type) {
    case 'leaf':
      return mergeLeaf(node, path, layers, collected);
    case 'object':
      return mergeObject(node, path, layers, collected);
    case 'union':
      return mergeUnion(node, path, layers, collected);
  }
};

const mergeLeaf = (node: LeafNode, path: Path, layers: readonly Located[], collected: Collected): unknown => {
  const top = layers.at(-1);
  if (top === undefined) return undefined;
  if (top.origin.kind !== 'default') collected.given.set(path.join('.'), top);
  return top.type === 'text' ? decodeText(node, top.text) : toPlain(top);
};

/** The layers that are mappings. A key with nothing under it (`http:`) sets nothing; any other value is a problem. */
const mappingsOf = (
  keys: Iterable<string>,
  path: Path,
  layers: readonly Located[],
  { problems }: Collected,
): readonly Mapping[] =>
  layers.filter((layer): layer is Mapping => {
    if (layer.type === 'mapping') return true;
    if (layer.type !== 'scalar' || layer.value !== null) {
      const message = `holds a single value or a list; expected a mapping of ${[...keys].join(', ')}`;
      problems.push({ path, message, origin: layer.origin });
    }
    return false;
  });

const asLayer = (value: unknown): Located => {
  const origin: Origin = { kind: 'default' };
  const isMapping = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  if (!isMapping) return { type: 'scalar', value, origin };
  const members = Object.entries(value).map(([key, member]): [string, LocatedMember] => [
    key,
    { value: asLayer(member), keyOrigin: origin },
  ]);
  return { type: 'mapping', members: new Map(members), origin };
};

/** A default that is a whole mapping is the lowest layer: who sets one of its members keeps the others. */
const withFallback = (fallback: unknown, mappings: readonly Mapping[]): readonly Mapping[] => {
  const lowest = asLayer(fallback);
  return lowest.type === 'mapping' ? [lowest, ...mappings] : mappings;
};

const unknownKey = (key: string, path: Path, known: Iterable<string>, origin: Origin): ConfigProblem => {
  const names = [...known];
  const nearest = nearestName(key, names);
  const hint = nearest === undefined ? `expected one of ${names.join(', ')}` : `did you mean ${nearest}?`;
  return { path: [...path, key.slice(0, 100)], message: `is not a known key; ${hint}`, origin };
};

const mergeMembers = (
  members: ReadonlyMap<string, SchemaNode>,
  path: Path,
  mappings: readonly Mapping[],
  collected: Collected,
): Record<string, unknown> => {
  const merged: [string, unknown][] = [];
  for (const [key, member] of members) {
    const layers = mappings.flatMap((mapping) => mapping.members.get(key)?.value ?? []);
    const value = mergeNode(member, [...path, key], layers, collected);
    if (value !== undefined) merged.push([key, value]);
  }
  return Object.fromEntries(merged);
};

const mergeObject = (node: ObjectNode, path: Path, layers: readonly Located[], collected: Collected): unknown => {
  const mappings = mappingsOf(node.members.keys(), path, layers, collected);
  if (mappings.length === 0 && (node.optional || node.fallback !== undefined)) return undefined;
  for (const mapping of mappings) {
    for (const [key, { keyOrigin }] of mapping.members) {
      if (!node.members.has(key)) collected.problems.push(unknownKey(key, path, node.members.keys(), keyOrigin));
    }
  }
  return mergeMembers(node.members, path, withFallback(node.fallback, mappings), collected);
};

interface Decision {
  readonly kind: string;
  /** Index of the layer that decided; -1 when the default did, Infinity when what is set did. */
  readonly layer: number;
  readonly located: Located | undefined;
}

const fallbackKind = (node: UnionNode): string | undefined => {
  const lowest = asLayer(node.fallback);
  const member = lowest.type === 'mapping' ? lowest.members.get(node.discriminator)?.value : undefined;
  return member === undefined ? undefined : String(toPlain(member));
};

const decideKind = (
  node: UnionNode,
  path: Path,
  mappings: readonly Mapping[],
  { problems }: Collected,
): Decision | undefined => {
  const kinds = [...node.variants.keys()];
  const kindPath = [...path, node.discriminator];
  const layer = mappings.findLastIndex((mapping) => mapping.members.has(node.discriminator));
  const located = mappings[layer]?.members.get(node.discriminator)?.value;
  if (located !== undefined) {
    const plain = toPlain(located);
    const kind = typeof plain === 'string' ? plain.trim() : String(plain);
    if (node.variants.has(kind)) return { kind, layer, located };
    problems.push({ path: kindPath, message: refusedKind(plain, kinds), origin: located.origin });
    return undefined;
  }
  const keys = new Set(mappings.flatMap((mapping) => [...mapping.members.keys()]));
  const known = [...keys].filter((key) => [...node.variants.values()].some((variant) => variant.members.has(key)));
  const fitting = kinds.filter((kind) => known.every((key) => node.variants.get(kind)?.members.has(key)));
  const byDefault = fallbackKind(node);
  if (byDefault !== undefined && (fitting.includes(byDefault) || fitting.length !== 1)) {
    return { kind: byDefault, layer: -1, located: undefined };
  }
  const [only, ...others] = fitting;
  if (only !== undefined && others.length === 0) {
    const implied = mappings.flatMap((mapping) => [...mapping.members.values()]).at(-1)?.value;
    return { kind: only, layer: Number.POSITIVE_INFINITY, located: implied };
  }
  const origin = mappings.at(-1)?.origin;
  problems.push({ path: kindPath, message: `is required; expected one of ${kinds.join(', ')}`, origin });
  return undefined;
};

const refusedKind = (value: unknown, kinds: readonly string[]): string => {
  const expected = `expected one of ${kinds.join(', ')}`;
  // Somebody who puts a connection string here must not find it in a log: only words are repeated.
  if (typeof value !== 'string' || !/^[\w-]{1,40}$/.test(value)) return `is not a known kind; ${expected}`;
  const nearest = nearestName(value, kinds);
  return `"${value}" is not a known kind; ${nearest === undefined ? expected : `did you mean ${nearest}? ${expected}`}`;
};

/** Reports the members that the chosen variant lacks, and returns the mappings as they are. */
const reportForeignMembers = (
  node: UnionNode,
  decision: Decision,
  path: Path,
  mappings: readonly Mapping[],
  { problems, ignored }: Collected,
): void => {
  const variant = node.variants.get(decision.kind);
  const decider = [...path, node.discriminator].join('.');
  mappings.forEach((mapping, index) => {
    for (const [key, { keyOrigin }] of mapping.members) {
      if (key === node.discriminator || variant?.members.has(key) === true) continue;
      const owners = [...node.variants].filter(([, other]) => other.members.has(key)).map(([kind]) => kind);
      if (owners.length === 0) {
        const known = new Set([...node.variants.values()].flatMap((other) => [...other.members.keys()]));
        problems.push(unknownKey(key, path, known, keyOrigin));
      } else if (index < decision.layer) {
        const by = decision.located === undefined ? 'default' : describeOrigin(decision.located.origin);
        const because = `${decider} is ${decision.kind} (${by})`;
        ignored.push({ path: [...path, key].join('.'), origin: keyOrigin, because });
      } else {
        const by = decision.located === undefined ? 'default' : describeOrigin(decision.located.origin);
        const message = `belongs to ${decider} ${owners.join(' or ')}, but ${decider} is ${decision.kind} (${by}); set one of the two`;
        problems.push({ path: [...path, key], message, origin: keyOrigin });
      }
    }
  });
};

const mergeUnion = (node: UnionNode, path: Path, layers: readonly Located[], collected: Collected): unknown => {
  const mappings = mappingsOf([node.discriminator], path, layers, collected);
  if (mappings.length === 0 && (node.optional || node.fallback !== undefined)) return undefined;
  const decision = decideKind(node, path, mappings, collected);
  const variant = decision === undefined ? undefined : node.variants.get(decision.kind);
  if (decision === undefined || variant === undefined) return {};
  reportForeignMembers(node, decision, path, mappings, collected);
  const layered = isDeepStrictEqual(fallbackKind(node), decision.kind)
    ? withFallback(node.fallback, mappings)
    : mappings;
  const members = new Map([...variant.members].filter(([key]) => key !== node.discriminator));
  if (decision.located !== undefined) collected.given.set([...path, node.discriminator].join('.'), decision.located);
  return { [node.discriminator]: decision.kind, ...mergeMembers(members, path, layered, collected) };
};
