/** Cases: the tenants. */
import { z } from 'zod';
import { CaseId } from '../ids.ts';
import type { Operation } from '../operation.ts';
import { wireInteger } from './parameters.ts';

/** `creating` and `deleting` are passed through; a crash in them is finished or undone at the next start. */
export const CaseState = z.enum(['creating', 'active', 'archived', 'deleting']);
export type CaseState = z.infer<typeof CaseState>;

export const CaseName = z
  .string()
  .normalize('NFC')
  .trim()
  .min(1, 'A case needs a name.')
  .max(200, 'A case name has at most 200 characters.')
  .regex(/^\P{Cc}*$/u, 'A case name has no control characters.')
  .describe('1 to 200 characters, unique without regard to case; normalised to NFC, outer white space removed.');

export const Case = z
  .object({
    caseId: CaseId,
    name: z.string(),
    state: CaseState,
    database: z.string().describe('Name of the database that holds the case.'),
    schema: z.string().describe('PostgreSQL schema that holds its records.'),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .meta({ id: 'Case' });
export type Case = z.infer<typeof Case>;

const caseParams = z.strictObject({ caseId: wireInteger(CaseId) });

export const caseOperations = {
  createCase: {
    method: 'POST',
    path: '/v1/cases',
    summary: 'Create a case',
    description: 'Creates its schema, its database role and its object prefix. Whole or not at all.',
    tag: 'cases',
    permission: 'case.manage',
    body: z.strictObject({ name: CaseName }),
    success: { status: 201, body: Case },
    errors: ['case_name_taken', 'conflict_retries_exhausted'],
  },
  listCases: {
    method: 'GET',
    path: '/v1/cases',
    summary: 'List cases',
    description: 'Ordered by id; pass `next` of one page as `after` of the following one.',
    tag: 'cases',
    permission: 'case.read',
    query: z.strictObject({
      after: wireInteger(CaseId).optional(),
      limit: wireInteger(z.int().min(1).max(500)).default(100),
      state: CaseState.optional(),
      name: z.string().optional().describe('Only the case with exactly this name, without regard to case.'),
    }),
    success: {
      status: 200,
      body: z.object({ cases: z.array(Case), total: z.number().int(), next: CaseId.nullable() }),
    },
    errors: [],
  },
  getCase: {
    method: 'GET',
    path: '/v1/cases/{caseId}',
    summary: 'Get a case',
    tag: 'cases',
    permission: 'case.read',
    params: caseParams,
    success: { status: 200, body: Case },
    errors: ['case_not_found'],
  },
  renameCase: {
    method: 'PATCH',
    path: '/v1/cases/{caseId}',
    summary: 'Rename a case',
    tag: 'cases',
    permission: 'case.manage',
    params: caseParams,
    body: z.strictObject({ name: CaseName }),
    success: { status: 200, body: Case },
    errors: ['case_not_found', 'case_name_taken', 'case_archived', 'case_busy'],
  },
  archiveCase: {
    method: 'POST',
    path: '/v1/cases/{caseId}/archive',
    summary: 'Archive a case',
    description: 'An archived case can be read, not changed. Archiving an archived case changes nothing.',
    tag: 'cases',
    permission: 'case.manage',
    params: caseParams,
    success: { status: 200, body: Case },
    errors: ['case_not_found', 'case_busy'],
  },
  restoreCase: {
    method: 'POST',
    path: '/v1/cases/{caseId}/restore',
    summary: 'Take a case out of the archive',
    tag: 'cases',
    permission: 'case.manage',
    params: caseParams,
    success: { status: 200, body: Case },
    errors: ['case_not_found', 'case_busy'],
  },
  deleteCase: {
    method: 'DELETE',
    path: '/v1/cases/{caseId}',
    summary: 'Delete a case with everything in it',
    description: 'Drops its schema and role and removes its objects. If it is interrupted, the next start finishes it.',
    tag: 'cases',
    permission: 'case.manage',
    params: caseParams,
    success: { status: 204 },
    errors: ['case_not_found', 'case_busy', 'object_store_unavailable'],
  },
} as const satisfies Record<string, Operation>;
