/** Custom fields: their definitions, the values of exhibits, and how a case stores them. */
import { z } from 'zod';
import { CaseId, ExhibitId } from '../ids.ts';
import type { Operation } from '../operation.ts';
import { wireInteger } from './parameters.ts';

const count = z.number().int().nonnegative();
const inputTypes = ['text', 'long_text', 'date', 'number', 'yes_no', 'single_choice', 'multi_choice'] as const;
const title = z
  .string()
  .min(1)
  .max(300)
  .regex(/^[^\p{Cc}]+$/u, 'No control characters.')
  .refine((text) => text === text.trim() && text !== '__proto__', 'No blanks at its ends, and not `__proto__`.');
const choices = z.array(z.string().min(1).max(300)).max(1000);
const settings = z.record(z.string().max(100), z.union([z.string().max(1000), z.number(), z.boolean()]));

export const CustomField = z
  .object({
    fieldId: z.number().int(),
    title: z.string(),
    inputType: z.enum(inputTypes),
    description: z.string().nullable(),
    displayOrder: z.number().int().nullable(),
    choices: z.array(z.string()).describe('What a choice field offers; an empty list offers anything.'),
    settings: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'CustomField' });
export type CustomField = z.infer<typeof CustomField>;

export const NewCustomField = z
  .strictObject({
    title,
    inputType: z.enum(inputTypes),
    description: z.string().max(2000).optional(),
    displayOrder: z.int().min(0).max(1_000_000).optional(),
    choices: choices.default([]),
    settings: settings.default({}),
  })
  .meta({ id: 'NewCustomField' });
export type NewCustomField = z.infer<typeof NewCustomField>;

/** Title and type of a field stay: values were checked against them. */
export const CustomFieldChange = z
  .strictObject({
    description: z.string().max(2000).nullable().optional(),
    displayOrder: z.int().min(0).max(1_000_000).nullable().optional(),
    choices: choices
      .optional()
      .describe('Values that exhibits have already stay, also when they are no choice any more.'),
    settings: settings.optional(),
  })
  .meta({ id: 'CustomFieldChange' });
export type CustomFieldChange = z.infer<typeof CustomFieldChange>;

const wireValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);

export const ExhibitFieldValues = z
  .object({
    exhibitId: z.number().int(),
    values: z.record(z.string(), wireValue),
    version: count.describe('State it with an update; 0 where there are no values.'),
  })
  .meta({ id: 'ExhibitFieldValues' });
export type ExhibitFieldValues = z.infer<typeof ExhibitFieldValues>;

export const FieldValuesUpdate = z
  .strictObject({
    values: z.record(z.string().min(1).max(300), wireValue.nullable()).describe('By title; null removes a value.'),
    version: count.optional().describe('The version that was read. Left out: upon whatever is there.'),
  })
  .meta({ id: 'FieldValuesUpdate' });
export type FieldValuesUpdate = z.infer<typeof FieldValuesUpdate>;

export const storageSwitchNames = [
  'parallel-write',
  'filters-from-index',
  'read-from-objects',
  'stop-table-writes',
] as const;

export const FieldStorage = z
  .object({
    storage: z.enum(['segments', 'tables']).describe('`tables`: an older case, wherever it is on its way to segments.'),
    switches: z.array(z.object({ name: z.enum(storageSwitchNames), on: z.boolean() })),
  })
  .meta({ id: 'FieldStorage' });
export type FieldStorage = z.infer<typeof FieldStorage>;

const FieldStorageStep = FieldStorage.extend({
  compared: count.nullable().describe('How much was found equal before the switch; null where nothing had to be.'),
  copied: count.describe('Exhibits whose values were copied.'),
}).meta({ id: 'FieldStorageStep' });

export const FieldReconciliation = z
  .object({
    sampled: count,
    indexRepaired: count,
    incidents: z.array(z.object({ kind: z.string(), exhibitId: z.number().int().nullable(), detail: z.string() })),
  })
  .meta({ id: 'FieldReconciliation' });

const caseParams = z.strictObject({ caseId: wireInteger(CaseId) });
const exhibitParams = z.strictObject({ caseId: wireInteger(CaseId), exhibitId: wireInteger(ExhibitId) });

