/**
 * Checks what usually goes wrong on a machine, and says what to do.
 *
 * A running server is asked for its own findings; without one, the system is opened for the time of the checks as a start
 * would open it: an embedded database is made, migrated and put right after a crash. Your own database is left as it is. A
 * check that cannot be made because an earlier one failed is left out.
 */
import { access, constants, mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CaseboundError, errorTable, Problem, Readiness } from '@casebound/contract';
import type { CommonOptions, DoctorCheck } from '../cli/engine.ts';
import { checkConfig } from '../config/check-config.ts';
import type { EffectiveConfig } from '../config/effective-config.ts';
import { configSchema, type Config } from '../config/schema.ts';
import { openSystem, type System } from '../compose.ts';
import { createClock } from '../platform/clock/create-clock.ts';
import { createLog } from '../platform/log/create-log.ts';
import { createSecrets } from '../platform/secrets/create-secrets.ts';
import { configSources, loadEffective, type Surroundings } from './load-effective.ts';
import { refuseTakenPort } from './refuse-taken-port.ts';
import { findRunningServer } from './run-file.ts';

const MINIMUM_NODE_MAJOR = 24;
const GIBIBYTE = 1024 ** 3;
const SCARCE_BYTES = 5 * GIBIBYTE;
const TOO_FEW_BYTES = GIBIBYTE / 2;
/** Leases and signatures compare times of two machines; beyond this they begin to misjudge. */
const CLOCK_SKEW_WARNING_MS = 2_000;
const READY_WITHIN_MS = 10_000;

const ok = (name: string, found: string): DoctorCheck => ({ name, state: 'ok', found, remedy: '' });
const failure = (name: string, error: unknown): DoctorCheck => {
  if (!(error instanceof CaseboundError)) throw error;
  return { name, state: 'failed', found: error.message, remedy: errorTable[error.code].remedy };
};

const checkNode = (): DoctorCheck => {
  const [major] = process.versions.node.split('.').map(Number);
  return major !== undefined && major >= MINIMUM_NODE_MAJOR
    ? ok('node', `Node ${process.versions.node} on ${process.platform} ${process.arch}.`)
    : {
        name: 'node',
        state: 'failed',
        found: `Node ${process.versions.node} is too old.`,
        remedy: `Start Casebound with \`npx casebound\`, which brings Node ${MINIMUM_NODE_MAJOR}.`,
      };
};

/** The folder itself, or the nearest one above it that exists. */
const existingFolder = async (folder: string): Promise<string> => {
  try {
    await stat(folder);
    return folder;
  } catch {
    return folder === path.dirname(folder) ? folder : existingFolder(path.dirname(folder));
  }
};

const checkDisk = async (dataDir: string): Promise<DoctorCheck> => {
  const folder = await existingFolder(dataDir);
  try {
    await access(folder, constants.W_OK);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const found = `${(free / GIBIBYTE).toFixed(1)} GiB free at ${folder}.`;
    if (free >= SCARCE_BYTES) return ok('disk', found);
    return {
      name: 'disk',
      state: free < TOO_FEW_BYTES ? 'failed' : 'warning',
      found,
      remedy: 'Free some space, or choose another folder with `--data`.',
    };
  } catch (error) {
    return {
      name: 'disk',
      state: 'failed',
      found: `${folder} cannot be written to (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'}).`,
      remedy: 'Give this account the right to write there, or choose another folder with `--data`.',
    };
  }
};

const checkPort = async (config: Config['http'], runningAt: string | undefined): Promise<DoctorCheck> => {
  if (runningAt !== undefined) return ok('port', `The server of this data folder listens at ${runningAt}.`);
  try {
    await refuseTakenPort(config);
    return ok(
      'port',
      config.port === 0 ? 'Any free port will be taken.' : `Port ${config.port} of ${config.host} is free.`,
    );
  } catch (error) {
    return failure('port', error);
  }
};

const checkClock = async (system: System): Promise<DoctorCheck> => {
  const before = system.clock.now().getTime();
  const { rows } = await system.databases.control.transaction({ readOnly: true }, async (tx) =>
    tx.query<{ now: Date }>('SELECT clock_timestamp() AS now'),
  );
  const after = system.clock.now().getTime();
  const database = rows[0]?.now.getTime() ?? Number.NaN;
  const skewMs = Math.max(before - database, database - after, 0);
  const found = `The clocks of this machine and of the database differ by ${skewMs <= 1 ? 'nothing measurable' : `${Math.round(skewMs)} ms`}.`;
  return skewMs <= CLOCK_SKEW_WARNING_MS
    ? ok('clock', found)
    : { name: 'clock', state: 'warning', found, remedy: 'Set both clocks by NTP.' };
};

