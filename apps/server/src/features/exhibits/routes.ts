/** Thin: from the contract's operations to the use cases. */
import type { Handlers } from '@casebound/contract';
import { changeExhibit } from './change-exhibit.ts';
import type { ExhibitDependencies } from './dependencies.ts';
import { getExhibit } from './get-exhibit.ts';
import { listExhibits } from './list-exhibits.ts';
import { openVariant, readPageText } from './read-files.ts';

export type ExhibitHandlers = Pick<
  Handlers,
  'listExhibits' | 'getExhibit' | 'changeExhibit' | 'downloadVariant' | 'getPageText'
>;

export const createExhibitHandlers = (dependencies: ExhibitDependencies): ExhibitHandlers => ({
  listExhibits: async ({ actor, params, query, signal }) => {
    const { after, limit, count, ...filters } = query;
    return listExhibits(dependencies, actor, params.caseId, filters, { after, limit, count: count === 'true' }, signal);
  },
  getExhibit: async ({ actor, params, signal }) =>
    getExhibit(dependencies, actor, params.caseId, params.exhibitId, signal),
  async changeExhibit({ actor, params, body, requestId, signal }) {
    await changeExhibit(dependencies, actor, params.caseId, params.exhibitId, body, requestId);
    return getExhibit(dependencies, actor, params.caseId, params.exhibitId, signal);
  },
  downloadVariant: async ({ actor, params, range, signal }) =>
    openVariant(dependencies, actor, params.caseId, params, range, signal),
  getPageText: async ({ actor, params, signal }) =>
    readPageText(dependencies, actor, params.caseId, params.exhibitId, params.position, signal),
});
