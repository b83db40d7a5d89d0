/** Imports: load files, mail and loose files become exhibits of a case. */
import { z } from 'zod';
import { BatchId, CaseId, JobId } from '../ids.ts';
import { Progress } from '../events/declare-event.ts';
import type { Operation } from '../operation.ts';
import { wireInteger } from './parameters.ts';

/** States of an import; the first seven pass, the others are ends. */
export const ImportState = z.enum([
  'accepted',
  'planning',
  'staging',
  'importing',
  'processing',
  'indexing',
  'cancelling',
  'finished',
  'finished_with_errors',
  'failed',
  'cancelled',
]);
export type ImportState = z.infer<typeof ImportState>;

const dateOrder = z.enum(['month-first', 'day-first']);

/** What a column of a load file is. */
export const ColumnChoice = z.union([
  z.strictObject({
    core: z.string().min(1).describe('A core field, e.g. `controlNumber`.'),
    dateOrder: dateOrder.optional(),
  }),
  z.strictObject({
    custom: z.string().min(1).max(300).describe('Title of the custom field.'),
    type: z.enum(['text', 'long_text', 'date', 'number', 'yes_no', 'single_choice', 'multi_choice']).optional(),
    dateOrder: dateOrder.optional(),
  }),
  z.strictObject({ skip: z.literal(true) }),
]);
export type ColumnChoice = z.infer<typeof ColumnChoice>;

export const ImportMapping = z
  .strictObject({
    columns: z.record(z.string(), ColumnChoice).default({}).describe('By column name; the others are proposed.'),
    dateOrder: dateOrder.optional().describe('Of every date column that does not prove its order.'),
    timeZone: z
      .string()
      .regex(/^(UTC|[+-]\d{2}:\d{2})$/)
      .default('UTC')
      .describe('Of dates that state none.'),
    encoding: z.string().optional(),
    dialect: z
      .strictObject({
        column: z.string().length(1).optional(),
        qualifier: z.string().max(1).optional(),
        newline: z.string().max(1).optional(),
        multiValue: z.string().length(1).optional(),
        nested: z.string().length(1).optional(),
      })
      .default({}),
    header: z.boolean().optional(),
    labelCategory: z.string().optional().describe('Of labels whose value names none. Default: the name of the column.'),
  })
  .meta({ id: 'ImportMapping' });
export type ImportMapping = z.infer<typeof ImportMapping>;

export const ImportRequest = z
  .strictObject({
    path: z.string().min(1).max(4000).describe('Folder, zip or load file, as the server sees it.'),
    batch: z.string().min(1).max(300).optional().describe('Name of the batch. Default: name of the path and time.'),
    mapping: ImportMapping.prefault({}),
    deduplicate: z.enum(['none', 'custodian', 'case']).default('none').describe('By hash of the family root.'),
    overlay: z
      .strictObject({
        mode: z.enum(['append', 'replace', 'merge']),
        key: z
          .string()
          .min(1)
          .default('controlNumber')
          .describe('Core field, or title of a custom field, that rows are matched by.'),
      })
      .optional(),
    custodian: z.string().min(1).max(300).optional().describe('Of documents whose source names none.'),
    controlNumberPrefix: z
      .string()
      .regex(/^[\w.-]{1,50}$/)
      .default('DOC')
      .describe('Of documents whose source numbers none.'),
    rootedPaths: z.enum(['refuse', 'strip']).default('refuse'),
    ocr: z
      .enum(['auto', 'off'])
      .default('auto')
      .describe('Recognise the text of pages that have none that can be read.'),
    strict: z.boolean().default(false).describe('The first rejected row ends the import, and undoes it.'),
  })
  .meta({ id: 'ImportRequest' });
export type ImportRequest = z.infer<typeof ImportRequest>;

const count = z.number().int().nonnegative();

/** rows = imported + duplicates + overlaid + rejected, once the import has ended and is not resumable. */
export const ImportCounts = z.object({
  rows: count.describe('Rows, or items of loose files, that were read.'),
  imported: count,
  duplicates: count,
  overlaid: count,
  rejected: count,
  problems: count,
  files: count,
  bytes: count,
});
export type ImportCounts = z.infer<typeof ImportCounts>;

export const ImportJob = z
  .object({
    jobId: JobId,
    caseId: CaseId,
    batchId: BatchId,
    batch: z.string(),
    state: ImportState,
    source: z.string(),
    counts: ImportCounts,
    progress: Progress,
    createdBy: z.string(),
    createdAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    finishedAt: z.iso.datetime().nullable(),
    error: z.object({ code: z.string(), detail: z.string() }).nullable(),
    resumable: z
      .boolean()
      .describe('It failed because its message died, and nothing is undone: it can be resumed, or cancelled.'),
    stalled: z.string().nullable().describe('Why nothing carries it on, and what to do; null where something does.'),
  })
  .meta({ id: 'ImportJob' });
