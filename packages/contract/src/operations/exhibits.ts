/** Exhibits: lists by filters on core fields, one with everything attached, coding, files and text. */
import { z } from 'zod';
import { CaseId, ExhibitId } from '../ids.ts';
import type { Operation } from '../operation.ts';
import { wireInteger } from './parameters.ts';

const count = z.number().int().nonnegative();
const number = z.number().int();

export const ExhibitSummary = z
  .object({
    exhibitId: number,
    controlNumber: z.string(),
    controlNumberEnd: z.string().nullable(),
    batchId: number,
    parentExhibitId: number.nullable(),
    familyId: number.nullable().describe('Exhibit at the root of the family.'),
    fileName: z.string().nullable(),
    mimeType: z.string().nullable(),
    fileSize: count.nullable(),
    documentDate: z.string().nullable(),
    subject: z.string().nullable(),
    from: z.string().nullable(),
    custodians: z.array(z.string()),
    relevancy: z.string().nullable(),
    privilege: z.string().nullable(),
    confidentialityStatus: z.number().int().describe('Bits of the confidentiality codes; 0 for none.'),
    redacted: z.boolean(),
    pages: count,
  })
  .meta({ id: 'ExhibitSummary' });
export type ExhibitSummary = z.infer<typeof ExhibitSummary>;

export const ExhibitVariant = z
  .object({
    type: z.string(),
    position: number,
    size: count,
    sha256: z.string(),
    mimeType: z.string().nullable(),
    fileName: z.string().nullable(),
  })
  .meta({ id: 'ExhibitVariant' });
export type ExhibitVariant = z.infer<typeof ExhibitVariant>;

export const ExhibitDetail = ExhibitSummary.extend({
  batch: z.string(),
  notes: z.string().nullable(),
  version: count.describe('State it with a change.'),
  document: z.record(z.string(), z.unknown()).describe('The source item: hashes, dates, e-mail headers.'),
  variants: z.array(ExhibitVariant),
  fields: z.record(z.string(), z.unknown()),
  fieldsVersion: count,
  labels: z.array(z.object({ category: z.string(), name: z.string() })),
  folders: z.array(z.string()),
  confidentialityCodes: z.array(z.string()),
  family: z
    .array(z.object({ exhibitId: number, controlNumber: z.string(), parentExhibitId: number.nullable() }))
    .describe('In order of control numbers, this one among them; at most 1,000.'),
  pageList: z
    .array(
      z.object({
        position: z.number().int(),
        batesNumber: z.string().nullable(),
        width: z.number().nullable(),
        height: z.number().nullable(),
        textSource: z.string().nullable(),
        textSize: count.nullable(),
      }),
    )
    .describe('At most 1,000; `pages` says how many there are.'),
  annotations: count.nullable().describe('null where the document engine has no document of it.'),
}).meta({ id: 'ExhibitDetail' });
export type ExhibitDetail = z.infer<typeof ExhibitDetail>;

const label = z.strictObject({ category: z.string().min(1).max(300), name: z.string().min(1).max(300) });
const folder = z.string().min(1).max(2000);

export const ExhibitChange = z
  .strictObject({
    version: count.optional().describe('The version that was read. Left out: upon whatever is there.'),
    relevancy: z.string().max(300).nullable().optional(),
    privilege: z.string().max(300).nullable().optional(),
    notes: z.string().max(65_536).nullable().optional(),
    confidentialityCodes: z.array(z.string().min(1).max(100)).max(63).optional().describe('All that it shall have.'),
    addLabels: z.array(label).max(100).default([]),
    removeLabels: z.array(label).max(100).default([]),
    addFolders: z.array(folder).max(100).default([]),
    removeFolders: z.array(folder).max(100).default([]),
    reason: z.string().max(2000).optional().describe('Kept in the logs of relevancy and confidentiality.'),
  })
  .meta({ id: 'ExhibitChange' });
export type ExhibitChange = z.infer<typeof ExhibitChange>;

const text = (max: number) => z.string().min(1).max(max).optional();

