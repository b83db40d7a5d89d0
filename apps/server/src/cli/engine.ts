/**
 * What the commands need from the rest of the program. `main.ts` hands in the composition; the CLI itself constructs nothing.
 */
import type { Client, Status } from '@casebound/contract';
import type { Metrics } from '../platform/metrics/Port.ts';

/** The options that every command takes. */
export interface CommonOptions {
  /** Absolute path of the data folder. */
  readonly dataDir: string;
  /** Absolute path of the configuration file, when one was named. */
  readonly configFile: string | undefined;
  /** `http.port` -> `4711`, from `--set` and from options such as `--port`. */
  readonly overrides: ReadonlyMap<string, string>;
}

export type Role = 'all' | 'api' | 'worker' | 'migrate';

/** A way to the use cases: over HTTP to the server of this data folder, or in this process. */
export interface Connection {
  readonly client: Client;
  /** Where the work is done: the address of the running server, or `in-process`. */
  readonly via: string;
  close(): Promise<void>;
}

export interface RunningServer {
  readonly address: string | undefined;
  readonly status: Status;
  /** The bootstrap administrator's token; only at the one start that created the account. */
  readonly bootstrapToken: string | undefined;
  readonly startedInMs: number;
  /** Resolves when the server has stopped, for whatever reason. */
  readonly stopped: Promise<void>;
  stop(reason: string): Promise<void>;
}

export interface Demonstration {
  readonly server: RunningServer;
  /** The exchange that was shown. */
  readonly jobId: string;
  /** What was shown, for `--json`. */
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface DoctorCheck {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'failed';
  readonly found: string;
  /** What to do; empty when all is well. */
  readonly remedy: string;
}

export interface MigrationReport {
  /** `set/file` of what was applied now. */
  readonly applied: readonly string[];
  /** What would be applied, in a dry run. */
  readonly pending: readonly string[];
  /** Number of the newest migration of this version. */
  readonly version: number;
  readonly casesMigrated: number;
}

export interface ConfigurationReport {
  /** Every effective value with its origin, secrets masked. */
  readonly entries: readonly { readonly key: string; readonly value: unknown; readonly origin: string }[];
  readonly text: string;
}

export interface Engine {
  readonly version: string;
  /** Figures for a command that serves without the composition. */
  createMetrics(): Promise<Metrics>;
  up(options: CommonOptions, role: Role, progress: (line: string) => void): Promise<RunningServer>;
  /** `workers`: where no server runs, this process does background work (imports, exchanges) while it is connected. */
  connect(options: CommonOptions, needs: { readonly workers: boolean }): Promise<Connection>;
  migrate(options: CommonOptions, dryRun: boolean): Promise<MigrationReport>;
  configuration(options: CommonOptions): Promise<ConfigurationReport>;
  doctor(options: CommonOptions): Promise<readonly DoctorCheck[]>;
  /** Runs the tour on a server of its own, a line of `report` for each thing done, and leaves the server up. */
  demo(options: CommonOptions, report: (line: string) => void, interrupted: AbortSignal): Promise<Demonstration>;
}
