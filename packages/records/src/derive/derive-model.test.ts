import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CaseboundError } from '@casebound/contract';
import { expect, test } from 'vitest';
import { emitDdl } from '../ddl/emit-ddl.ts';
import { loadSchema } from '../schema/load-schema.ts';
import { buildSchema, type ProjectSpec } from '../testing/build-schema.ts';
import { libraryExtensionProject, libraryProject, librarySchemas } from '../testing/library-schema.ts';
import { allTables, deriveModel } from './derive-model.ts';
import { modelManifest } from './manifest.ts';
import { limitIdentifier, quoteIdentifier, snakeCase } from './naming.ts';

const fixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const edFiManifest = '7b6ec3d45ecac083';
const edFi = fileURLToPath(new URL('../../../../../shared/data/apischema/ed-fi-5.1.json', import.meta.url));

/** Names that statements take in the namespace of tables, indexes and views. */
const relationNamesOf = (ddl: readonly string[]): readonly string[] =>
  ddl.flatMap((sql) => [
    ...(/^CREATE (?:UNIQUE |OR REPLACE )*(?:TABLE|INDEX|VIEW) (?:"s"\.)?"?(\w+)"?/.exec(sql)?.slice(1) ?? []),
    ...[...sql.matchAll(/CONSTRAINT "?(\w+)"? (?:PRIMARY KEY|UNIQUE)/g)].map((match) => match[1] ?? ''),
  ]);

const problems = (inputs: readonly unknown[]): readonly string[] => {
  try {
    deriveModel(loadSchema(inputs));
    return [];
  } catch (error) {
    if (error instanceof CaseboundError && error.code === 'schema_invalid')
      return error.errors.map((entry) => `${entry.path} ${entry.message}`);
    throw error;
  }
};

test('the manifest of the library fixture is the committed one; UPDATE_FIXTURES=1 writes it anew', () => {
  const [core, extension] = librarySchemas();
  const files = {
    'library.manifest.json': modelManifest(deriveModel(loadSchema(librarySchemas()))),
    'library.api-schema.json': core,
    'library-archive.api-schema.json': extension,
  };
  for (const [name, content] of Object.entries(files)) {
    const text = JSON.stringify(content, null, 2);
    if (process.env['UPDATE_FIXTURES'] === '1') writeFileSync(fixture(name), `${text}\n`);
    expect(JSON.parse(readFileSync(fixture(name), 'utf8'))).toEqual(JSON.parse(text));
  }
});

test.skipIf(!existsSync(edFi))(
  'the whole Ed-Fi 5.1 schema derives: 340 resources, unique names within 63 bytes, deterministic DDL',
  () => {
    const derive = () => deriveModel(loadSchema([JSON.parse(readFileSync(edFi, 'utf8'))]));
    const model = derive();
    expect(model.resources.size).toBe(340);
    const tables = allTables(model);
    expect(new Set(tables.map((table) => table.name)).size).toBe(tables.length);
    for (const table of tables)
      for (const name of [table.name, ...table.columns.map((column) => column.name)])
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect([...model.resources.values()].filter((resource) => resource.isDescriptor)).toHaveLength(209);
    expect([...model.resources.values()].filter((resource) => resource.alias !== null)).toHaveLength(18);
    const ddl = emitDdl(model, 's');
    expect(emitDdl(derive(), 's')).toEqual(ddl);
    const named = relationNamesOf(ddl);
    expect(named.length).toBeGreaterThan(1_500);
    expect(new Set(named).size).toBe(named.length);
    // The derived model as a whole: a change of derivation shows here, and a store of this schema then needs a migration.
    const manifest = JSON.stringify({ ...modelManifest(model), components: {} });
    expect(createHash('sha256').update(manifest).digest('hex').slice(0, 16)).toBe(edFiManifest);
  },
);

