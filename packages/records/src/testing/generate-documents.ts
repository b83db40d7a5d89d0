/** Schemas and documents for property tests: three resources that refer to each other, members of every kind, nested to depth 3. */
import fc from 'fast-check';
import type { JsonValue } from '../write/parse-json.ts';
import type { Members, MemberSpec, ProjectSpec } from './build-schema.ts';

const names = fc.constantFrom(
  'a',
  'b',
  'fieldOne',
  'CTEValue',
  'order',
  'select',
  'user',
  "o'clock",
  'x y',
  'a".b'.replace('.', ''),
  'überlang',
  '$cash',
  'long'.repeat(20),
  'type',
  'group',
);
const leaf: fc.Arbitrary<MemberSpec> = fc.constantFrom<MemberSpec>(
  { kind: 'string' },
  { kind: 'integer' },
  { kind: 'boolean' },
  { kind: 'date' },
  { kind: 'time' },
  { kind: 'timestamp' },
  { kind: 'json' },
  { kind: 'number' },
  { kind: 'number', totalDigits: 8, decimalPlaces: 3 },
  { kind: 'descriptor', target: 'ToneDescriptor' },
);

const membersOf = (depth: number, targets: readonly string[]): fc.Arbitrary<Members> => {
  const reference: fc.Arbitrary<MemberSpec> =
    targets.length === 0 ? leaf : fc.constantFrom(...targets).map((target) => ({ kind: 'reference', target }));
  const nested: fc.Arbitrary<MemberSpec> =
    depth <= 0
      ? leaf
      : fc.oneof(
          membersOf(depth - 1, targets).map((members): MemberSpec => ({ kind: 'list', members })),
          membersOf(depth - 1, targets).map((members): MemberSpec => ({ kind: 'object', members })),
          leaf.filter((spec) => spec.kind !== 'json').map((item): MemberSpec => ({ kind: 'values', item })),
        );
  return fc.dictionary(
    names,
    fc.oneof({ weight: 4, arbitrary: leaf }, { weight: 2, arbitrary: reference }, { weight: 3, arbitrary: nested }),
    { minKeys: 1, maxKeys: 5 },
  );
};

export const resourceNames = ['Alpha', 'Beta', 'Gamma'] as const;
export const project: fc.Arbitrary<ProjectSpec> = fc
  .tuple(membersOf(2, []), membersOf(3, ['Alpha']), membersOf(2, ['Alpha', 'Beta']))
  .map((all) => ({
    name: 'Generated',
    endpoint: 'g',
    descriptors: ['ToneDescriptor'],
    resources: Object.fromEntries(
      resourceNames.map((name, index) => {
        const parent = resourceNames[index - 1];
        const parentPaths = [...resourceNames]
          .slice(0, index)
          .map((_, at, list) => `$.parentReference.key${list.length - 1 - at === 0 ? list.length - 1 : at}`);
        return [
          name,
          {
            endpoint: name.toLowerCase(),
            identity: [`$.key${index}`, ...parentPaths.filter((path, at, list) => list.indexOf(path) === at)],
            allowIdentityUpdates: true,
            members: {
              ...all[index],
              [`key${index}`]: { kind: 'string', required: true },
              ...(parent === undefined
                ? {}
                : { parentReference: { kind: 'reference', target: parent, required: true } }),
            },
          },
        ];
      }),
    ),
  }));

const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((value) => !value.includes('\u0000') && value.isWellFormed());
export const tones = ['uri://g/Tone#Low', 'uri://g/Tone#High'];
const date = fc
  .date({ min: new Date('0002-01-01'), max: new Date('9998-01-01'), noInvalidDate: true })
  .map((value) => value.toISOString());

const valueOf = (spec: MemberSpec): fc.Arbitrary<JsonValue | undefined> => {
  switch (spec.kind) {
    case 'string':
      return text;
    case 'integer':
      return fc.maxSafeInteger();
    case 'boolean':
      return fc.boolean();
    case 'number':
      return spec.totalDigits === undefined
        ? fc
            .double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 })
            .map((value) => (Object.is(value, -0) || Math.abs(value) < 1e-200 ? 0 : value))
        : fc.integer({ min: -99_999_999, max: 99_999_999 }).map((value) => value / 1000);
    case 'date':
      return date.map((value) => value.slice(0, 10));
    case 'time':
      return date.map((value) => value.slice(11, 19));
    case 'timestamp':
      return date.map((value) => `${value.slice(0, 19)}Z`);
    case 'json':
      return fc
        .jsonValue({ maxDepth: 2 })
        .map((value) => JSON.parse(JSON.stringify(value)) as JsonValue)
        .filter(
          (value) =>
            value !== null &&
            !JSON.stringify(value).includes('\\u0000') &&
            JSON.stringify(value).isWellFormed() &&
            !/e[+-]|\\ud|-0\b/i.test(JSON.stringify(value)),
        );
    case 'descriptor':
      return fc.constantFrom(...tones);
    case 'reference':
      return fc.constant({ $reference: spec.target });
    case 'object':
      return documentOf(spec.members);
    case 'list':
      return fc.array(documentOf(spec.members), { maxLength: 3 });
    case 'values':
      return fc.array(
        valueOf(spec.item).filter((value) => value !== undefined),
        { maxLength: 3 },
      );
  }
};

export const documentOf = (members: Members): fc.Arbitrary<{ [key: string]: JsonValue }> =>
  fc.record(Object.fromEntries(Object.entries(members).map(([name, spec]) => [name, valueOf(spec)])), {
    requiredKeys: [],
  }) as fc.Arbitrary<{ [key: string]: JsonValue }>;

const identityMembers: Readonly<Record<string, readonly string[]>> = {
  Alpha: ['key0'],
  Beta: ['key1', 'key0'],
  Gamma: ['key2', 'key1', 'key0'],
};

/** Puts real identities where the generator left marks. */
export const bind = (value: JsonValue, n: number): JsonValue => {
  if (Array.isArray(value)) return value.map((item) => bind(item, n));
  if (typeof value !== 'object' || value === null) return value;
  const target = value['$reference'];
  if (typeof target === 'string')
    return Object.fromEntries((identityMembers[target] ?? []).map((member) => [member, `${member}-${n}`]));
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, bind(member, n)]));
};

/** What the schema keeps: no empty objects, no empty arrays (but items of arrays stay). */
const kept = (value: JsonValue, spec: MemberSpec): JsonValue | undefined => {
  if (spec.kind === 'object') {
    const members = keptMembers(value as { [key: string]: JsonValue }, spec.members);
    return Object.keys(members).length === 0 ? undefined : members;
  }
  if (spec.kind === 'list') {
    const items = (value as { [key: string]: JsonValue }[]).map((item) => keptMembers(item, spec.members));
    return items.length === 0 ? undefined : items;
  }
  return spec.kind === 'values' && (value as JsonValue[]).length === 0 ? undefined : value;
};

export const keptMembers = (value: { [key: string]: JsonValue }, members: Members): { [key: string]: JsonValue } =>
  Object.fromEntries(
    Object.entries(members).flatMap(([name, spec]) => {
      const own = value[name];
      const result = own === undefined ? undefined : kept(own, spec);
      return result === undefined ? [] : [[name, result]];
    }),
  );