/** Opens everything, as a start would, and looks at it. */
const checkByOpening = async (
  effective: EffectiveConfig<Config>,
  { env }: Surroundings,
  version: string,
): Promise<DoctorCheck[]> => {
  let system: System;
  try {
    system = await openSystem({
      effective,
      environment: env,
      role: 'all',
      schema: effective.config.database.kind === 'embedded' ? 'migrate' : 'leave',
      version,
      log: createLog({ level: 'silent' }),
      progress: () => undefined,
    });
  } catch (error) {
    return [failure('database', error)];
  }
  try {
    const pending = await system.databases.pending();
    const found = `PostgreSQL ${await system.databases.serverVersion()} (${effective.config.database.kind})`;
    const database: DoctorCheck =
      pending.length === 0
        ? ok('database', `${found} answers and is up to date.`)
        : {
            name: 'database',
            state: 'warning',
            found: `${found} lacks ${pending.length} migrations.`,
            remedy: 'Run `casebound migrate`.',
          };
    const { checks } = await system.readiness.report();
    const objects = checks
      .filter(({ name }) => name === 'objects')
      .map(({ name, ok: good, detail }): DoctorCheck =>
        good ? ok(name, detail) : { name, state: 'failed', found: detail, remedy: 'See docs/object-store.md.' },
      );
    return [database, ...objects, await checkClock(system)];
  } catch (error) {
    return [failure('database', error)];
  } finally {
    await system.close();
  }
};

/** What the running server says of itself. */
const checkByAsking = async (address: string): Promise<DoctorCheck[]> => {
  let answer: Response;
  let report: unknown;
  try {
    answer = await fetch(new URL('/health/ready', address), { signal: AbortSignal.timeout(READY_WITHIN_MS) });
    report = await answer.json();
  } catch {
    return [
      {
        name: 'server',
        state: 'failed',
        found: `The server at ${address} did not say within ${READY_WITHIN_MS / 1000} s whether it is ready.`,
        remedy: 'Look at its log; if it stays silent, end it and start it again.',
      },
    ];
  }
  if (answer.ok) {
    return Readiness.parse(report).checks.map(({ name, detail }) => ok(name, detail));
  }
  const problem = Problem.parse(report);
  return (problem.errors ?? [{ path: 'server', message: problem.detail }]).map(({ path: name, message }) => ({
    name,
    state: 'failed',
    found: message,
    remedy: 'Look at the log of the server.',
  }));
};

const checkTemporaryFolder = async (): Promise<DoctorCheck> => {
  try {
    const folder = await mkdtemp(path.join(tmpdir(), 'casebound-doctor-'));
    await rm(folder, { recursive: true });
    return ok('temporary folder', `${tmpdir()} can be written to.`);
  } catch {
    return {
      name: 'temporary folder',
      state: 'failed',
      found: `${tmpdir()} cannot be written to.`,
      remedy: 'Make it writable, or set TMPDIR to a folder that is.',
    };
  }
};

/** Runs all checks. Never throws for what it finds. */
export const runDoctor = async (
  options: CommonOptions,
  surroundings: Surroundings,
  version: string,
): Promise<readonly DoctorCheck[]> => {
  const basics = [checkNode(), await checkDisk(options.dataDir), await checkTemporaryFolder()];
  const configuration = await checkConfig(configSchema, configSources(options, surroundings), async (effective) =>
    createSecrets(effective.config.secrets, {
      clock: createClock(),
      log: createLog({ level: 'silent' }),
      environment: surroundings.env,
      dataFolder: effective.dataFolder,
    }),
  );
  const soFar = [...basics, ...configuration];
  if (soFar.some(({ state }) => state === 'failed')) return soFar;
  const effective = await loadEffective(options, surroundings);
  const running = await findRunningServer(options.dataDir);
  const port = await checkPort(effective.config.http, running?.address);
  const rest =
    running === undefined
      ? await checkByOpening(effective, surroundings, version)
      : await checkByAsking(running.address);
  return [...soFar, port, ...rest];
};