test('names: snake case, 63 bytes with a hash, quoting', () => {
  expect(
    ['countyFIPSCode', 'StudentCTEProgramAssociation', 'titleIPartA', 'a-b c', '1st', '; DROP', 'Ünïcode'].map(
      snakeCase,
    ),
  ).toEqual([
    'county_fips_code',
    'student_cte_program_association',
    'title_i_part_a',
    'a_b_c',
    'n_1st',
    'drop',
    'n_code',
  ]);
  expect(snakeCase('日本')).toMatch(/^n_[0-9a-f]{10}$/);
  expect(snakeCase('日本')).not.toBe(snakeCase('日本語'));
  const long = 'x'.repeat(64);
  expect(limitIdentifier(long)).toHaveLength(63);
  expect(limitIdentifier(`${long}a`)).not.toBe(limitIdentifier(`${long}b`));
  expect(quoteIdentifier('a"; DROP TABLE b; --')).toBe('"a""; DROP TABLE b; --"');
});

test('every problem of a malformed schema is listed at its place', () => {
  expect(problems([{}])).not.toEqual([]);
  expect(problems([null, 5, []]).length).toBeGreaterThanOrEqual(3);
  const broken = structuredClone(librarySchemas()[0]) as {
    projectSchema: { resourceSchemas: Record<string, Record<string, unknown>> };
  };
  const resources = broken.projectSchema.resourceSchemas;
  Object.assign(resources['works'] ?? {}, { identityJsonPaths: ['$.editions[*].number', '$.nowhere'] });
  Object.assign(resources['copies'] ?? {}, { queryFieldMapping: { x: [{ path: '$.missing' }] } });
  Object.assign(resources['loans'] ?? {}, { relational: { nameOverrides: { '$.nothing': 'x' } } });
  Object.assign(resources['authors'] ?? {}, { arrayUniquenessConstraints: [['$.born']] });
  const list = problems([broken]).join('\n');
  for (const part of ['$.editions[*].number', '$.nowhere', '$.missing', '$.nothing', '$.born'])
    expect(list).toContain(part);
});

const spec = (resources: ProjectSpec['resources'], more: Partial<ProjectSpec> = {}): unknown =>
  buildSchema({ name: 'P', endpoint: 'p', resources, ...more });
const key = { kind: 'string', required: true } as const;

test('missing targets, cycles (transitive too), clashes and reserved names', () => {
  expect(
    problems([
      spec({
        A: {
          endpoint: 'as',
          identity: ['$.k'],
          members: { k: key, d: { kind: 'descriptor', target: 'NoDescriptor' } },
        },
      }),
    ])[0],
  ).toContain('NoDescriptor');
  const cyclic = structuredClone(
    spec({
      A: { endpoint: 'as', identity: ['$.k'], members: { k: key, bReference: { kind: 'reference', target: 'B' } } },
      B: { endpoint: 'bs', identity: ['$.k'], members: { k: key, cReference: { kind: 'reference', target: 'C' } } },
      C: { endpoint: 'cs', identity: ['$.k'], members: { k: key, aReference: { kind: 'reference', target: 'A' } } },
    }),
  ) as { projectSchema: { resourceSchemas: Record<string, { identityJsonPaths: string[] }> } };
  expect(problems([cyclic])).toEqual([]);
  for (const [endpoint, path] of [
    ['as', '$.bReference.k'],
    ['bs', '$.cReference.k'],
    ['cs', '$.aReference.k'],
  ] as const) {
    cyclic.projectSchema.resourceSchemas[endpoint]?.identityJsonPaths.push(path);
  }
  expect(problems([cyclic]).join()).toMatch(
    /P\.A -> P\.B -> P\.C -> P\.A|P\.B -> P\.C -> P\.A -> P\.B|P\.C -> P\.A -> P\.B -> P\.C/,
  );
  const clash = spec({
    Ab: { endpoint: 'x', identity: ['$.k'], members: { k: key } },
    AB: { endpoint: 'y', identity: ['$.k'], members: { k: key } },
  });
  expect(problems([clash]).join()).toContain('needs the table name ab');
  expect(
    problems([
      spec({
        A: {
          endpoint: 'x',
          identity: ['$.k'],
          members: { k: key, 'a b': { kind: 'string' }, a_b: { kind: 'string' } },
        },
      }),
    ]).join(),
  ).toContain('a_b');
  expect(
    allTables(
      deriveModel(loadSchema([spec({ Document: { endpoint: 'x', identity: ['$.k'], members: { k: key } } })])),
    )[0]?.name,
  ).toBe('p_document');
  expect(problems([buildSchema(libraryProject), buildSchema(libraryProject)]).join()).toContain(
    'exactly one core project',
  );
  expect(problems([buildSchema(libraryExtensionProject)]).join()).toContain('exactly one core project');
});

