/**
 * Loads the configuration: the schema's defaults, then the file, then the environment, then flags.
 *
 * - Looks at nothing but its arguments and the file; the result is frozen at every depth.
 * - Reports everything that is wrong at once, as one `config_invalid`; no secret and no line of the file is in it.
 */
import { access } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { z } from 'zod';
import { CaseboundError } from '@casebound/contract';
import { configInvalid, type ConfigProblem } from './config-problem.ts';
import type { ConfigSources, EffectiveConfig, EffectiveLeaf, Origin } from './effective-config.ts';
import { isReservedVariable, variablePrefix, variablesOf } from './environment-name.ts';
import { explainIssues } from './explain-issue.ts';
import type { Located, LocatedMember } from './located-value.ts';
import { mergeLayers, type MergedLayers } from './merge-layers.ts';
import { nearestName } from './nearest-name.ts';
import { readConfigFile } from './read-config-file.ts';
import { readSchema, schemaLeaves, type SchemaNode } from './schema-tree.ts';

/** Reads, merges and validates. Throws `config_invalid`. */
export const loadConfig = async <S extends z.ZodType>(
  schema: S,
  sources: ConfigSources,
): Promise<EffectiveConfig<z.output<S>>> => {
  const tree = readSchema(schema);
  const variables = variablesOf(schemaLeaves(tree));
  const data = dataFolderOf(sources);
  const file = await findConfigFile(sources, data.folder);
  const problems: ConfigProblem[] = [];
  const layers: Located[] = [];
  if (file !== undefined) layers.push(...(await readLayer(file)));
  layers.push(environmentLayer(sources.environment, variables, problems), flagLayer(sources, variables, problems));

  const merged = mergeLayers(tree, layers);
  const parsed = schema.safeParse(merged.input);
  problems.push(...merged.problems);
  if (!parsed.success) problems.push(...explainIssues(tree, merged, parsed.error.issues));
  if (problems.length > 0 || !parsed.success) throw configInvalid(problems);
  return {
    config: freezeDeep(parsed.data),
    dataFolder: data.folder,
    dataFolderOrigin: data.origin,
    file,
    leaves: effectiveLeaves(tree, parsed.data, merged),
    ignored: merged.ignored,
  };
};

/** A variable that is set to nothing counts as not set: compose files and unit files cannot unset one. */
const present = (text: string | undefined): text is string => text !== undefined && text !== '';

const dataFolderOf = (sources: ConfigSources): { readonly folder: string; readonly origin: Origin } => {
  const { workingFolder } = sources;
  if (sources.dataFolder !== undefined) {
    return { folder: resolve(workingFolder, sources.dataFolder), origin: { kind: 'flag', flag: '--data' } };
  }
  const fromEnvironment = sources.environment['CASEBOUND_DATA'];
  if (present(fromEnvironment)) {
    return {
      folder: resolve(workingFolder, fromEnvironment),
      origin: { kind: 'environment', variable: 'CASEBOUND_DATA' },
    };
  }
  return { folder: resolve(workingFolder, '.casebound'), origin: { kind: 'default' } };
};

/** Whether there is something of this name. A folder that may not be searched is an error: the file may lie in it. */
const exists = async (file: string): Promise<boolean> => {
  try {
    await access(file);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    // A link in a circle is there; reading it says what is wrong with it.
    if (code === 'ELOOP') return true;
    throw new CaseboundError(
      'config_invalid',
      `The folder ${dirname(file)} may hold a configuration file but cannot be searched (${String(code)}); change its permissions.`,
    );
  }
};

const findConfigFile = async (sources: ConfigSources, dataFolder: string): Promise<string | undefined> => {
  if (sources.file !== undefined) return resolve(sources.workingFolder, sources.file);
  const fromEnvironment = sources.environment['CASEBOUND_CONFIG'];
  if (present(fromEnvironment)) return resolve(sources.workingFolder, fromEnvironment);
  const endings = ['yaml', 'yml', 'json'];
  const candidates = [
    ...endings.map((ending) => join(sources.workingFolder, `casebound.config.${ending}`)),
    ...endings.map((ending) => join(dataFolder, `config.${ending}`)),
  ];
  const found: string[] = [];
  for (const candidate of candidates) if (await exists(candidate)) found.push(candidate);
  const [only, ...others] = found;
  if (others.length > 0) {
    throw new CaseboundError(
      'config_invalid',
      `There are ${found.length} configuration files (${found.join(', ')}); remove all but one, or name one with --config.`,
    );
  }
  return only;
};