export type ImportJob = z.infer<typeof ImportJob>;

export const ImportProblem = z
  .object({
    problemId: z.number().int(),
    severity: z.enum(['note', 'warning', 'error']),
    code: z.string(),
    row: count.nullable(),
    line: count.nullable(),
    path: z.string().nullable().describe('Of the load file or the source item.'),
    field: z.string().nullable(),
    value: z.string().nullable(),
    reason: z.string(),
    rejected: z.boolean().describe('The row is not in the case.'),
  })
  .meta({ id: 'ImportProblem' });
export type ImportProblem = z.infer<typeof ImportProblem>;

export const ImportPreview = z
  .object({
    kind: z.enum(['load_file', 'loose_files']),
    dataFile: z.string().nullable(),
    imageList: z.string().nullable(),
    encoding: z.string().nullable(),
    columns: z.array(
      z.object({
        column: z.string(),
        target: z.string(),
        type: z.string(),
        reason: z.string(),
        warning: z.string().nullable(),
      }),
    ),
    rows: count.describe('Rows, or files, messages and attachments that would become exhibits.'),
    rejected: count,
    problemCounts: z.array(z.object({ code: z.string(), count })),
    problems: z.array(ImportProblem.omit({ problemId: true })),
  })
  .meta({ id: 'ImportPreview' });
export type ImportPreview = z.infer<typeof ImportPreview>;

const caseParams = z.strictObject({ caseId: wireInteger(CaseId) });
const importParams = z.strictObject({ caseId: wireInteger(CaseId), jobId: JobId });

export const importOperations = {
  createImport: {
    method: 'POST',
    path: '/v1/cases/{caseId}/imports',
    summary: 'Import a folder, zip or load file into a case',
    description: 'Answers at once; the import goes on in the background and is resumed after a crash.',
    tag: 'imports',
    permission: 'case.write',
    params: caseParams,
    body: ImportRequest,
    success: { status: 202, body: ImportJob },
    errors: [
      'case_not_found',
      'case_archived',
      'case_busy',
      'import_source_invalid',
      'duplicate_identity',
      'too_many_jobs',
    ],
  },
  previewImport: {
    method: 'POST',
    path: '/v1/cases/{caseId}/import-previews',
    summary: 'Say what an import would do',
    description: 'Reads the source, proposes the mapping, counts rows and problems; writes nothing.',
    tag: 'imports',
    permission: 'case.write',
    params: caseParams,
    body: ImportRequest,
    success: { status: 200, body: ImportPreview },
    errors: ['case_not_found', 'case_busy', 'import_source_invalid'],
  },
  listImports: {
    method: 'GET',
    path: '/v1/cases/{caseId}/imports',
    summary: 'List the imports of a case, newest first',
    tag: 'imports',
    permission: 'case.read',
    params: caseParams,
    success: { status: 200, body: z.object({ imports: z.array(ImportJob) }) },
    errors: ['case_not_found', 'case_busy'],
  },
  getImport: {
    method: 'GET',
    path: '/v1/cases/{caseId}/imports/{jobId}',
    summary: 'Get an import with its counts and progress',
    tag: 'imports',
    permission: 'case.read',
    params: importParams,
    success: { status: 200, body: ImportJob },
    errors: ['case_not_found', 'case_busy', 'import_not_found'],
  },
  listImportProblems: {
    method: 'GET',
    path: '/v1/cases/{caseId}/imports/{jobId}/problems',
    summary: 'List what was wrong with the source of an import',
    tag: 'imports',
    permission: 'case.read',
    params: importParams,
    query: z.strictObject({
      after: wireInteger(count).default(0),
      limit: wireInteger(z.int().min(1).max(1000)).default(100),
      code: z.string().optional(),
    }),
    success: {
      status: 200,
      body: z.object({
        problems: z.array(ImportProblem),
        counts: z.array(z.object({ code: z.string(), count })),
        next: count.nullable(),
      }),
    },
    errors: ['case_not_found', 'case_busy', 'import_not_found'],
  },
  resumeImport: {
    method: 'POST',
    path: '/v1/cases/{caseId}/imports/{jobId}/resume',
    summary: 'Carry on an import that stands still',
    description:
      'For an import that failed because its message died, or that nothing carries on; one that a worker has is not disturbed for long.',
    tag: 'imports',
    permission: 'case.write',
    params: importParams,
    success: { status: 202, body: ImportJob },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'import_not_found', 'import_busy'],
  },
  cancelImport: {
    method: 'POST',
    path: '/v1/cases/{caseId}/imports/{jobId}/cancel',
    summary: 'Cancel an import and undo what it wrote',
    tag: 'imports',
    permission: 'case.write',
    params: importParams,
    success: { status: 202, body: ImportJob },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'import_not_found', 'import_busy'],
  },
} as const satisfies Record<string, Operation>;