export const ExhibitFilters = z.strictObject({
  from: text(255).describe('Control numbers from this one on.'),
  to: text(255).describe('Control numbers up to this one.'),
  custodian: text(300),
  labelCategory: text(300),
  label: text(300),
  folder: text(2000).describe('Path of a folder; folders below it count.'),
  batchId: wireInteger(z.int().positive()).optional(),
  familyId: wireInteger(z.int().positive()).optional(),
  dateFrom: z.iso.date().optional(),
  dateTo: z.iso.date().optional().describe('Inclusive.'),
  hash: z
    .string()
    .regex(/^([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$/)
    .optional()
    .describe('MD5, SHA-1 or SHA-256 of the file.'),
  redacted: z.enum(['true', 'false']).optional(),
  confidentialityCode: text(100),
  relevancy: text(300),
  privilege: text(300),
  field: text(300).describe('Title of a custom field that has the value `fieldValue`.'),
  fieldValue: text(300).describe('As in a load file: a number, a date, `yes` or `no`, one of several choices.'),
});
export type ExhibitFilters = z.infer<typeof ExhibitFilters>;

const caseParams = z.strictObject({ caseId: wireInteger(CaseId) });
const exhibitParams = z.strictObject({ caseId: wireInteger(CaseId), exhibitId: wireInteger(ExhibitId) });

export const exhibitOperations = {
  listExhibits: {
    method: 'GET',
    path: '/v1/cases/{caseId}/exhibits',
    summary: 'List exhibits in the order of their control numbers',
    tag: 'exhibits',
    permission: 'case.read',
    params: caseParams,
    query: ExhibitFilters.extend({
      after: text(255).describe('Control number of the last exhibit of the page before.'),
      limit: wireInteger(z.int().min(1).max(500)).default(50),
      count: z.enum(['true', 'false']).default('false').describe('Count all that match, up to 100,000.'),
    }),
    success: {
      status: 200,
      body: z.object({
        exhibits: z.array(ExhibitSummary),
        next: z.string().nullable(),
        total: count.nullable().describe('null where it was not asked for.'),
        totalIsExact: z.boolean(),
      }),
    },
    errors: ['case_not_found', 'case_busy', 'search_index_unavailable'],
  },
  getExhibit: {
    method: 'GET',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}',
    summary: 'Get an exhibit with everything attached to it',
    tag: 'exhibits',
    permission: 'case.read',
    params: exhibitParams,
    success: { status: 200, body: ExhibitDetail },
    errors: [
      'case_not_found',
      'case_busy',
      'exhibit_not_found',
      'object_not_found',
      'object_corrupt',
      'object_store_unavailable',
      'document_engine_unavailable',
    ],
  },
  changeExhibit: {
    method: 'PATCH',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}',
    summary: 'Change labels, folders, relevancy, privilege or confidentiality of an exhibit',
    description:
      'Labels and folders that do not exist are made. Audited, and logged where relevancy or confidentiality changes.',
    tag: 'exhibits',
    permission: 'case.write',
    params: exhibitParams,
    body: ExhibitChange,
    success: { status: 200, body: ExhibitDetail },
    errors: [
      'case_not_found',
      'case_archived',
      'case_busy',
      'exhibit_not_found',
      'version_conflict',
      'unresolved_reference',
      'object_not_found',
      'object_corrupt',
      'object_store_unavailable',
      'document_engine_unavailable',
    ],
  },
  downloadVariant: {
    method: 'GET',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}/variants/{type}/{position}',
    summary: 'Download a file of an exhibit; takes `Range`',
    tag: 'exhibits',
    permission: 'case.read',
    params: z.strictObject({
      caseId: wireInteger(CaseId),
      exhibitId: wireInteger(ExhibitId),
      type: z.enum(['native', 'pdf', 'text', 'image']),
      position: wireInteger(z.int().min(0).max(1_000_000)),
    }),
    success: { status: 200, binary: true },
    errors: [
      'case_not_found',
      'case_busy',
      'exhibit_not_found',
      'variant_not_found',
      'range_not_satisfiable',
      'object_not_found',
      'object_corrupt',
      'object_store_unavailable',
    ],
  },
  getPageText: {
    method: 'GET',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}/pages/{position}/text',
    summary: 'Get the text of a page',
    tag: 'exhibits',
    permission: 'case.read',
    params: z.strictObject({
      caseId: wireInteger(CaseId),
      exhibitId: wireInteger(ExhibitId),
      position: wireInteger(z.int().min(1).max(1_000_000)),
    }),
    success: {
      status: 200,
      body: z.object({
        position: number,
        source: z.string().nullable().describe('Where the text is from: load_file, document, ocr, or none.'),
        sha256: z.string().nullable(),
        text: z.string(),
      }),
    },
    errors: [
      'case_not_found',
      'case_busy',
      'exhibit_not_found',
      'variant_not_found',
      'object_not_found',
      'object_corrupt',
      'object_store_unavailable',
    ],
  },
} as const satisfies Record<string, Operation>;
