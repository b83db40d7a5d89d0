import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CaseboundError } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { secretString, SecretSetting } from '../platform/secrets/Port.ts';
import type { ConfigSources, EffectiveConfig } from './effective-config.ts';
import { variableOf } from './environment-name.ts';
import { loadConfig } from './load-config.ts';
import { configSchema } from './schema.ts';
import { readSchema, schemaLeaves } from './schema-tree.ts';

const schema = z.strictObject({
  http: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: z.int().min(0).max(65_535).default(4700),
      keepAlive: z.boolean().default(true),
      origins: z.array(z.string().min(2)).default([]),
      limits: z.strictObject({ low: z.int(), high: z.int() }).default({ low: 1, high: 10 }),
    })
    .refine(({ limits }) => limits.low < limits.high, {
      path: ['limits', 'low'],
      message: 'must be below `http.limits.high`.',
    })
    .prefault({}),
  store: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('files'), folder: z.string().optional(), retries: z.int().default(1) }),
      z.strictObject({
        kind: z.literal('remote'),
        url: secretString({ kind: 'url', protocols: ['https:'] }),
        retries: z.int().default(3),
      }),
      z.strictObject({ kind: z.literal('cloud'), region: z.string(), bucket: z.string(), retries: z.int().default(5) }),
    ])
    .prefault({ kind: 'files' }),
});

const load = async (parts: {
  readonly yaml?: string;
  readonly environment?: ConfigSources['environment'];
  readonly flags?: ConfigSources['flags'];
}): Promise<EffectiveConfig<z.output<typeof schema>>> => {
  await using folder = await createTemporaryFolder();
  if (parts.yaml !== undefined) await writeFile(join(folder.path, 'casebound.config.yaml'), parts.yaml);
  return await loadConfig(schema, {
    environment: parts.environment ?? {},
    workingFolder: folder.path,
    ...(parts.flags === undefined ? {} : { flags: parts.flags }),
  });
};

const errorOf = async (promise: Promise<unknown>): Promise<CaseboundError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof CaseboundError) return error;
  throw new Error('it did not fail as it should', { cause: error });
};

