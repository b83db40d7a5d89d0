/** Which case a command means. */
import { CaseboundError, CaseId } from '@casebound/contract';
import { parseWholeNumber } from './command.ts';
import type { Connection } from './engine.ts';

/**
 * A case is named on the command line by its number or by its name; a name of digits only by `name:123`, and where both would
 * fit the command asks which is meant instead of choosing.
 */
export const findCaseId = async (connection: Connection, given: string): Promise<CaseId> => {
  const name = given.replace(/^name:/, '');
  const { cases } = await connection.client.listCases({ query: { name } });
  const [named] = cases;
  if (given === name && /^\d+$/.test(given)) {
    const caseId = CaseId.parse(parseWholeNumber('A case number', given));
    if (named === undefined || named.caseId === caseId) return caseId;
    throw new CaseboundError(
      'validation_failed',
      `${given} is the name of case ${named.caseId} and may be the number of another; say name:${given} for the name, or the number ${named.caseId}.`,
    );
  }
  if (named === undefined) throw new CaseboundError('case_not_found', `There is no case named "${name}".`);
  return named.caseId;
};
