/** Secrets in environment variables: `db-url` is `CASEBOUND_SECRET_DB_URL`. Set to nothing counts as not set. */
import type { SecretStore } from '../Port.ts';
import { SecretValue } from '../secret-value.ts';

export const secretVariable = (name: string): string =>
  `CASEBOUND_SECRET_${name.replaceAll(/[^A-Za-z0-9]/g, '_').toUpperCase()}`;

export class EnvironmentSecretStore implements SecretStore {
  readonly description = 'the environment';
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  locate(name: string): string {
    return `the environment variable ${secretVariable(name)}`;
  }

  async read(name: string): Promise<SecretValue | undefined> {
    const text = this.#environment[secretVariable(name)];
    return text === undefined || text === '' ? undefined : new SecretValue(text);
  }

  async probe(): Promise<void> {}

  async close(): Promise<void> {}
}
