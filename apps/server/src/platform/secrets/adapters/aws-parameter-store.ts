/** Secrets in AWS Systems Manager Parameter Store. Only `SecureString` parameters: any other type lies there unencrypted. */
import { GetParameterCommand, SSMClient, type SSMClientConfig } from '@aws-sdk/client-ssm';
import { CaseboundError } from '@casebound/contract';
import type { SecretStore } from '../Port.ts';
import { SecretValue } from '../secret-value.ts';
import { callAws, type AwsCallPolicy } from './call-aws.ts';

interface ParameterStoreOptions extends AwsCallPolicy {
  /** Begins and ends with a slash. */
  readonly path: string;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly connectTimeoutMs: number;
  /** Default: the SDK's chain of environment, profile and role. */
  readonly credentials?: SSMClientConfig['credentials'];
}

export class ParameterStoreSecretStore implements SecretStore {
  readonly description = 'AWS Parameter Store';
  readonly #options: ParameterStoreOptions;
  readonly #client: SSMClient;

  constructor(options: ParameterStoreOptions) {
    this.#options = options;
    const { region, endpoint, credentials } = options;
    this.#client = new SSMClient({
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      maxAttempts: 1,
      requestHandler: { connectionTimeout: options.connectTimeoutMs, requestTimeout: options.requestTimeoutMs },
    });
  }

  locate(name: string): string {
    return `the parameter ${this.#options.path}${name} in ${this.description}`;
  }

  read(name: string): Promise<SecretValue | undefined> {
    return this.#read(name, false);
  }

  async #read(name: string, onlyProbe: boolean): Promise<SecretValue | undefined> {
    const answer = await callAws(this.#options, {
      service: this.description,
      action: 'ssm:GetParameter',
      target: `the parameter ${this.#options.path}${name}`,
      onlyProbe,
      attempt: (abortSignal) =>
        this.#client.send(new GetParameterCommand({ Name: `${this.#options.path}${name}`, WithDecryption: true }), {
          abortSignal,
        }),
    });
    if (answer === undefined) return undefined;
    if (answer.Parameter?.Value === undefined) {
      throw new CaseboundError(
        'secret_store_unavailable',
        `${this.description} gave an answer without a value for ${name}.`,
      );
    }
    if (answer.Parameter.Type !== 'SecureString') {
      throw new CaseboundError(
        'secret_invalid',
        `${this.locate(name)} is not of the type SecureString; store it as one.`,
      );
    }
    return new SecretValue(answer.Parameter.Value);
  }

  /** Asks for a name that need not exist: the answer proves the address and the credentials, whatever names they allow. */
  async probe(): Promise<void> {
    await this.#read('casebound-probe', true);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }
}
