/** What loading the configuration yields. */

/** Where an effective value comes from. `line` counts from 1. */
export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'flag'; readonly flag: string };

/** One leaf of the schema that is in force. `path` is dotted: `http.port`. */
export interface EffectiveLeaf {
  readonly path: string;
  /** The value after coercion and defaults; a `SecretSetting` where `secret`. */
  readonly value: unknown;
  readonly origin: Origin;
  readonly secret: boolean;
}

/** A value that was given but has no effect, because a higher layer chose another `kind`. */
export interface IgnoredValue {
  readonly path: string;
  readonly origin: Origin;
  readonly because: string;
}

export interface EffectiveConfig<C> {
  /** Frozen at every depth. */
  readonly config: C;
  /** The data folder, absolute. */
  readonly dataFolder: string;
  readonly dataFolderOrigin: Origin;
  /** The file that was read, absolute; undefined when there was none. */
  readonly file: string | undefined;
  /** In the order of the schema. */
  readonly leaves: readonly EffectiveLeaf[];
  readonly ignored: readonly IgnoredValue[];
}

/** A flag that sets a leaf: `{ flag: '--port', value: '8080' }`, keyed by the leaf's path `http.port`. */
export interface FlagValue {
  readonly flag: string;
  /** Text is read as from the environment; anything else is taken as it is. */
  readonly value: unknown;
}

/** Everything that loading depends on; nothing else is looked at. */
export interface ConfigSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The folder that relative paths start from. */
  readonly workingFolder: string;
  /** `--data`. */
  readonly dataFolder?: string;
  /** `--config`. */
  readonly file?: string;
  readonly flags?: Readonly<Record<string, FlagValue>>;
}
