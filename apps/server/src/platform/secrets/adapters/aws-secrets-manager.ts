/** Secrets in AWS Secrets Manager: the version labelled AWSCURRENT, text or UTF-8 bytes. */
import {
  GetSecretValueCommand,
  SecretsManagerClient,
  type SecretsManagerClientConfig,
} from '@aws-sdk/client-secrets-manager';
import { CaseboundError } from '@casebound/contract';
import type { SecretStore } from '../Port.ts';
import { SecretValue } from '../secret-value.ts';
import { callAws, type AwsCallPolicy } from './call-aws.ts';

interface SecretsManagerOptions extends AwsCallPolicy {
  readonly prefix: string;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly connectTimeoutMs: number;
  /** Default: the SDK's chain of environment, profile and role. */
  readonly credentials?: SecretsManagerClientConfig['credentials'];
}

export class SecretsManagerSecretStore implements SecretStore {
  readonly description = 'AWS Secrets Manager';
  readonly #options: SecretsManagerOptions;
  readonly #client: SecretsManagerClient;

  constructor(options: SecretsManagerOptions) {
    this.#options = options;
    const { region, endpoint, credentials } = options;
    this.#client = new SecretsManagerClient({
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      maxAttempts: 1,
      requestHandler: { connectionTimeout: options.connectTimeoutMs, requestTimeout: options.requestTimeoutMs },
    });
  }

  locate(name: string): string {
    return `the secret ${this.#options.prefix}${name} in ${this.description}`;
  }

  read(name: string): Promise<SecretValue | undefined> {
    return this.#read(name, false);
  }

  async #read(name: string, onlyProbe: boolean): Promise<SecretValue | undefined> {
    const answer = await callAws(this.#options, {
      service: this.description,
      action: 'secretsmanager:GetSecretValue',
      target: `the secret ${this.#options.prefix}${name}`,
      onlyProbe,
      attempt: (abortSignal) =>
        this.#client.send(new GetSecretValueCommand({ SecretId: `${this.#options.prefix}${name}` }), { abortSignal }),
    });
    if (answer === undefined) return undefined;
    if (typeof answer.SecretString === 'string') return new SecretValue(answer.SecretString);
    if (answer.SecretBinary === undefined) {
      throw new CaseboundError(
        'secret_store_unavailable',
        `${this.description} gave an answer without a value for ${name}.`,
      );
    }
    try {
      return new SecretValue(new TextDecoder('utf-8', { fatal: true }).decode(answer.SecretBinary));
    } catch {
      throw new CaseboundError('secret_invalid', `${this.locate(name)} is binary and not UTF-8 text.`);
    }
  }

  /** Asks for a name that need not exist: the answer proves the address and the credentials, whatever names they allow. */
  async probe(): Promise<void> {
    await this.#read('casebound-probe', true);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }
}
