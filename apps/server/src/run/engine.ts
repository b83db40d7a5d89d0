/**
 * What the commands do, over the composition.
 *
 * The composition is loaded when a command needs it: `--help` and `config print` do not wait for a database driver, an HTTP
 * server and an object store to be read.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, hasCode, type Client } from '@casebound/contract';
import type { CommonOptions, Connection, Engine, MigrationReport } from '../cli/engine.ts';
import { describeOrigin } from '../config/located-value.ts';
import { printableConfig, renderConfig } from '../config/render-config.ts';
import type { SystemOptions } from '../compose.ts';
import { createLog } from '../platform/log/create-log.ts';
import { loadEffective, type Surroundings } from './load-effective.ts';
import { findRunningServer } from './run-file.ts';
import { readVersion } from './version.ts';

/** How long a command waits for another one that holds the data folder. */
const HELD_FOLDER_WAIT_MS = 10_000;
const HELD_FOLDER_LOOK_MS = 200;

const clientFor = (baseUrl: string, token: string): Client =>
  createClient({ baseUrl, token, fetch, timeoutSignal: (ms) => AbortSignal.timeout(ms) });

const quiet = (): void => undefined;

/** Nobody else migrates a database that this process runs. */
const isOwnDatabase = ({ effective }: SystemOptions): boolean => effective.config.database.kind === 'embedded';

export const createEngine = (surroundings: Surroundings): Engine => {
  const version = readVersion();

  const systemOptions = async (
    options: CommonOptions,
    more: Pick<SystemOptions, 'role' | 'schema' | 'progress'>,
    logLevel?: 'warn',
  ): Promise<SystemOptions> => {
    const effective = await loadEffective(options, surroundings);
    const { log } = effective.config;
    // A command for people is quiet about what it does on the way, unless its configuration asks to hear it.
    const isChosen = effective.leaves.some(({ path, origin }) => path === 'log.level' && origin.kind !== 'default');
    const level = isChosen || logLevel === undefined ? log.level : logLevel;
    return { effective, environment: surroundings.env, version, log: createLog({ ...log, level }), ...more };
  };

  const connectToServer = async ({ dataDir }: CommonOptions): Promise<Connection | undefined> => {
    const running = await findRunningServer(dataDir);
    if (running === undefined) return undefined;
    return { client: clientFor(running.address, running.token), via: running.address, close: async () => undefined };
  };

  /** Serves to this process alone: a free port of the loopback interface and a token that nobody else is told. */
  const connectInProcess = async (
    options: CommonOptions,
    { workers }: { readonly workers: boolean },
  ): Promise<Connection> => {
    const overrides = new Map([...options.overrides, ['http.port', '0'], ['http.host', '127.0.0.1']]);
    const opened = await systemOptions(
      { ...options, overrides },
      { role: 'all', schema: 'require', progress: quiet },
      'warn',
    );
    const { serveSystem } = await import('./serve.ts');
    const served = await serveSystem(isOwnDatabase(opened) ? { ...opened, schema: 'migrate' } : opened);
    if (workers) {
      await served.system.start({ workers }).catch(async (error: unknown) => {
        await served.stop();
        throw error;
      });
    }
    return {
      client: clientFor(served.address, served.system.localToken),
      via: 'in-process',
      close: served.stop,
    };
  };

  const connect: Engine['connect'] = async (options, needs) => {
    const deadline = performance.now() + HELD_FOLDER_WAIT_MS;
    for (;;) {
      const running = await connectToServer(options);
      if (running !== undefined) return running;
      try {
        return await connectInProcess(options, needs);
      } catch (error) {
        if (!hasCode(error, 'data_folder_in_use') || performance.now() > deadline) throw error;
        await sleep(HELD_FOLDER_LOOK_MS);
      }
    }
  };

  const migrate = async (options: CommonOptions, dryRun: boolean): Promise<MigrationReport> => {
    const opened = await systemOptions(options, { role: 'migrate', schema: 'leave', progress: quiet }, 'warn');
    const { openSystem } = await import('../compose.ts');
    const system = await openSystem(opened);
    try {
      return await system.migrate(dryRun);
    } finally {
      await system.close();
    }
  };

  return {
    version,
    createMetrics: async () => (await import('../platform/metrics/create-metrics.ts')).createMetrics(),
    connect,
    migrate,
    up: async (options, role, progress) => {
      const opened = await systemOptions(options, { role, schema: 'require', progress });
      const mayMigrate = role === 'all' || isOwnDatabase(opened);
      const { startServer } = await import('./serve.ts');
      const { server } = await startServer(mayMigrate ? { ...opened, schema: 'migrate' } : opened);
      return server;
    },
    configuration: async (options) => {
      const effective = await loadEffective(options, surroundings);
      return {
        entries: printableConfig(effective).settings.map(({ path, value, origin }) => ({
          key: path,
          value,
          origin: describeOrigin(origin),
        })),
        text: renderConfig(effective, { json: false }),
      };
    },
    doctor: async (options) => {
      const { runDoctor } = await import('./doctor.ts');
      return runDoctor(options, surroundings, version);
    },
    demo: async (options, report, interrupted) => {
      const { runDemo } = await import('./demo.ts');
      return runDemo(
        await systemOptions(options, { role: 'all', schema: 'migrate', progress: report }, 'warn'),
        report,
        interrupted,
      );
    },
  };
};