const readLayer = async (file: string): Promise<readonly Located[]> => {
  const located = await readConfigFile(file);
  return located === undefined ? [] : [located];
};

interface Assignment {
  readonly path: readonly string[];
  readonly value: Located;
}

const toLayer = (assignments: readonly Assignment[], origin: Origin): Located => {
  const groups = new Map<string, Assignment[]>();
  const members = new Map<string, LocatedMember>();
  for (const { path, value } of assignments) {
    const [key = '', ...rest] = path;
    if (rest.length === 0) members.set(key, { value, keyOrigin: value.origin });
    else groups.set(key, [...(groups.get(key) ?? []), { path: rest, value }]);
  }
  for (const [key, group] of groups) {
    const groupOrigin = group.at(-1)?.value.origin ?? origin;
    members.set(key, { value: toLayer(group, groupOrigin), keyOrigin: groupOrigin });
  }
  return { type: 'mapping', members, origin };
};

const environmentLayer = (
  environment: ConfigSources['environment'],
  variables: ReadonlyMap<string, readonly string[]>,
  problems: ConfigProblem[],
): Located => {
  const assignments: Assignment[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(variablePrefix) || !present(text)) continue;
    const path = variables.get(variable);
    if (path !== undefined) {
      assignments.push({ path, value: { type: 'text', text, origin: { kind: 'environment', variable } } });
    } else if (!isReservedVariable(variable)) {
      const nearest = nearestName(variable, variables.keys());
      const hint = nearest === undefined ? 'docs/configuration.md lists all' : `did you mean ${nearest}?`;
      problems.push({
        path: [variable.slice(0, 100)],
        message: `is not a known environment variable; ${hint}`,
        origin: undefined,
      });
    }
  }
  return toLayer(assignments, { kind: 'environment', variable: `${variablePrefix}*` });
};

const flagLayer = (
  sources: ConfigSources,
  variables: ReadonlyMap<string, readonly string[]>,
  problems: ConfigProblem[],
): Located => {
  const paths = new Map([...variables.values()].map((path) => [path.join('.'), path]));
  const assignments = Object.entries(sources.flags ?? {}).flatMap(([dotted, { flag, value }]): Assignment[] => {
    const path = paths.get(dotted);
    const origin: Origin = { kind: 'flag', flag };
    if (path === undefined) {
      const nearest = nearestName(dotted, paths.keys());
      const hint = nearest === undefined ? 'docs/configuration.md lists all' : `did you mean ${nearest}?`;
      problems.push({ path: [dotted.slice(0, 100)], message: `is not a known key; ${hint}`, origin });
      return [];
    }
    return [
      {
        path,
        value: typeof value === 'string' ? { type: 'text', text: value, origin } : { type: 'scalar', value, origin },
      },
    ];
  });
  return toLayer(assignments, { kind: 'flag', flag: '--' });
};

const memberOf = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;

const effectiveLeaves = (
  node: SchemaNode,
  value: unknown,
  merged: MergedLayers,
  path: readonly string[] = [],
): readonly EffectiveLeaf[] => {
  if (node.type === 'leaf') {
    const dotted = path.join('.');
    const origin = merged.given.get(dotted)?.origin ?? { kind: 'default' };
    return [{ path: dotted, value, origin, secret: node.secret }];
  }
  if (value === undefined || value === null) return [];
  const members =
    node.type === 'object' ? node.members : node.variants.get(String(memberOf(value, node.discriminator)))?.members;
  return [...(members ?? [])].flatMap(([key, member]) =>
    effectiveLeaves(member, memberOf(value, key), merged, [...path, key]),
  );
};

const freezeDeep = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) freezeDeep(member);
  }
  return value;
};