test('lists of one long name within each other have keys of distinct columns', () => {
  const name = 'long'.repeat(20);
  const nested = {
    kind: 'list',
    members: { [name]: { kind: 'list', members: { [name]: { kind: 'list', members: { x: { kind: 'string' } } } } } },
  } as const;
  const tables = allTables(
    deriveModel(loadSchema([spec({ A: { endpoint: 'x', identity: ['$.k'], members: { k: key, [name]: nested } } })])),
  );
  for (const table of tables) expect(new Set(table.ordinals).size).toBe(table.ordinals.length);
  expect(tables.at(-1)?.ordinals).toHaveLength(3);
});

/** One resource of a schema with its JSON Schema replaced, as nobody's builder would write it. */
const withSchema = (jsonSchemaForInsert: unknown, more: object = {}): unknown => {
  const schema = structuredClone(spec({ A: { endpoint: 'as', identity: ['$.k'], members: { k: key } } })) as {
    projectSchema: { resourceSchemas: Record<string, object> };
  };
  Object.assign(schema.projectSchema.resourceSchemas['as'] ?? {}, { jsonSchemaForInsert, ...more });
  return schema;
};
const text = { type: 'string' };
const properties = (more: object): object => ({ type: 'object', properties: { k: text, ...more }, required: ['k'] });

test.each<[name: string, schema: unknown, told: RegExp]>([
  ['a type that does not exist', withSchema(properties({ a: { type: 'strin' } })), /a\.type must name types/],
  [
    'a pattern that is none',
    withSchema(properties({ a: { type: 'string', pattern: '(' } })),
    /a\.pattern is no regular/,
  ],
  [
    'a bound that is no number',
    withSchema(properties({ a: { type: 'string', maxLength: '5' } })),
    /a\.maxLength must be/,
  ],
  ['a reference to another schema', withSchema(properties({ a: { $ref: '#/x' } })), /leads to another schema/],
  ['one hidden in a composition', withSchema({ ...properties({}), allOf: [{ $ref: '#/x' }] }), /allOf\[0\]\.\$ref/],
  ['a required member that is not declared', withSchema({ ...properties({}), required: ['k', 'q'] }), /names q, which/],
  ['members that are no schemas', withSchema(properties({ a: 5 })), /a is no JSON schema/],
  ['no object at all', withSchema([]), /jsonSchemaForInsert/],
  [
    'a member that would be the prototype',
    withSchema(JSON.parse('{"type":"object","properties":{"k":{"type":"string"},"__proto__":{"type":"string"}}}')),
    /__proto__ is a name/,
  ],
  [
    'an identity that is an array',
    withSchema(properties({ a: { type: 'array', items: text } }), { identityJsonPaths: ['$.a'] }),
    /\$\.a, which is no single value/,
  ],
  [
    'an identity within an array',
    withSchema(properties({ a: { type: 'array', items: text } }), { identityJsonPaths: ['$.a[*]'] }),
    /which is no single value/,
  ],
  [
    'an identity that is free JSON',
    withSchema(properties({ a: {} }), { identityJsonPaths: ['$.a'] }),
    /which is no single value/,
  ],
  ['an identity that is nothing', withSchema(properties({}), { identityJsonPaths: [] }), /identityJsonPaths is empty/],
  [
    'an index on an unknown field',
    withSchema(properties({}), { relational: { indexedQueryFields: ['constructor'] } }),
    /names no query field/,
  ],
  ['an unknown key of relational', withSchema(properties({}), { relational: { rootTableName: 'x' } }), /relational/],
  [
    'a decimal that is not there',
    withSchema(properties({}), { decimalPropertyValidationInfos: [{ path: '$.n', totalDigits: 3 }] }),
    /names \$\.n/,
  ],
  [
    'more columns than a table takes',
    withSchema(
      {
        type: 'object',
        properties: Object.fromEntries(
          ['a', 'b', 'c', 'd', 'e'].map((name) => [
            name,
            { type: 'object', properties: Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`m${n}`, text])) },
          ]),
        ),
        required: [],
      },
      { identityJsonPaths: ['$.a.m1'] },
    ),
    /needs 2\d\d\d columns/,
  ],
  [
    'a wider identity than an index takes',
    withSchema(properties(Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`m${n}`, text]))), {
      identityJsonPaths: Array.from({ length: 40 }, (_, n) => `$.m${n}`),
    }),
    /identity of 40 columns/,
  ],
  [
    'SQL for a name',
    spec({ 'A"; DROP TABLE document; --': { endpoint: 'x', identity: ['$.k'], members: { k: key } } }),
    /quote/,
  ],
])('%s is refused at its place', (_name, schema, told) => {
  expect(problems([schema]).join('\n')).toMatch(told);
});

