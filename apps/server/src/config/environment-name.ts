/**
 * Which environment variable sets which leaf: `CASEBOUND_` and the path in upper case, words apart by underscores:
 * `http.bodyLimitBytes` is `CASEBOUND_HTTP_BODY_LIMIT_BYTES`.
 */
import type { SchemaLeaf } from './schema-tree.ts';

export const variablePrefix = 'CASEBOUND_';

/** Secrets themselves, for the environment store: `CASEBOUND_SECRET_DB_URL`. */
export const secretVariablePrefix = 'CASEBOUND_SECRET_';

/** Variables that are not settings, and what they are for. Whoever reads another one adds it here. */
export const reservedVariables: ReadonlyMap<string, string> = new Map([
  ['CASEBOUND_DATA', 'The data folder, as `--data`.'],
  ['CASEBOUND_CONFIG', 'The configuration file, as `--config`.'],
  ['CASEBOUND_TOKEN', 'The token that command-line commands send to a running server.'],
  ['CASEBOUND_CRASH_AT', 'For tests: the name of the crash point at which the process kills itself.'],
]);

/**
 * What Kubernetes puts into every container for a Service called `casebound` or `casebound-...`, unless
 * `enableServiceLinks: false`: https://kubernetes.io/docs/tutorials/services/connect-applications-service/
 */
const serviceLink =
  /^CASEBOUND(?:_[A-Z0-9]+)*?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

export const variableOf = (path: readonly string[]): string =>
  variablePrefix +
  path
    .map((key) =>
      key
        .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
        .replace(/[^A-Za-z0-9]+/g, '_')
        .toUpperCase(),
    )
    .join('_');

/** Variable -> path. Throws a TypeError when two paths would have one variable: a mistake in the schema. */
export const variablesOf = (leaves: readonly SchemaLeaf[]): ReadonlyMap<string, readonly string[]> => {
  const variables = new Map<string, readonly string[]>();
  for (const { path } of leaves) {
    const variable = variableOf(path);
    const other = variables.get(variable);
    if (other !== undefined && other.join('.') !== path.join('.')) {
      throw new TypeError(`${other.join('.')} and ${path.join('.')} share the environment variable ${variable}`);
    }
    if (variable.startsWith(secretVariablePrefix) || reservedVariables.has(variable)) {
      throw new TypeError(`${path.join('.')} has the reserved environment variable ${variable}`);
    }
    variables.set(variable, path);
  }
  return variables;
};

/** Whether a `CASEBOUND_` variable that is no setting may nevertheless be there. */
export const isReservedVariable = (variable: string): boolean =>
  reservedVariables.has(variable) || variable.startsWith(secretVariablePrefix) || serviceLink.test(variable);
