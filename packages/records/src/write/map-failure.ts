/**
 * What a failed statement means to the caller, in one place.
 *
 * - Input can be wrong in ways that only the database sees (an index entry that is too long, a lost race); none of them is a 500.
 */
import { CaseboundError } from '@casebound/contract';
import { requireSqlState } from '../ddl/infrastructure.ts';
import { displayName, type Resource } from '../derive/model.ts';
import { identityConstraintName } from '../derive/relation-names.ts';
import { sqlFailureOf } from '../session.ts';

/** The error to throw instead of a driver's; the same error when it is none of the store's business. */
export const mapWriteFailure = (error: unknown, resource: Resource): unknown => {
  if (error instanceof CaseboundError && error.code !== 'internal') return error;
  const failure = sqlFailureOf(error);
  if (failure === null) return error;
  const name = displayName(resource.name);
  if (failure.sqlState === requireSqlState) {
    return new CaseboundError('forbidden', `The claim set does not allow to write this ${name}.`);
  }
  if (failure.sqlState === '23505') {
    const isIdentity =
      failure.constraint === 'referential_identity_pkey' ||
      failure.constraint === 'descriptor_identity' ||
      failure.constraint === identityConstraintName(resource);
    return isIdentity
      ? new CaseboundError('duplicate_identity', `Another record has the identity of this ${name}.`)
      : new CaseboundError(
          'validation_failed',
          `Two items of one collection of the ${name} are the same where each may stand only once.`,
        );
  }
  if (failure.sqlState === '23503') {
    return new CaseboundError('unresolved_reference', `A record that the ${name} refers to was deleted meanwhile.`);
  }
  if (failure.sqlState === '54000') {
    return new CaseboundError(
      'validation_failed',
      `A value of the ${name} that is indexed is too long; keep it under 2,000 bytes.`,
    );
  }
  if (failure.sqlState.startsWith('22')) {
    return new CaseboundError('validation_failed', `A value of the ${name} is outside of what its column can hold.`);
  }
  return error;
};