test('names of tables and of the indexes beside them do not meet: a collection may be called identity', () => {
  const item = { kind: 'list', members: { x: { kind: 'string' } } } as const;
  const model = deriveModel(
    loadSchema([
      spec({
        A: { endpoint: 'x', identity: ['$.k'], members: { k: key, identity: item, unique_1: item, key: item } },
        // PostgreSQL would give these names to indexes of the store itself.
        ReferenceEdgeChild: { endpoint: 'y', identity: ['$.k'], members: { k: key } },
        DocumentPkey: { endpoint: 'z', identity: ['$.k'], members: { k: key } },
      }),
    ]),
  );
  const names = allTables(model).map((table) => table.name);
  expect(names).toEqual(expect.arrayContaining(['a__identity', 'p_reference_edge_child', 'p_document_pkey']));
  const related = relationNamesOf(emitDdl(model, 's'));
  expect(new Set(related).size).toBe(related.length);
});

test('depth and names without bound are refused, not recursed into', () => {
  let node: object = { type: 'string' };
  for (let depth = 0; depth < 5_000; depth += 1) node = { type: 'object', properties: { x: node } };
  const deep = spec({ A: { endpoint: 'x', identity: ['$.k'], members: { k: key } } }) as {
    projectSchema: {
      resourceSchemas: Record<string, { jsonSchemaForInsert: { properties: Record<string, unknown> } }>;
    };
  };
  const target = deep.projectSchema.resourceSchemas['x'];
  if (target !== undefined) target.jsonSchemaForInsert.properties['deep'] = node;
  expect(problems([deep]).join()).toMatch(/nested deeper/);
});

test('key order, white space and documentation do not change the fingerprint; a member named description does', () => {
  const [core] = librarySchemas();
  const base = loadSchema([core]).fingerprint;
  const reordered = JSON.parse(JSON.stringify(core), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).reverse())
      : value,
  ) as {
    projectSchema: {
      resourceSchemas: Record<
        string,
        { jsonSchemaForInsert: Record<string, unknown> & { properties: Record<string, unknown> } }
      >;
    };
  };
  const authors = reordered.projectSchema.resourceSchemas['authors'];
  if (authors !== undefined) authors.jsonSchemaForInsert['description'] = 'documentation';
  expect(loadSchema([reordered]).fingerprint).toBe(base);
  if (authors !== undefined) authors.jsonSchemaForInsert.properties['description'] = { type: 'string' };
  expect(loadSchema([reordered]).fingerprint).not.toBe(base);
});