export const fieldOperations = {
  listFields: {
    method: 'GET',
    path: '/v1/cases/{caseId}/fields',
    summary: 'List the custom fields of a case',
    tag: 'fields',
    permission: 'case.read',
    params: caseParams,
    success: { status: 200, body: z.object({ fields: z.array(CustomField) }) },
    errors: ['case_not_found', 'case_busy'],
  },
  createField: {
    method: 'POST',
    path: '/v1/cases/{caseId}/fields',
    summary: 'Add a custom field',
    tag: 'fields',
    permission: 'case.manage',
    params: caseParams,
    body: NewCustomField,
    success: { status: 201, body: CustomField },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'duplicate_identity'],
  },
  changeField: {
    method: 'PATCH',
    path: '/v1/cases/{caseId}/fields/{fieldId}',
    summary: 'Change choices, order, description or settings of a custom field',
    tag: 'fields',
    permission: 'case.manage',
    params: z.strictObject({ caseId: wireInteger(CaseId), fieldId: wireInteger(z.int().positive()) }),
    body: CustomFieldChange,
    success: { status: 200, body: CustomField },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'record_not_found'],
  },
  getFieldValues: {
    method: 'GET',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}/fields',
    summary: 'Get the custom-field values of an exhibit',
    tag: 'fields',
    permission: 'case.read',
    params: exhibitParams,
    success: { status: 200, body: ExhibitFieldValues },
    errors: [
      'case_not_found',
      'case_busy',
      'exhibit_not_found',
      'object_not_found',
      'object_corrupt',
      'object_store_unavailable',
    ],
  },
  updateFieldValues: {
    method: 'PATCH',
    path: '/v1/cases/{caseId}/exhibits/{exhibitId}/fields',
    summary: 'Change custom-field values of an exhibit',
    description:
      'A version that is not the present one is answered `version_conflict`, with what is there and what was wanted.',
    tag: 'fields',
    permission: 'case.write',
    params: exhibitParams,
    body: FieldValuesUpdate,
    success: { status: 200, body: ExhibitFieldValues },
    errors: [
      'case_not_found',
      'case_archived',
      'case_busy',
      'exhibit_not_found',
      'version_conflict',
      'object_not_found',
      'object_corrupt',
      'object_store_unavailable',
      'conflict_retries_exhausted',
    ],
  },
  getFieldStorage: {
    method: 'GET',
    path: '/v1/cases/{caseId}/field-storage',
    summary: 'Say how a case stores its custom fields',
    tag: 'fields',
    permission: 'case.read',
    params: caseParams,
    success: { status: 200, body: FieldStorage },
    errors: ['case_not_found', 'case_busy'],
  },
  switchFieldStorage: {
    method: 'POST',
    path: '/v1/cases/{caseId}/field-storage/switches',
    summary: 'Turn a switch of the way from tables to segments, or turn it back',
    description:
      'Refused out of order, and where what the switch relies on is not equal. Asked again, it goes on where it was.',
    tag: 'fields',
    permission: 'case.manage',
    params: caseParams,
    body: z.strictObject({ name: z.enum(storageSwitchNames), on: z.boolean() }),
    success: { status: 200, body: FieldStorageStep },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'storage_step_refused', 'object_store_unavailable'],
  },
  makeFieldStorageLegacy: {
    method: 'POST',
    path: '/v1/cases/{caseId}/field-storage/legacy',
    summary: 'Move the custom fields of a case into tables, as older cases have them',
    tag: 'fields',
    permission: 'system.manage',
    params: caseParams,
    success: { status: 200, body: FieldStorageStep },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'storage_step_refused', 'object_store_unavailable'],
  },
  compactFields: {
    method: 'POST',
    path: '/v1/cases/{caseId}/field-storage/compactions',
    summary: 'Fold single edits into segments, and remove objects that nothing points at',
    tag: 'fields',
    permission: 'case.manage',
    params: caseParams,
    success: {
      status: 200,
      body: z.object({
        exhibits: count.describe('Exhibits whose values moved.'),
        segments: count.describe('Segments that were written.'),
        removed: count.describe('Objects that were removed.'),
        waiting: count.describe('Segments without pointers whose grace period has not ended.'),
      }),
    },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'object_store_unavailable'],
  },
  reconcileFields: {
    method: 'POST',
    path: '/v1/cases/{caseId}/field-storage/reconciliations',
    summary: 'Compare pointers, objects, tables and index of a sample of exhibits',
    description: 'Puts right what the index has wrong; anything else is an incident.',
    tag: 'fields',
    permission: 'case.manage',
    params: caseParams,
    body: z.strictObject({ sample: z.int().min(1).max(10_000).default(500) }),
    success: { status: 200, body: FieldReconciliation },
    errors: ['case_not_found', 'case_archived', 'case_busy', 'object_store_unavailable', 'search_index_unavailable'],
  },
} as const satisfies Record<string, Operation>;
