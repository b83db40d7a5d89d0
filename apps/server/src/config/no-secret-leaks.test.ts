/** Canaries in every place where a secret can be written, looked for on every way out. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { format, inspect } from 'node:util';
import { createFakeClock, createTemporaryFolder } from '@casebound/test-kit';
import { CaseboundError } from '@casebound/contract';
import { describe, expect, it } from 'vitest';
import { createSecrets } from '../platform/secrets/create-secrets.ts';
import { captureLog } from '../platform/secrets/testing/capture-log.ts';
import { checkConfig } from './check-config.ts';
import type { ConfigSources } from './effective-config.ts';
import { variableOf } from './environment-name.ts';
import { loadConfig } from './load-config.ts';
import { printableConfig, renderConfig } from './render-config.ts';
import { configSchema } from './schema.ts';
import { readSchema, schemaLeaves } from './schema-tree.ts';
import { secretRequirements } from './secret-requirements.ts';

const canary = 'canary4711';
const url = `postgres://user:${canary}@db.example/casebound`;

/** All that a careless caller can do with a value. */
const everyWayOut = (value: unknown): string => {
  const { log, lines } = captureLog();
  log.error('failed', {}, value);
  log.info('said', value as object);
  return [
    inspect(value, { depth: 20, showHidden: true, getters: true }),
    JSON.stringify(value),
    format('%s %o %j', value, value, value),
    value instanceof Error ? `${value.message} ${value.stack ?? ''} ${String(value.cause)}` : '',
    structuredText(value),
    lines(),
  ].join('\n');
};

const structuredText = (value: unknown): string => {
  try {
    return inspect(structuredClone(value), { depth: 20 });
  } catch {
    return '';
  }
};

const literalEverywhere: ConfigSources['environment'] = {
  CASEBOUND_DATABASE_URL: url,
  CASEBOUND_DATABASE_READER_URL: url,
  CASEBOUND_DATABASE_CASE_SERVERS: JSON.stringify([{ name: 'two', url }]),
  CASEBOUND_OBJECT_STORE_BUCKET: 'bucket',
  CASEBOUND_OBJECT_STORE_ACCESS_KEY_ID: canary,
  CASEBOUND_OBJECT_STORE_SECRET_ACCESS_KEY: canary,
  CASEBOUND_OBJECT_STORE_SESSION_TOKEN: canary,
  CASEBOUND_OBJECT_STORE_ENDPOINT: `https://user:${canary}@s3.example/`,
  CASEBOUND_SECRET_UNUSED: canary,
};

const withFile = async <T>(text: string, use: (sources: ConfigSources, file: string) => Promise<T>): Promise<T> => {
  await using folder = await createTemporaryFolder();
  const file = join(folder.path, 'casebound.config.yaml');
  await writeFile(file, text, { mode: 0o600 });
  return await use({ environment: {}, workingFolder: folder.path }, file);
};

const failureOf = async (sources: ConfigSources): Promise<CaseboundError> => {
  const error: unknown = await loadConfig(configSchema, sources).catch((reason: unknown) => reason);
  if (error instanceof CaseboundError) return error;
  throw new Error('it was accepted');
};

