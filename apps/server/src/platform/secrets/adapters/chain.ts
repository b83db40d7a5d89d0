/**
 * Several stores in one: the first that has a secret gives it.
 *
 * - A store that fails is not skipped: the next one might hold an old value of the same name.
 */
import type { SecretStore } from '../Port.ts';
import type { SecretValue } from '../secret-value.ts';

export class ChainSecretStore implements SecretStore {
  readonly description: string;
  readonly create?: (name: string, value: SecretValue) => Promise<SecretValue>;
  readonly #stores: readonly SecretStore[];

  constructor(stores: readonly SecretStore[]) {
    this.#stores = stores;
    this.description = stores.map(({ description }) => description).join(', then ');
    const creator = stores.find((store) => store.create !== undefined);
    if (creator?.create !== undefined) this.create = creator.create;
  }

  locate(name: string): string {
    return this.#stores.map((store) => store.locate(name)).join(' or ');
  }

  async read(name: string): Promise<SecretValue | undefined> {
    for (const store of this.#stores) {
      const value = await store.read(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  async probe(): Promise<void> {
    for (const store of this.#stores) await store.probe();
  }

  async close(): Promise<void> {
    for (const store of this.#stores) await store.close();
  }
}
