/** The configuration as `casebound doctor` looks at it: what would stop a start, and what is merely unwise. */
import { stat } from 'node:fs/promises';
import type { z } from 'zod';
import { CaseboundError } from '@casebound/contract';
import type { Secrets } from '../platform/secrets/Port.ts';
import type { ConfigSources, EffectiveConfig } from './effective-config.ts';
import { loadConfig } from './load-config.ts';
import { secretRequirements } from './secret-requirements.ts';

export interface ConfigCheck {
  readonly name: 'configuration' | 'configuration file' | 'secret store' | 'secrets';
  readonly state: 'ok' | 'warning' | 'failed';
  /** One sentence that says what is so. Holds no secret. */
  readonly found: string;
  /** What to do; empty when all is well. */
  readonly remedy: string;
}

type Opener<C> = (effective: EffectiveConfig<C>) => Promise<Secrets>;

/**
 * Loads the configuration, then opens the store of secrets with `openSecrets`, probes it and reads every secret that the
 * configuration refers to. Never throws for what it finds; closes what it opened.
 */
export const checkConfig = async <S extends z.ZodType>(
  schema: S,
  sources: ConfigSources,
  openSecrets: Opener<z.output<S>>,
): Promise<readonly ConfigCheck[]> => {
  let effective: EffectiveConfig<z.output<S>>;
  try {
    effective = await loadConfig(schema, sources);
  } catch (error) {
    return [failed('configuration', error, 'Correct what is named; docs/configuration.md lists every key.')];
  }
  const checks: ConfigCheck[] = [
    { name: 'configuration', state: 'ok', found: `${effective.leaves.length} settings are valid.`, remedy: '' },
    ...(await checkFile(effective)),
  ];
  let secrets: Secrets | undefined;
  try {
    secrets = await openSecrets(effective);
    await secrets.probe();
    checks.push({ name: 'secret store', state: 'ok', found: 'The store of secrets answers.', remedy: '' });
    checks.push(await checkSecrets(secrets, effective));
  } catch (error) {
    checks.push(failed('secret store', error, 'See docs/secrets.md for what each store needs.'));
  } finally {
    await secrets?.close();
  }
  return checks;
};

const failed = (name: ConfigCheck['name'], error: unknown, remedy: string): ConfigCheck => {
  if (!(error instanceof CaseboundError)) throw error;
  return { name, state: 'failed', found: error.message, remedy };
};

const checkSecrets = async (secrets: Secrets, effective: EffectiveConfig<unknown>): Promise<ConfigCheck> => {
  const requirements = secretRequirements(effective.config).filter(({ setting }) => setting.reference !== undefined);
  try {
    await secrets.checkAll(requirements);
    return {
      name: 'secrets',
      state: 'ok',
      found: `${requirements.length} secrets are there and have the right shape.`,
      remedy: '',
    };
  } catch (error) {
    return failed('secrets', error, 'Provide or correct the secrets that are named.');
  }
};

/** A secret written into a file is a secret in every backup and every screen share of that file. */
const checkFile = async ({ file, leaves }: EffectiveConfig<unknown>): Promise<readonly ConfigCheck[]> => {
  if (file === undefined) return [];
  const literals = leaves.filter(
    ({ value, origin }) =>
      origin.kind === 'file' && secretRequirements(value).some(({ setting }) => setting.literal !== undefined),
  );
  if (literals.length === 0)
    return [{ name: 'configuration file', state: 'ok', found: `${file} holds no secret.`, remedy: '' }];
  const keys = literals.map(({ path }) => path).join(', ');
  const readable = ((await stat(file)).mode & 0o044) !== 0;
  return [
    {
      name: 'configuration file',
      state: 'warning',
      found: `${file} holds secrets (${keys})${readable ? ', and other users may read it' : ''}.`,
      remedy: `Write references such as secret://name instead${readable ? `, or at least "chmod 600 ${file}"` : ''}.`,
    },
  ];
};
