/** Thin: from the contract's operations to the use cases. */
import type { Handlers } from '@casebound/contract';
import { archiveCase } from './archive-case.ts';
import { createCase } from './create-case.ts';
import { deleteCase } from './delete-case.ts';
import type { CasesDependencies } from './dependencies.ts';
import { getCase } from './get-case.ts';
import { listCases } from './list-cases.ts';
import { renameCase } from './rename-case.ts';
import { restoreCase } from './restore-case.ts';

export type CaseHandlers = Pick<
  Handlers,
  'createCase' | 'listCases' | 'getCase' | 'renameCase' | 'archiveCase' | 'restoreCase' | 'deleteCase'
>;

export function createCaseHandlers(dependencies: CasesDependencies): CaseHandlers {
  return {
    createCase: async ({ actor, body, signal }) => createCase(dependencies, actor, body, signal),
    listCases: async ({ actor, query, signal }) => listCases(dependencies, actor, query, signal),
    getCase: async ({ actor, params, signal }) => getCase(dependencies, actor, params.caseId, signal),
    renameCase: async ({ actor, params, body, signal }) => renameCase(dependencies, actor, params.caseId, body, signal),
    archiveCase: async ({ actor, params, signal }) => archiveCase(dependencies, actor, params.caseId, signal),
    restoreCase: async ({ actor, params, signal }) => restoreCase(dependencies, actor, params.caseId, signal),
    deleteCase: async ({ actor, params, signal }) => deleteCase(dependencies, actor, params.caseId, signal),
  };
}