const messages = async (parts: Parameters<typeof load>[0]): Promise<readonly string[]> =>
  (await errorOf(load(parts))).errors.map(({ message }) => message.replaceAll(/\/\S*\//g, ''));

describe('loadConfig', () => {
  it('gives the defaults, frozen at every depth, when nothing is set', async () => {
    const { config, file, leaves } = await load({});
    expect(config.http.port).toBe(4700);
    expect(config.store).toEqual({ kind: 'files', retries: 1 });
    expect(file).toBeUndefined();
    expect(leaves.every(({ origin }) => origin.kind === 'default')).toBe(true);
    expect(Object.isFrozen(config) && Object.isFrozen(config.http.limits) && Object.isFrozen(config.http.origins)).toBe(
      true,
    );
  });

  it('lets the environment win over the file, and flags over both, and knows where each came from', async () => {
    const effective = await load({
      yaml: '# comment\nhttp:\n  host: filehost\n  port: 1\n  keepAlive: false\n',
      environment: { CASEBOUND_HTTP_PORT: '2', CASEBOUND_HTTP_KEEP_ALIVE: 'yes' },
      flags: { 'http.port': { flag: '--port', value: '3' } },
    });
    expect(effective.config.http).toMatchObject({ host: 'filehost', port: 3, keepAlive: true });
    const origins = new Map(effective.leaves.map(({ path, origin }) => [path, origin]));
    expect(origins.get('http.host')).toEqual({ kind: 'file', file: effective.file, line: 3 });
    expect(origins.get('http.port')).toEqual({ kind: 'flag', flag: '--port' });
    expect(origins.get('http.keepAlive')).toEqual({ kind: 'environment', variable: 'CASEBOUND_HTTP_KEEP_ALIVE' });
    expect(origins.get('http.origins')).toEqual({ kind: 'default' });
  });

  it('keeps the other members of a default mapping when one is set', async () => {
    const { config } = await load({ environment: { CASEBOUND_HTTP_LIMITS_HIGH: '20' } });
    expect(config.http.limits).toEqual({ low: 1, high: 20 });
  });

  it('reports everything that is wrong at once, with key, value, expectation and place', async () => {
    expect(
      await messages({
        yaml: 'http:\n  prot: 1\n  host: ""\n  origins: [ok, x]\nstroe: {}\n',
        environment: {
          CASEBOUND_HTTP_PORT: '70000',
          CASEBOUND_HTTP_KEEPALIVE: 'true',
          CASEBOUND_STORE_RETRIES: 'many',
        },
        flags: { 'http.hots': { flag: '--set', value: 'x' } },
      }),
    ).toEqual([
      'CASEBOUND_HTTP_KEEPALIVE: is not a known environment variable; did you mean CASEBOUND_HTTP_KEEP_ALIVE?',
      'http.hots: is not a known key; did you mean http.host? (flag --set)',
      'stroe: is not a known key; did you mean store? (casebound.config.yaml:5)',
      'http.prot: is not a known key; did you mean port? (casebound.config.yaml:2)',
      'http.host: "" is not allowed; expected a text that is not empty (casebound.config.yaml:3)',
      'http.port: 70000 is not allowed; expected a whole number from 0 to 65535 (environment CASEBOUND_HTTP_PORT)',
      'http.origins[1]: "x" is not allowed; expected string to have >=2 characters (casebound.config.yaml:4)',
      'store.retries: "many" is not allowed; expected a whole number (environment CASEBOUND_STORE_RETRIES)',
    ]);
  });

  it('says what a check across keys found, and where the key was set', async () => {
    expect(await messages({ environment: { CASEBOUND_HTTP_LIMITS_LOW: '10' } })).toEqual([
      'http.limits.low: 10 is not allowed; must be below `http.limits.high` (environment CASEBOUND_HTTP_LIMITS_LOW)',
    ]);
  });

  it('says which variable would set a key that is missing', async () => {
    expect(await messages({ environment: { CASEBOUND_STORE_KIND: 'cloud', CASEBOUND_STORE_REGION: 'r' } })).toEqual([
      'store.bucket: is required; expected a text; set it in the file or as CASEBOUND_STORE_BUCKET',
    ]);
  });

  it('refuses a single value where a mapping belongs, without repeating it', async () => {
    expect(await messages({ yaml: 'http: https://user:canary@host\nstore: [1]\n' })).toEqual([
      'http: holds a single value or a list; expected a mapping of host, port, keepAlive, origins, limits (casebound.config.yaml:1)',
      'store: holds a single value or a list; expected a mapping of kind (casebound.config.yaml:2)',
    ]);
  });

  it('takes an area with nothing under it as not set', async () => {
    expect((await load({ yaml: 'http:\n  # port: 1\nstore:\n' })).config.http.port).toBe(4700);
  });

  it('takes a variable that is set to nothing as not set', async () => {
    expect((await load({ environment: { CASEBOUND_HTTP_PORT: '', CASEBOUND_UNKNOWN: '' } })).config.http.port).toBe(
      4700,
    );
  });

  it('leaves alone the variables that are not settings', async () => {
    const { leaves } = await load({
      environment: {
        CASEBOUND_SECRET_DB_URL: 'x',
        CASEBOUND_CRASH_AT: 'x',
        CASEBOUND_SERVICE_HOST: '10.0.0.1',
        CASEBOUND_SERVICE_PORT_HTTP: '80',
        CASEBOUND_API_PORT_4700_TCP_ADDR: '10.0.0.1',
        PATH: '/bin',
      },
    });
    expect(leaves.every(({ origin }) => origin.kind === 'default')).toBe(true);
  });
});

describe('kinds across layers', () => {
  it('joins the kind from one layer and its members from another', async () => {
    const { config } = await load({
      yaml: 'store:\n  kind: remote\n',
      environment: { CASEBOUND_STORE_URL: 'https://h/' },
    });
    expect(config.store.kind === 'remote' && config.store.url.literal?.reveal()).toBe('https://h/');
  });

  it('takes the one kind that fits when none is named', async () => {
    const { config, leaves } = await load({ environment: { CASEBOUND_STORE_URL: 'secret://store-url' } });
    expect(config.store.kind).toBe('remote');
    expect(leaves.find(({ path }) => path === 'store.kind')?.origin).toEqual({
      kind: 'environment',
      variable: 'CASEBOUND_STORE_URL',
    });
  });

  it('puts aside what a lower layer set for another kind, and says so; what both have stays', async () => {
    const { config, ignored } = await load({
      yaml: 'store:\n  kind: cloud\n  region: r\n  bucket: b\n  retries: 9\n',
      environment: { CASEBOUND_STORE_KIND: 'files' },
    });
    expect(config.store).toEqual({ kind: 'files', retries: 9 });
    expect(ignored.map(({ path, because }) => [path, because])).toEqual([
      ['store.region', 'store.kind is files (environment CASEBOUND_STORE_KIND)'],
      ['store.bucket', 'store.kind is files (environment CASEBOUND_STORE_KIND)'],
    ]);
  });

  it('refuses a member of another kind in the layer that names the kind, or above', async () => {
    expect(
      await messages({
        yaml: 'store:\n  kind: files\n  bucket: b\n',
        environment: { CASEBOUND_STORE_URL: 'https://h/' },
      }),
    ).toEqual([
      'store.bucket: belongs to store.kind cloud, but store.kind is files (casebound.config.yaml:2); set one of the two (casebound.config.yaml:3)',
      'store.url: belongs to store.kind remote, but store.kind is files (casebound.config.yaml:2); set one of the two (environment CASEBOUND_STORE_URL)',
    ]);
  });

  it('refuses a kind that is not known, and repeats words only', async () => {
    expect(await messages({ yaml: 'store:\n  kind: remot\n' })).toEqual([
      'store.kind: "remot" is not a known kind; did you mean remote? expected one of files, remote, cloud (casebound.config.yaml:2)',
    ]);
    expect(await messages({ environment: { CASEBOUND_STORE_KIND: 'https://u:canary@h' } })).toEqual([
      'store.kind: is not a known kind; expected one of files, remote, cloud (environment CASEBOUND_STORE_KIND)',
    ]);
  });
});

const withFiles = async (
  files: Readonly<Record<string, string>>,
  sources: Partial<ConfigSources> = {},
): Promise<EffectiveConfig<z.output<typeof schema>>> => {
  await using folder = await createTemporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder.path, '.casebound'), { recursive: true });
    await writeFile(join(folder.path, name), text);
  }
  return await loadConfig(schema, { environment: {}, workingFolder: folder.path, ...sources });
};

