/**
 * What the caller of a copy decides: which resources travel how, what changes on the way, what stays behind.
 *
 * - Resources are named `Project.Resource` (`displayName`), members by their JSON paths. A name that nothing has is refused when the
 *   plan is compiled, so a policy can not be out of date unnoticed.
 * - Hooks give SQL over the source row. What they get are SQL expressions too; a value of the caller's comes in by `parameter` or
 *   by the value maps of the job, never by pasting it into the text.
 */
import { quoteIdentifier, quoteLiteral } from '../derive/naming.ts';

/**
 * `match`: a record that the destination has under the same identity is used, else it is inserted; where hooks give several records
 * one identity, they become one record. `insert`: it is new, and an
 * identity that exists is a conflict. `exclude`: it does not travel.
 */
export type ResourceMode = 'match' | 'insert' | 'exclude';

/**
 * An identity that the destination has already. `fail`: everything is refused before anything is written. `skip`: the record there
 * stays as it is, and what only the selected one led to does not travel. `overlay`: the record there gets the content of the source.
 */
export type ConflictPolicy = 'fail' | 'skip' | 'overlay';

/** What a hook may use, all of it SQL. */
export interface RowScope {
  /** The column the hook stands for, as the source has it. For a column that only the destination has: `NULL`. */
  readonly value: string;
  /** Document id of the record in the source. */
  readonly documentId: string;
  /** Another scalar column of the same row, by its JSON path. */
  readonly column: (path: string) => string;
  /** A parameter of the policy as a literal. */
  readonly parameter: (name: string) => string;
  /** Rows `name, old_value, new_value` of this job's value maps (`setValueMap`), as `FROM` item with the alias `v`. */
  readonly valueMap: (name: string) => string;
}

/** SQL of the value that the destination gets. */
export type ColumnHook = (scope: RowScope) => string;
/** SQL of a condition; rows for which it is not true stay behind. */
export type RowHook = (scope: RowScope) => string;

/**
 * `null`: the member is left out. `ifCopied` (references alone): what it refers to does not travel for its sake; where that travels
 * anyhow the reference is kept, else it is left out.
 */
export type ReferenceRule = 'null' | 'ifCopied';

export interface ResourcePolicy {
  readonly mode?: ResourceMode;
  readonly onConflict?: ConflictPolicy;
  /** By JSON path. A reference or descriptor cannot be replaced. */
  readonly columns?: Readonly<Record<string, ColumnHook | ReferenceRule>>;
  /** Collections and extensions by JSON path (`$.labels`): left out, or their rows filtered. */
  readonly rows?: Readonly<Record<string, RowHook | 'exclude'>>;
}

/** Records that travel because what they refer to does: `resource` (by its member at `reference`) follows its target. */
export interface DependentRule {
  readonly resource: string;
  /** JSON path of the reference object, `$.documentReference`. */
  readonly reference: string;
}

export interface CopyPolicy {
  /** Of resources that `resources` does not name. Default `match`: a resource that is added tomorrow travels tomorrow. */
  readonly mode?: ResourceMode;
  readonly onConflict?: ConflictPolicy;
  readonly resources?: Readonly<Record<string, ResourcePolicy>>;
  readonly dependents?: readonly DependentRule[];
  readonly parameters?: Readonly<Record<string, string | number | boolean | null>>;
}

const literal = (value: string | number | boolean | null): string => {
  if (value === null) return 'NULL';
  return typeof value === 'string' ? quoteLiteral(value) : String(value);
};

/** SQL literal of a policy's parameter. */
export const parameterSql = (policy: CopyPolicy, name: string): string => literal(policy.parameters?.[name] ?? null);

/** FROM item of a value map; `$1` is the job in every statement that holds hooks. */
export const valueMapSql = (schema: string, name: string): string =>
  `(SELECT old_value, new_value FROM ${quoteIdentifier(schema)}.record_copy_value WHERE job_id = $1 AND map_name = ${quoteLiteral(name)}) v`;

/** Replaces a text or number by what the job's value map has for it; NULL where it has nothing. */
export const lookUpValue =
  (map: string): ColumnHook =>
  (scope) =>
    `(SELECT v.new_value FROM ${scope.valueMap(map)} WHERE v.old_value = (${scope.value})::text)`;

/** Puts the text of a parameter in front. */
export const prefixValue =
  (parameter: string): ColumnHook =>
  (scope) =>
    `${scope.parameter(parameter)} || ${scope.value}`;

/** Remaps a bitmask: each bit (`old_value`, as a number of weight 1, 2, 4 ...) becomes `new_value`; bits without an entry go. */
export const remapBits =
  (map: string): ColumnHook =>
  (scope) =>
    `CASE WHEN ${scope.value} IS NULL THEN NULL ELSE (SELECT coalesce(bit_or(v.new_value::bigint), 0) FROM ${scope.valueMap(map)} WHERE (${scope.value})::bigint & v.old_value::bigint <> 0) END`;

/** The record's document id in the source. */
export const sourceDocumentId: ColumnHook = (scope) => scope.documentId;
