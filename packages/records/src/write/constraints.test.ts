/** Constraints that a JSON schema cannot say: equal values at several places, items that may stand once within their parent. */
import { expect, test } from 'vitest';
import { deriveModel } from '../derive/derive-model.ts';
import type { Model } from '../derive/model.ts';
import { loadSchema } from '../schema/load-schema.ts';
import { buildSchema } from '../testing/build-schema.ts';
import { resourceAt } from '../testing/open-library.ts';
import type { JsonValue } from './parse-json.ts';
import { compileValidator } from './validate-document.ts';

const text = { kind: 'string' } as const;
const model = (more: object): Model => {
  const schema = buildSchema({
    name: 'P',
    endpoint: 'p',
    descriptors: ['ToneDescriptor'],
    resources: {
      A: {
        endpoint: 'as',
        identity: ['$.k'],
        members: {
          k: { kind: 'string', required: true },
          a: text,
          n: { kind: 'number' },
          place: { kind: 'object', members: { code: text } },
          list: {
            kind: 'list',
            members: {
              x: text,
              n: { kind: 'number' },
              toneDescriptor: { kind: 'descriptor', target: 'ToneDescriptor' },
              inner: { kind: 'list', members: { z: text, w: text } },
            },
          },
        },
      },
    },
  }) as { projectSchema: { resourceSchemas: Record<string, object> } };
  Object.assign(schema.projectSchema.resourceSchemas['as'] ?? {}, more);
  return deriveModel(loadSchema([schema]));
};
const errorsOf = (more: object) => {
  const validator = compileValidator(resourceAt(model(more), 'as'));
  return (document: { [key: string]: JsonValue }): readonly string[] =>
    validator.validate({ k: 'k', ...document }).map((error) => `${error.path} ${error.message}`);
};

test('equal values: between members, with every item of a collection, by value and not by spelling', () => {
  const validate = errorsOf({
    equalityConstraints: [
      { sourceJsonPath: '$.list[*].x', targetJsonPath: '$.a' },
      { sourceJsonPath: '$.place.code', targetJsonPath: '$.a' },
      { sourceJsonPath: '$.n', targetJsonPath: '$.list[*].n' },
      // Published schemas name members that are not there; those hold nothing back.
      { sourceJsonPath: '$.nothing', targetJsonPath: '$.a' },
    ],
  });
  expect(validate({ a: 'v', place: { code: 'v' }, list: [{ x: 'v' }, { x: 'v' }, {}] })).toEqual([]);
  expect(validate({ a: 'v' })).toEqual([]);
  expect(validate({ n: 1.5, list: [{ n: 1.5 }] })).toEqual([]);
  expect(validate({ a: 'v', list: [{ x: 'v' }, { x: 'other' }] })).toEqual([
    '$.list[1].x must be equal to $.list[0].x',
  ]);
  expect(validate({ a: 'v', place: { code: 'w' } })).toEqual(['$.a must be equal to $.place.code']);
  expect(validate({ n: 1, list: [{ n: 2 }] })).toEqual(['$.list[0].n must be equal to $.n']);
});

test('items that may stand once: by several members, within one parent, descriptors whatever their case', () => {
  const validate = errorsOf({
    arrayUniquenessConstraints: [
      {
        paths: ['$.list[*].x', '$.list[*].toneDescriptor'],
        nestedConstraints: [{ basePath: '$.list[*]', paths: ['$.inner[*].z', '$.inner[*].w'] }],
      },
    ],
  });
  const tone = 'uri://t#Low';
  expect(validate({ list: [{ x: 'a', toneDescriptor: tone }, { x: 'b', toneDescriptor: tone }, { x: 'a' }] })).toEqual(
    [],
  );
  expect(
    validate({
      list: [
        { x: 'a', toneDescriptor: tone },
        { x: 'a', toneDescriptor: tone.toUpperCase() },
      ],
    }),
  ).toEqual(['$.list[1] is the same as $.list[0], and each may stand only once']);
  // The same inner item under two parents is no duplicate; twice under one it is.
  const inner = [{ z: '1', w: '2' }];
  expect(
    validate({
      list: [
        { x: 'a', inner },
        { x: 'b', inner },
      ],
    }),
  ).toEqual([]);
  expect(validate({ list: [{ x: 'a' }, { x: 'b', inner: [...inner, { z: '1' }, { z: '1', w: '2' }] }] })).toEqual([
    '$.list[1].inner[2] is the same as $.list[1].inner[0], and each may stand only once',
  ]);
});

test('a uniqueness becomes a constraint of the table, and one that spans collections is refused', () => {
  const nested = { basePath: '$.list[*]', paths: ['$.inner[*].z'] };
  const tables = resourceAt(
    model({ arrayUniquenessConstraints: [['$.list[*].x'], { nestedConstraints: [nested] }] }),
    'as',
  ).tables;
  expect(tables.flatMap((table) => table.uniques.map((unique) => `${table.name} ${unique.columns.join()}`))).toEqual([
    'a__list x',
    'a__list__inner z',
  ]);
  for (const paths of [['$.list[*].x', '$.list[*].inner[*].z'], ['$.a'], ['$.list[*].nothing']])
    expect(() => model({ arrayUniquenessConstraints: [paths] })).toThrow(/arrayUniquenessConstraints/);
});
