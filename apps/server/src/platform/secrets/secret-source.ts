/**
 * Secrets served from memory and kept up to date.
 *
 * 1. A value is handed out only after it was checked against the shape that its setting demands.
 * 2. At any time at most one read of a name is under way, however many ask.
 * 3. A value is read again after `refreshSeconds` at the latest; up to a fifth earlier, at random, so that processes that
 *    started together do not ask together.
 * 4. While the store fails or has lost the secret, the last value is served for `maxStaleSeconds` more, then the failure is.
 *    A new value of the wrong shape never replaces the last good one.
 * 5. No value, nor a part of one, is in an error or a log; names are.
 */
import { CaseboundError, type ErrorCode } from '@casebound/contract';
import type { Clock } from '../clock/Port.ts';
import type { Log } from '../log/Port.ts';
import type { SecretRequirement, Secrets, SecretStore } from './Port.ts';
import { formatSecretReference, type SecretReference, type SecretSetting } from './secret-setting.ts';
import { describeShape, generateSecret, hasShape, type SecretShape } from './secret-shape.ts';
import { SecretValue } from './secret-value.ts';

interface SecretSourceOptions {
  readonly store: SecretStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly refreshSeconds: number;
  readonly maxStaleSeconds: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

type RotationListener = (value: SecretValue) => void | Promise<void>;

interface Entry {
  readonly reference: SecretReference;
  readonly shape: SecretShape;
  readonly listeners: Set<RotationListener>;
  value: SecretValue | undefined;
  /** Clock readings in ms. */
  readAt: number;
  freshUntil: number;
  failure: CaseboundError | undefined;
  refreshing: Promise<SecretValue> | undefined;
}

/** After a failure, the store is left alone for so long: a hot path must not become a storm of reads. */
const pauseAfterFailureMs = 1_000;
const earliestRefresh = 0.8;

export class SecretSource implements Secrets {
  readonly #options: SecretSourceOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #reads = new Map<string, Promise<SecretValue | undefined>>();

  constructor(options: SecretSourceOptions) {
    this.#options = options;
  }

  async get(setting: SecretSetting): Promise<SecretValue> {
    const { literal, reference, shape } = setting;
    if (reference === undefined) {
      if (literal !== undefined && hasShape(literal, shape)) return literal;
      throw new CaseboundError('secret_invalid', `A secret in the configuration must be ${describeShape(shape)}.`);
    }
    const entry = this.#entryOf(reference, shape);
    if (this.#options.clock.monotonicMs() < entry.freshUntil) {
      if (entry.value !== undefined) return entry.value;
      if (entry.failure !== undefined) throw entry.failure;
    }
    return this.#refreshEntry(entry);
  }

  async checkAll(requirements: readonly SecretRequirement[]): Promise<void> {
    const results = await Promise.allSettled(requirements.map(({ setting }) => this.get(setting)));
    const failures = results.flatMap((result, index) => {
      const requirement = requirements[index];
      return result.status === 'fulfilled' || requirement === undefined
        ? []
        : [{ usedBy: requirement.usedBy, error: asCaseboundError(result.reason) }];
    });
    const [first] = failures;
    if (first === undefined) return;
    const sentences = failures.map(({ usedBy, error }) => `${usedBy}: ${error.message}`);
    const count = failures.length === 1 ? '' : `${failures.length} secrets cannot be used. `;
    throw new CaseboundError(graverOf(failures.map(({ error }) => error.code)), `${count}${sentences.join(' ')}`, {
      errors: failures.map(({ usedBy, error }) => ({ path: `$.${usedBy}`, message: error.message })),
    });
  }

  onRotated(setting: SecretSetting, listener: RotationListener): () => void {
    if (setting.reference === undefined) return () => undefined;
    const { listeners } = this.#entryOf(setting.reference, setting.shape);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  async refresh(): Promise<void> {
    await Promise.allSettled([...this.#entries.values()].map((entry) => this.#refreshEntry(entry)));
  }

  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#options.clock.sleep(this.#interval(), signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      await this.refresh();
    }
  }

  probe(): Promise<void> {
    return this.#options.store.probe();
  }

  close(): Promise<void> {
    return this.#options.store.close();
  }

  #interval(): number {
    const { random, refreshSeconds } = this.#options;
    return refreshSeconds * 1_000 * (earliestRefresh + (1 - earliestRefresh) * random());
  }