describe('which file', () => {
  it('prefers --config over CASEBOUND_CONFIG over what lies about', async () => {
    const files = {
      'a.json': '{"http":{"port":1}}',
      'b.yaml': 'http: {port: 2}',
      'casebound.config.yml': 'http: {port: 3}',
    };
    const port = async (sources: Partial<ConfigSources>): Promise<number> =>
      (await withFiles(files, sources)).config.http.port;
    expect(await port({ file: 'a.json', environment: { CASEBOUND_CONFIG: 'b.yaml' } })).toBe(1);
    expect(await port({ environment: { CASEBOUND_CONFIG: 'b.yaml' } })).toBe(2);
    expect(await port({})).toBe(3);
  });

  it('finds the one in the data folder', async () => {
    expect((await withFiles({ '.casebound/config.json': '{"http":{"port":5}}' })).config.http.port).toBe(5);
  });

  it('refuses to choose between two', async () => {
    const error = await errorOf(withFiles({ 'casebound.config.yaml': '', '.casebound/config.yaml': '' }));
    expect(error.message).toMatch(/There are 2 configuration files .*casebound\.config\.yaml.*config\.yaml/);
  });

  it('says that a named file is not there', async () => {
    expect((await errorOf(withFiles({}, { file: 'absent.yaml' }))).message).toMatch(/absent\.yaml does not exist/);
  });

  it('takes the data folder from --data, CASEBOUND_DATA, or here', async () => {
    const sources = { workingFolder: '/nonexistent', environment: { CASEBOUND_DATA: 'env' } };
    expect((await loadConfig(schema, { ...sources, dataFolder: 'flag' })).dataFolder).toBe('/nonexistent/flag');
    expect((await loadConfig(schema, sources)).dataFolder).toBe('/nonexistent/env');
    expect((await loadConfig(schema, { ...sources, environment: {} })).dataFolder).toBe('/nonexistent/.casebound');
  });

  it('does not take a file that may not be read for one that is not there', async (context) => {
    if (process.getuid?.() === 0) context.skip();
    await using folder = await createTemporaryFolder();
    const file = join(folder.path, 'casebound.config.yaml');
    await writeFile(file, 'http: {}');
    await chmod(file, 0);
    expect((await errorOf(loadConfig(schema, { environment: {}, workingFolder: folder.path }))).message).toMatch(
      /may not be read/,
    );
  });
});

const given = (values: Record<string, number | undefined>) =>
  Object.entries(values).filter(([, value]) => value !== undefined);

