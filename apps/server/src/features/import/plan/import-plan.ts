/** The plan of an import: what the source is and what its columns mean. Kept in the job's row, so that a resumed import reads alike. */
import { z } from 'zod';
import { fieldTypes } from '../../fields/index.ts';
import { SourcePin } from '../sources/pinned-root.ts';

const dateOrder = z.enum(['month-first', 'day-first']).nullable();

export const PlannedColumn = z.discriminatedUnion('target', [
  z.object({ target: z.literal('core'), index: z.number(), column: z.string(), field: z.string(), dateOrder }),
  z.object({
    target: z.literal('custom'),
    index: z.number(),
    column: z.string(),
    title: z.string(),
    type: z.enum(fieldTypes),
    dateOrder,
  }),
  z.object({ target: z.literal('skip'), index: z.number(), column: z.string() }),
]);
export type PlannedColumn = z.infer<typeof PlannedColumn>;

export const LoadFilePlan = z.object({
  kind: z.literal('load_file'),
  format: z.enum(['delimited', 'edrm-xml']).default('delimited'),
  /** Folder or zip that paths are below; absolute path on the server. */
  root: z.string(),
  /** Below the root. */
  dataFile: z.string(),
  imageList: z.object({ path: z.string(), format: z.enum(['opt', 'lfp']) }).nullable(),
  encoding: z.string().nullable(),
  hasHeader: z.boolean(),
  columns: z.array(PlannedColumn),
  /** What the data file and the image list were. */
  pins: z.array(SourcePin).default([]),
});
export type LoadFilePlan = z.infer<typeof LoadFilePlan>;

export const LooseFilesPlan = z.object({ kind: z.literal('loose_files'), root: z.string() });
export type LooseFilesPlan = z.infer<typeof LooseFilesPlan>;

export const ImportPlan = z.discriminatedUnion('kind', [LoadFilePlan, LooseFilesPlan]);
export type ImportPlan = z.infer<typeof ImportPlan>;
