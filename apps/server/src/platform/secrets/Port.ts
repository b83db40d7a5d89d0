/** Secrets as the rest of the server sees them (`Secrets`), and as a place that keeps them looks from here (`SecretStore`). */
import type { SecretSetting } from './secret-setting.ts';
import type { SecretValue } from './secret-value.ts';

export { SecretSetting, secretString } from './secret-setting.ts';
export { describeShape, type SecretShape } from './secret-shape.ts';
export { maskedSecret, SecretValue } from './secret-value.ts';

/** A place that keeps secrets under names. Knows no shapes, no caching, no JSON members. */
export interface SecretStore {
  /** For sentences: "the environment", "the folder /run/secrets". */
  readonly description: string;
  /** What the operator calls the secret there: `CASEBOUND_SECRET_DB_URL`, a file's path, an AWS name. */
  locate(name: string): string;
  /**
   * The secret's text as it is now, or undefined when there is none under this name. Throws `secret_store_unavailable`
   * (may work later), `secret_store_denied` (will not work before someone changes permissions), `secret_invalid` (there is
   * something, but it can be no secret).
   */
  read(name: string): Promise<SecretValue | undefined>;
  /** Keeps `value` if there is none yet and returns what is kept then: of two callers at once, both get the winner's. */
  create?(name: string, value: SecretValue): Promise<SecretValue>;
  /** Proves that the store can be reached and lets this process in. Throws as `read` does. */
  probe(): Promise<void>;
  close(): Promise<void>;
}

/** A setting and where it is written, for messages: `database.url`. */
export interface SecretRequirement {
  readonly setting: SecretSetting;
  readonly usedBy: string;
}

export interface Secrets {
  /**
   * The current value, of the shape that the setting demands. Served from memory while fresh; ask again for each use, and
   * rotation needs no restart. Throws `secret_missing`, `secret_invalid`, `secret_store_unavailable`, `secret_store_denied`.
   */
  get(setting: SecretSetting): Promise<SecretValue>;
  /** Reads all of them; throws one error that names each that is missing, of the wrong shape or out of reach. */
  checkAll(requirements: readonly SecretRequirement[]): Promise<void>;
  /** Calls `listener` after the value has changed to another of the right shape. Returns the unsubscription. */
  onRotated(setting: SecretSetting, listener: (value: SecretValue) => void | Promise<void>): () => void;
  /** Reads anew every secret that was asked for, at once: after a rotation was announced. Failures are logged, not thrown. */
  refresh(): Promise<void>;
  /** Refreshes at the configured interval until the signal aborts; resolves then. */
  watch(signal: AbortSignal): Promise<void>;
  probe(): Promise<void>;
  close(): Promise<void>;
}
