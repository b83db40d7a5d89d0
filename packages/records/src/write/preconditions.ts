/** Conditional requests (RFC 9110, 13): `If-Match` and `If-None-Match` against the etag of a record. */
import { CaseboundError } from '@casebound/contract';

export interface Preconditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

const tags = (header: string): readonly string[] => header.split(',').map((tag) => tag.trim());

/** Strong comparison: a weak tag never matches. Accepts the bare etag as the body shows it as well. */
const matches = (header: string, etag: number): boolean =>
  tags(header).some((tag) => tag === `"${etag}"` || tag === String(etag));

/** Weak comparison, for reads. */
export const matchesWeakly = (header: string, etag: number): boolean =>
  tags(header).some((tag) => tag === '*' || tag.replace(/^W\//, '') === `"${etag}"` || tag === String(etag));

/** Throws `precondition_failed` when a write must not happen. `etag` is null for a record that does not exist. */
export const checkPreconditions = (conditions: Preconditions, etag: number | null): void => {
  const { ifMatch, ifNoneMatch } = conditions;
  if (ifMatch !== undefined) {
    const holds = etag !== null && (ifMatch.trim() === '*' || matches(ifMatch, etag));
    if (!holds)
      throw new CaseboundError('precondition_failed', 'The record does not have the etag that If-Match names.');
  }
  if (ifNoneMatch !== undefined && etag !== null && (ifNoneMatch.trim() === '*' || matchesWeakly(ifNoneMatch, etag))) {
    throw new CaseboundError('precondition_failed', 'The record exists with an etag that If-None-Match excludes.');
  }
};
