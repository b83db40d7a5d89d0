/** The effective configuration as `casebound config print` shows it: every value with its origin, secrets masked. */
import type { EffectiveConfig, Origin } from './effective-config.ts';
import { describeOrigin } from './located-value.ts';
import { maskCredentials, printableValue } from './mask-value.ts';

export interface PrintedSetting {
  readonly path: string;
  /** Plain JSON; null when the setting is not set; `[secret]` or `secret://name` for secrets. */
  readonly value: unknown;
  readonly origin: Origin;
  readonly secret: boolean;
}

export interface PrintedConfig {
  readonly dataFolder: { readonly value: string; readonly origin: Origin };
  readonly file: string | null;
  readonly settings: readonly PrintedSetting[];
  readonly ignored: readonly { readonly path: string; readonly origin: Origin; readonly because: string }[];
}

/** The configuration as a document for `--json`. Holds no secret. */
export const printableConfig = (effective: EffectiveConfig<unknown>): PrintedConfig => ({
  dataFolder: { value: effective.dataFolder, origin: effective.dataFolderOrigin },
  file: effective.file ?? null,
  settings: effective.leaves.map(({ path, value, origin, secret }) => ({
    path,
    value: printableValue(value, secret),
    origin,
    secret,
  })),
  ignored: effective.ignored,
});

const shown = (value: unknown): string =>
  value === null ? '(not set)' : typeof value === 'string' && value !== '' ? value : JSON.stringify(value);

/** One setting a line, `http.port = 8080   # default`. With `json`, one JSON document. */
export const renderConfig = (effective: EffectiveConfig<unknown>, options: { readonly json: boolean }): string => {
  const printed = printableConfig(effective);
  if (options.json) return JSON.stringify(printed, null, 2);
  const rows = printed.settings.map(({ path, value, origin }): readonly [string, string] => [
    `${path} = ${shown(value)}`,
    describeOrigin(origin),
  ]);
  // A very long value does not push all origins off the screen.
  const width = Math.min(64, Math.max(0, ...rows.map(([left]) => left.length)));
  return [
    `# data folder: ${printed.dataFolder.value} (${describeOrigin(printed.dataFolder.origin)})`,
    `# file: ${printed.file ?? 'none'}`,
    ...rows.map(([left, origin]) => `${left.padEnd(width)}  # ${origin}`),
    ...printed.ignored.map(
      ({ path, origin, because }) => `# ${path} (${describeOrigin(origin)}) has no effect: ${maskCredentials(because)}`,
    ),
  ].join('\n');
};
