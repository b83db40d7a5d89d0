/** Builds the secrets that the configuration asks for. The AWS SDK is loaded only when a store needs it. */
import { isAbsolute, join } from 'node:path';
import type { Clock } from '../clock/Port.ts';
import type { Log } from '../log/Port.ts';
import { ChainSecretStore } from './adapters/chain.ts';
import { EnvironmentSecretStore } from './adapters/environment.ts';
import { FilesSecretStore, type SecretCrashPoint } from './adapters/files.ts';
import type { SecretsConfig, SecretStoreConfig } from './config.ts';
import type { Secrets, SecretStore } from './Port.ts';
import { SecretSource } from './secret-source.ts';

export interface SecretsDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute; relative folders in the settings are relative to it. */
  readonly dataFolder: string;
  /** Uniform in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
  readonly crashPoint?: SecretCrashPoint;
}

const createStore = async (config: SecretStoreConfig, dependencies: SecretsDependencies): Promise<SecretStore> => {
  const { clock, dataFolder, crashPoint, random = Math.random } = dependencies;
  switch (config.kind) {
    case 'environment':
      return new EnvironmentSecretStore(dependencies.environment);
    case 'files': {
      const folder = config.folder ?? 'secrets';
      return new FilesSecretStore({
        folder: isAbsolute(folder) ? folder : join(dataFolder, folder),
        readableByOthers: config.readableByOthers,
        generateMissing: config.generateMissing,
        ...(crashPoint === undefined ? {} : { crashPoint }),
      });
    }
    case 'aws-secrets-manager': {
      const { SecretsManagerSecretStore } = await import('./adapters/aws-secrets-manager.ts');
      return new SecretsManagerSecretStore({ ...config, clock, random });
    }
    case 'aws-parameter-store': {
      const { ParameterStoreSecretStore } = await import('./adapters/aws-parameter-store.ts');
      return new ParameterStoreSecretStore({ ...config, clock, random });
    }
    case 'chain':
      return new ChainSecretStore(await Promise.all(config.stores.map((store) => createStore(store, dependencies))));
  }
};

/** Reads nothing yet: `checkAll` does, and `probe`. */
export const createSecrets = async (config: SecretsConfig, dependencies: SecretsDependencies): Promise<Secrets> =>
  new SecretSource({
    store: await createStore(config.store, dependencies),
    clock: dependencies.clock,
    log: dependencies.log,
    refreshSeconds: config.refreshSeconds,
    maxStaleSeconds: config.maxStaleSeconds,
    random: dependencies.random ?? Math.random,
  });