  #entryOf(reference: SecretReference, shape: SecretShape): Entry {
    const key = `${formatSecretReference(reference)} ${JSON.stringify(shape)}`;
    const found = this.#entries.get(key);
    if (found !== undefined) return found;
    const entry: Entry = {
      reference,
      shape,
      listeners: new Set(),
      value: undefined,
      readAt: Number.NEGATIVE_INFINITY,
      freshUntil: Number.NEGATIVE_INFINITY,
      failure: undefined,
      refreshing: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #refreshEntry(entry: Entry): Promise<SecretValue> {
    entry.refreshing ??= this.#readEntry(entry).finally(() => {
      entry.refreshing = undefined;
    });
    return entry.refreshing;
  }

  async #readEntry(entry: Entry): Promise<SecretValue> {
    let value: SecretValue;
    try {
      value = this.#extract(entry, await this.#readOrCreate(entry));
    } catch (error) {
      return this.#survive(entry, asCaseboundError(error));
    }
    const previous = entry.value;
    const now = this.#options.clock.monotonicMs();
    entry.value = value;
    entry.readAt = now;
    entry.freshUntil = now + this.#interval();
    entry.failure = undefined;
    if (previous !== undefined && !previous.equals(value)) await this.#announce(entry, value);
    return value;
  }

  async #readOrCreate({ reference, shape }: Entry): Promise<SecretValue | undefined> {
    const { store } = this.#options;
    const value = await this.#readOnce(reference.name);
    if (value !== undefined || store.create === undefined || reference.field !== undefined) return value;
    const generated = generateSecret(shape);
    return generated === undefined ? undefined : store.create(reference.name, generated);
  }

  #readOnce(name: string): Promise<SecretValue | undefined> {
    const underWay = this.#reads.get(name);
    if (underWay !== undefined) return underWay;
    const read = this.#options.store.read(name).finally(() => this.#reads.delete(name));
    this.#reads.set(name, read);
    return read;
  }

  #extract({ reference, shape }: Entry, whole: SecretValue | undefined): SecretValue {
    const place = this.#options.store.locate(reference.name);
    const named = formatSecretReference(reference);
    const expected = describeShape(shape);
    if (whole === undefined) {
      throw new CaseboundError('secret_missing', `${named} is missing: provide ${expected} as ${place}.`);
    }
    const value = reference.field === undefined ? whole : memberOf(whole, reference.field);
    if (value === undefined) {
      throw new CaseboundError(
        'secret_invalid',
        `${named} must be a JSON object with a text "${reference.field ?? ''}" in it; correct ${place}.`,
      );
    }
    if (!hasShape(value, shape)) {
      throw new CaseboundError('secret_invalid', `${named} must be ${expected}; correct ${place}.`);
    }
    return value;
  }

  #survive(entry: Entry, error: CaseboundError): SecretValue {
    const { clock, log, refreshSeconds, maxStaleSeconds } = this.#options;
    const now = clock.monotonicMs();
    const named = formatSecretReference(entry.reference);
    entry.freshUntil = now + pauseAfterFailureMs;
    const usable = error.code === 'secret_invalid' || now - entry.readAt <= (refreshSeconds + maxStaleSeconds) * 1_000;
    if (entry.value !== undefined && usable) {
      log.warn(`The last good value of ${named} stays in use: it could not be read anew.`, {
        component: 'secrets',
        errorCode: error.code,
      });
      return entry.value;
    }
    if (entry.value !== undefined) {
      log.error(`The last value of ${named} is too old to be used any longer.`, {
        component: 'secrets',
        errorCode: error.code,
      });
    }
    entry.value = undefined;
    entry.failure = error;
    throw error;
  }

  async #announce({ reference, listeners }: Entry, value: SecretValue): Promise<void> {
    const { log } = this.#options;
    log.info(`${formatSecretReference(reference)} was rotated.`, { component: 'secrets', count: listeners.size });
    for (const listener of listeners) {
      try {
        await listener(value);
      } catch (error) {
        log.error(
          `A user of ${formatSecretReference(reference)} failed to take the rotated value.`,
          { component: 'secrets' },
          error,
        );
      }
    }
  }
}

/** Anything else than our own error says nothing but that it happened: its text may quote what was read. */
const asCaseboundError = (error: unknown): CaseboundError =>
  error instanceof CaseboundError
    ? error
    : new CaseboundError('secret_store_unavailable', 'A secret could not be read for a reason that is not known.');

const memberOf = (whole: SecretValue, field: string): SecretValue | undefined => {
  let document: unknown;
  try {
    document = JSON.parse(whole.reveal());
  } catch {
    return undefined;
  }
  if (typeof document !== 'object' || document === null || !Object.hasOwn(document, field)) return undefined;
  const member: unknown = Reflect.get(document, field);
  return typeof member === 'string' || typeof member === 'number' ? new SecretValue(String(member)) : undefined;
};

/** The code of several failures together: that of the one which waiting does not mend. */
const graverOf = (codes: readonly ErrorCode[]): ErrorCode => {
  const order: readonly ErrorCode[] = [
    'secret_missing',
    'secret_invalid',
    'secret_store_denied',
    'secret_store_unavailable',
  ];
  return order.find((code) => codes.includes(code)) ?? 'secret_store_unavailable';
};