describe('precedence', () => {
  const settings = [
    ['http.host', 'text'],
    ['http.port', 'number'],
    ['http.limits.high', 'number'],
    ['store.retries', 'number'],
  ] as const;
  const layer = fc.record(
    Object.fromEntries(
      settings.map(([path]) => [path, fc.option(fc.integer({ min: 2, max: 999 }), { nil: undefined })]),
    ),
  );
  it('is that of the layers, whatever each sets and in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(layer, layer, layer, fc.infiniteStream(fc.nat()), async (file, environment, flags, seed) => {
        const shuffled = <T>(items: readonly T[]): readonly T[] =>
          items
            .map((item) => [seed.next().value, item] as const)
            .toSorted(([a], [b]) => Number(a) - Number(b))
            .map(([, item]) => item);
        const yaml = shuffled(given(file)).reduce<Record<string, unknown>>((tree, [path, value]) => {
          const keys = path.split('.');
          const leaf = keys.pop() ?? '';
          let at = tree;
          for (const key of keys) at = (at[key] ??= {}) as Record<string, unknown>;
          at[leaf] = path === 'http.host' ? String(value) : value;
          return tree;
        }, {});
        const { config } = await load({
          yaml: JSON.stringify(yaml),
          environment: Object.fromEntries(
            shuffled(given(environment)).map(([path, value]) => [variableOf(path.split('.')), String(value)]),
          ),
          flags: Object.fromEntries(
            shuffled(given(flags)).map(([path, value]) => [path, { flag: '--set', value: String(value) }]),
          ),
        });
        const defaults: Readonly<Record<string, unknown>> = {
          'http.host': '127.0.0.1',
          'http.port': 4700,
          'http.limits.high': 10,
          'store.retries': 1,
        };
        for (const [path] of settings) {
          const wanted = flags[path] ?? environment[path] ?? file[path] ?? defaults[path];
          const found: unknown = path
            .split('.')
            .reduce<unknown>((value, key) => Reflect.get(Object(value), key), config);
          expect(String(found)).toBe(String(wanted));
        }
      }),
      { numRuns: 60 },
    );
  });
});

const objectsOf = (node: z.core.$ZodType): z.core.$ZodType[] => {
  const found: z.core.$ZodType[] = [];
  const visit = (at: unknown): void => {
    if (at instanceof z.ZodObject) {
      found.push(at);
      Object.values(at.shape).forEach(visit);
    } else if (at instanceof z.ZodUnion) at.def.options.forEach(visit);
    else if (at instanceof z.ZodArray) visit(at.def.element);
    else if (at instanceof z.ZodRecord) visit(at.def.valueType);
    else if (at instanceof z.ZodPipe) visit(at.def.in);
    else if (at instanceof z.ZodType && 'innerType' in at.def) visit(at.def.innerType);
  };
  visit(node);
  return found;
};

describe('the schema of the product', () => {
  const leaves = schemaLeaves(readSchema(configSchema));

  it('loads without any configuration', async () => {
    const { config, leaves: effective } = await loadConfig(configSchema, {
      environment: {},
      workingFolder: '/nonexistent',
    });
    expect(config.http.port).toBeGreaterThan(0);
    expect(effective.length).toBeGreaterThan(30);
  });

  it('describes every key', () => {
    const isKind = ({ path, when }: (typeof leaves)[number]): boolean => when.has(path.join('.'));
    expect(
      leaves.filter((leaf) => !isKind(leaf) && (leaf.node.description ?? '') === '').map(({ path }) => path.join('.')),
    ).toEqual([]);
  });

  it('marks as secret whatever is called like one', () => {
    const suspicious = leaves.filter(
      ({ path, node }) =>
        /password|passphrase|token|secret|credential|privatekey/i.test(path.at(-1) ?? '') &&
        node.inner instanceof z.ZodString &&
        !node.secret,
    );
    expect(suspicious.map(({ path }) => path.join('.'))).toEqual([]);
  });

  it('refuses unknown keys at every depth, inside of lists too', async () => {
    const objects = objectsOf(configSchema);
    expect(objects.length).toBeGreaterThan(8);
    for (const object of objects) {
      expect(object instanceof z.ZodObject && object.def.catchall?._zod.def.type).toBe('never');
    }
  });

  it('hands out references to secrets as SecretSetting', async () => {
    const { config } = await loadConfig(configSchema, {
      environment: { CASEBOUND_DATABASE_URL: 'secret://db-url' },
      workingFolder: '/nonexistent',
    });
    expect(config.database.kind === 'url' && config.database.url).toBeInstanceOf(SecretSetting);
  });
});
