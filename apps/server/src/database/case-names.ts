/**
 * The names of what a case consists of in PostgreSQL.
 *
 * Roles and databases belong to a whole server, so their names begin with that of the control database: two installations
 * on one server do not meet.
 */
import type { CaseId } from '@casebound/contract';

export interface CaseRoles {
  /** Signs in for work in the case; owns nothing, has no privilege but through the two others. */
  readonly login: string;
  /** May read the tables of the case. */
  readonly read: string;
  /** May read and change them. */
  readonly write: string;
}

export function caseSchema(caseId: CaseId): string {
  return `case_${caseId}`;
}

export function caseRoles(control: string, caseId: CaseId): CaseRoles {
  const login = `${control}_case_${caseId}`;
  return { login, read: `${login}_read`, write: `${login}_write` };
}

/** Role of one exchange: reads the source, changes the destination. */
export function pairRole(control: string, source: CaseId, destination: CaseId): string {
  return `${control}_pair_${source}_${destination}`;
}

/** The n-th database for cases. */
export function caseDatabaseName(control: string, ordinal: number): string {
  return `${control}_cases_${ordinal}`;
}

/** Holds the right to connect to one case database; every case role in it is a member. */
export function memberRole(databaseName: string): string {
  return `${databaseName}_members`;
}

/** Administers the roles of one case database, and nothing else. */
export function wardenRole(databaseName: string): string {
  return `${databaseName}_warden`;
}

/** The case ids that a role's name speaks of; none for a role that is not of a case. */
export function caseIdsOfRole(control: string, role: string): number[] {
  if (!role.startsWith(`${control}_`)) return [];
  const rest = role.slice(control.length + 1);
  const match = /^(?:case_(\d+)(?:_read|_write)?|pair_(\d+)_(\d+))$/.exec(rest);
  return (match?.slice(1) ?? []).filter((part) => part !== undefined).map(Number);
}

/** The case id of a schema's name, if it is one of a case. */
export function caseIdOfSchema(schema: string): number | undefined {
  const id = /^case_(\d+)$/.exec(schema)?.[1];
  return id === undefined ? undefined : Number(id);
}
