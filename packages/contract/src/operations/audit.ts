/** The audit trail of a case: what was changed by whom, proof that nothing of it was, and where a file has been. */
import { z } from 'zod';
import { CaseId, ExhibitId } from '../ids.ts';
import type { Operation } from '../operation.ts';
import { wireInteger } from './parameters.ts';

const count = z.number().int().nonnegative();

export const AuditEntry = z
  .object({
    auditId: z.number().int(),
    at: z.iso.datetime(),
    actor: z.string().describe('Account id, or `system`.'),
    requestId: z.string().nullable(),
    origin: z.string().nullable().describe('`import {job}`, `exchange {job}`, ...; null for a single change.'),
    resource: z.string(),
    recordId: z.number().int(),
    recordKey: z.string(),
    changes: z.record(z.string(), z.tuple([z.unknown(), z.unknown()])).describe('Field -> old and new value.'),
    sealed: z.boolean().describe('Stands in a block of the chain.'),
  })
  .meta({ id: 'AuditEntry' });
export type AuditEntry = z.infer<typeof AuditEntry>;

export const AuditVerification = z
  .object({
    blocks: count,
    sealedRows: count,
    unsealedRows: count.describe('Entries of the last second or so, or of transactions that still run.'),
    head: z
      .string()
      .nullable()
      .describe('SHA-256 of the last block. Kept elsewhere, it proves the whole trail up to it.'),
    findings: z
      .array(
        z.object({
          kind: z.enum([
            'row_changed',
            'rows_differ',
            'block_changed',
            'chain_broken',
            'block_missing',
            'head_missing',
          ]),
          blockNo: z.number().int().nullable(),
          auditId: z.number().int().nullable(),
          detail: z.string(),
        }),
      )
      .describe('At most 100; none when the trail is whole.'),
  })
  .meta({ id: 'AuditVerification' });
export type AuditVerification = z.infer<typeof AuditVerification>;

export const CustodyEvent = z
  .object({
    at: z.iso.datetime().nullable(),
    kind: z.enum(['imported', 'received', 'sent', 'rendition']),
    what: z.string().describe('Batch, exchange or rendition, in words.'),
    jobId: z.string().nullable(),
    by: z.string().nullable(),
    files: z.array(z.object({ type: z.string(), position: z.number().int(), size: count, sha256: z.string() })),
  })
  .meta({ id: 'CustodyEvent' });
export type CustodyEvent = z.infer<typeof CustodyEvent>;

export const ChainOfCustody = z
  .object({
    exhibitId: z.number().int(),
    controlNumber: z.string(),
    documentKey: z.string(),
    source: z.object({
      path: z.string().nullable(),
      fileName: z.string().nullable(),
      size: count.nullable(),
      md5: z.string().nullable(),
      sha1: z.string().nullable(),
      sha256: z.string().nullable(),
    }),
    events: z.array(CustodyEvent),
  })
  .meta({ id: 'ChainOfCustody' });
export type ChainOfCustody = z.infer<typeof ChainOfCustody>;

const caseParams = z.strictObject({ caseId: wireInteger(CaseId) });
const exhibitParams = z.strictObject({ caseId: wireInteger(CaseId), exhibitId: wireInteger(ExhibitId) });

export const auditOperations = {
  verifyAudit: {
    method: 'POST',
    path: '/v1/cases/{caseId}/audit/verifications',
    summary: 'Walk the hash chain of the audit trail of a case',
    tag: 'audit',
    permission: 'case.read',
    params: caseParams,
    body: z.strictObject({
      head: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional()
        .describe('A head that was kept from before: it must be a block of the chain.'),
    }),
    success: { status: 200, body: AuditVerification },
    errors: ['case_not_found', 'case_busy'],
  },
  readAuditHistory: {
    method: 'GET',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}/history',
    summary: 'List what was changed of an exhibit, oldest first',
    tag: 'audit',
    permission: 'case.read',
    params: exhibitParams,
    query: z.strictObject({
      after: wireInteger(count).default(0),
      limit: wireInteger(z.int().min(1).max(1000)).default(100),
      field: z.string().min(1).max(300).optional().describe('Only entries that changed this field.'),
    }),
    success: { status: 200, body: z.object({ entries: z.array(AuditEntry), next: count.nullable() }) },
    errors: ['case_not_found', 'case_busy'],
  },
  getChainOfCustody: {
    method: 'GET',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}/custody',
    summary: 'Say where the file of an exhibit has been: import, exchanges, renditions, with hashes',
    tag: 'audit',
    permission: 'case.read',
    params: exhibitParams,
    success: { status: 200, body: ChainOfCustody },
    errors: ['case_not_found', 'case_busy', 'exhibit_not_found'],
  },
} as const satisfies Record<string, Operation>;