describe('a secret in the configuration', () => {
  it('is in no print, dump or log of what was loaded', async () => {
    const effective = await loadConfig(configSchema, { environment: literalEverywhere, workingFolder: '/nonexistent' });
    expect(secretRequirements(effective.config).map(({ usedBy }) => usedBy)).toEqual([
      'database.url',
      'database.readerUrl',
      'database.caseServers[0].url',
      'objectStore.accessKeyId',
      'objectStore.secretAccessKey',
      'objectStore.sessionToken',
    ]);
    const printed = [renderConfig(effective, { json: true }), renderConfig(effective, { json: false })].join('\n');
    expect(printed).not.toContain(canary);
    expect(printed).toContain('database.url = [secret]');
    expect(printed).toContain('https://[secret]@s3.example/');
    expect(everyWayOut(printableConfig(effective))).not.toContain(canary);
    const { endpoint: _endpoint, ...objectStore } = effective.config.objectStore as Record<string, unknown>;
    expect(everyWayOut({ database: effective.config.database, objectStore })).not.toContain(canary);
  });

  it('is printed by name when it is a reference', async () => {
    const effective = await loadConfig(configSchema, {
      environment: { CASEBOUND_DATABASE_URL: 'secret://team/db#url' },
      workingFolder: '/nonexistent',
    });
    expect(renderConfig(effective, { json: false })).toContain('database.url = secret://team/db#url');
  });

  it.each(
    schemaLeaves(readSchema(configSchema))
      .filter(({ node }) => node.secret)
      .map(({ path, when }) => [path.join('.'), path, when] as const),
  )('is in no error when %s is refused', async (_title, path, when) => {
    for (const wrong of [
      ` secret://${canary} `,
      `secret://${canary}/../x`,
      `ftp://u:${canary}@h`,
      `[{"url":"${canary}"}]`,
      `{"${canary}`,
      canary,
    ]) {
      const environment = {
        ...Object.fromEntries([...when].map(([kindPath, kind]) => [variableOf(kindPath.split('.')), kind])),
        // Refused for a reason of its own, so that there is an error whatever the leaf accepts.
        CASEBOUND_HTTP_PORT: 'x',
        [variableOf(path)]: wrong,
      };
      expect(everyWayOut(await failureOf({ environment, workingFolder: '/nonexistent' }))).not.toContain(canary);
    }
  });

  it.each([
    ['under a wrong key', `database:\n  kind: url\n  urll: ${url}\n`],
    ['in place of an area', `database: ${url}\n`],
    ['as a kind', `database:\n  kind: ${url}\n`],
    ['in a list that is none', `database:\n  kind: url\n  url: [${url}]\n`],
    ['as a mapping', `database:\n  kind: url\n  url: {password: ${canary}}\n`],
    ['in a number', `http:\n  port: ${url}\n`],
    ['in a text of another kind', `objectStore:\n  kind: s3\n  bucket: ${url}\n`],
    ['in YAML that is broken', `database:\n  url: "${url}\n  kind: x\n`],
    ['in a key that stands twice', `database:\n  url: ${url}\n  url: ${url}\n`],
    ['with a wrong neighbour', `database:\n  kind: url\n  url: ${url}\n  caseServers: [{name: BAD, url: ${url}}]\n`],
  ])('is in no error when it is written %s', async (_title, yaml) => {
    const error = await withFile(yaml, (sources) => failureOf(sources));
    expect(everyWayOut(error)).not.toContain(canary);
  });
});

const open =
  (environment: ConfigSources['environment']) =>
  async (effective: Awaited<ReturnType<typeof loadConfig<typeof configSchema>>>) =>
    createSecrets(effective.config.secrets, {
      clock: createFakeClock(),
      log: captureLog().log,
      environment,
      dataFolder: effective.dataFolder,
    });

describe('checkConfig', () => {
  it('finds a sound configuration sound', async () => {
    const environment = { CASEBOUND_SECRET_DB_URL: url };
    const checks = await withFile('database: {kind: url, url: secret://db-url}\n', (sources) =>
      checkConfig(configSchema, { ...sources, environment }, open(environment)),
    );
    expect(checks.map(({ name, state }) => `${name} ${state}`)).toEqual([
      'configuration ok',
      'configuration file ok',
      'secret store ok',
      'secrets ok',
    ]);
  });

  it('names what is wrong: the configuration, or secrets that are missing or of the wrong shape', async () => {
    const [broken] = await withFile('http: {port: x}\n', (sources) => checkConfig(configSchema, sources, open({})));
    expect(broken).toMatchObject({
      name: 'configuration',
      state: 'failed',
      found: expect.stringContaining('http.port: "x"'),
    });

    const environment = { CASEBOUND_SECRET_READER: `${canary} is no URL` };
    const checks = await withFile(
      'database: {kind: url, url: secret://db-url, readerUrl: secret://reader}\n',
      (sources) => checkConfig(configSchema, { ...sources, environment }, open(environment)),
    );
    expect(checks.at(-1)).toMatchObject({ name: 'secrets', state: 'failed' });
    expect(checks.at(-1)?.found).toMatch(
      /database\.url: secret:\/\/db-url is missing.*CASEBOUND_SECRET_DB_URL.*database\.readerUrl: secret:\/\/reader must be a URL/,
    );
    expect(everyWayOut(checks)).not.toContain(canary);
  });

  it('warns of secrets that are written into the file', async () => {
    const checks = await withFile(`database: {kind: url, url: "${url}"}\n`, async (sources, file) => {
      await chmod(file, 0o644);
      return checkConfig(configSchema, sources, open({}));
    });
    expect(checks[1]).toMatchObject({ name: 'configuration file', state: 'warning' });
    expect(checks[1]?.found).toMatch(/holds secrets \(database\.url\), and other users may read it/);
    expect(everyWayOut(checks)).not.toContain(canary);
  });
});
