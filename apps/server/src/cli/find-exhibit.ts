/** Which exhibit a command means: its control number, or `id:123`. */
import { type CaseId, CaseboundError, ExhibitId } from '@casebound/contract';
import { parseWholeNumber } from './command.ts';
import type { Connection } from './engine.ts';

export const findExhibitId = async (connection: Connection, caseId: CaseId, given: string): Promise<ExhibitId> => {
  if (given.startsWith('id:')) return ExhibitId.parse(parseWholeNumber('The id of an exhibit', given.slice(3)));
  const { exhibits } = await connection.client.listExhibits({
    params: { caseId },
    query: { from: given, to: given, limit: 1 },
  });
  const [found] = exhibits;
  if (found === undefined)
    throw new CaseboundError('exhibit_not_found', `There is no exhibit ${JSON.stringify(given)} in the case.`);
  return ExhibitId.parse(found.exhibitId);
};
