/** Thin: from the contract's operations to the use cases. */
import type { Handlers } from '@casebound/contract';
import { createImport, previewImport } from './create-import.ts';
import type { ImportDependencies } from './dependencies.ts';
import { cancelImport, getImport, listImportProblems, listImports, resumeImport } from './look-at-imports.ts';

export type ImportHandlers = Pick<
  Handlers,
  | 'createImport'
  | 'previewImport'
  | 'listImports'
  | 'getImport'
  | 'listImportProblems'
  | 'cancelImport'
  | 'resumeImport'
>;

export const createImportHandlers = (dependencies: ImportDependencies): ImportHandlers => ({
  createImport: async ({ actor, params, body, signal }) =>
    createImport(dependencies, actor, params.caseId, body, signal),
  previewImport: async ({ actor, body, signal }) => previewImport(dependencies, actor, body, signal),
  listImports: async ({ actor, params }) => listImports(dependencies, actor, params.caseId),
  getImport: async ({ actor, params }) => getImport(dependencies, actor, params.caseId, params.jobId),
  listImportProblems: async ({ actor, params, query }) =>
    listImportProblems(dependencies, actor, params.caseId, params.jobId, query),
  resumeImport: async ({ actor, params }) => resumeImport(dependencies, actor, params.caseId, params.jobId),
  cancelImport: async ({ actor, params }) => cancelImport(dependencies, actor, params.caseId, params.jobId),
});
