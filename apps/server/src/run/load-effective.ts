/** The configuration of a command: its options, then the environment, then the file, then defaults. */
import type { CommonOptions } from '../cli/engine.ts';
import type { ConfigSources, EffectiveConfig, FlagValue } from '../config/effective-config.ts';
import { loadConfig } from '../config/load-config.ts';
import { configSchema, type Config } from '../config/schema.ts';

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** `--set http.port=1` and what commands set by options of their own. */
const flagsOf = (overrides: CommonOptions['overrides']): Record<string, FlagValue> =>
  Object.fromEntries([...overrides].map(([key, value]) => [key, { flag: `--set ${key}`, value }]));

export const configSources = (options: CommonOptions, { env, cwd }: Surroundings): ConfigSources => ({
  environment: env,
  workingFolder: cwd,
  dataFolder: options.dataDir,
  flags: flagsOf(options.overrides),
  ...(options.configFile === undefined ? {} : { file: options.configFile }),
});

/** Throws `config_invalid` with everything that is wrong. */
export const loadEffective = async (
  options: CommonOptions,
  surroundings: Surroundings,
): Promise<EffectiveConfig<Config>> => loadConfig(configSchema, configSources(options, surroundings));
