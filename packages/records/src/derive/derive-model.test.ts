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
const edFi = fileURLToPath(new URL('../../../../../shared/data/apischema/ed-fi-5.1.json', import.meta.url));

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
    const named = ddl.flatMap(
      (sql) => /^CREATE (?:UNIQUE |OR REPLACE )*(?:TABLE|INDEX|VIEW) (?:"s"\.)?("?\w+"?)/.exec(sql)?.[1] ?? [],
    );
    expect(new Set(named).size).toBe(named.length);
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
