/** The proof of an exchange: its manifest, and checking the destination against it. */
import { z } from 'zod';
import { JobId } from '../ids.ts';
import type { OperationMap } from '../operation.ts';
import { wireInteger } from './parameters.ts';

const count = z.number().int().nonnegative();
const jobParams = z.strictObject({ jobId: JobId });

/** Where reading a manifest goes on. */
export const ManifestCursor = z
  .object({
    offset: count.describe('In bytes.'),
    line: count.describe('Lines that lie before it.'),
    previous: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .describe('SHA-256 of the line before it.'),
  })
  .meta({ id: 'ManifestCursor' });
export type ManifestCursor = z.infer<typeof ManifestCursor>;

export const ManifestDifference = z
  .object({
    line: count.describe('Line of the manifest.'),
    controlNumber: z.string().nullable(),
    what: z.enum(['manifest', 'signature', 'record', 'values', 'object', 'annotations', 'pages']),
    place: z.string().describe('Key of the object, or what of the exhibit it is about.'),
    detail: z.string(),
  })
  .meta({ id: 'ManifestDifference' });
export type ManifestDifference = z.infer<typeof ManifestDifference>;

const errors = [
  'exchange_not_found',
  'exchange_state_conflict',
  'case_not_found',
  'case_busy',
  'object_not_found',
  'object_store_unavailable',
] as const;

export const exchangeProofOperations = {
  showExchangesPage: {
    method: 'GET',
    path: '/exchanges',
    summary: 'A page for browsers: all exchanges',
    tag: 'exchanges',
    permission: 'case.read',
    success: { status: 200, contentType: 'text/html; charset=utf-8' },
    errors: [],
  },
  showExchangePage: {
    method: 'GET',
    path: '/exchanges/{jobId}',
    summary: 'A page for browsers: one exchange, its progress and what failed',
    tag: 'exchanges',
    permission: 'case.read',
    params: jobParams,
    success: { status: 200, contentType: 'text/html; charset=utf-8' },
    errors: ['exchange_not_found', 'case_not_found', 'case_busy'],
  },
  readExchangeManifest: {
    method: 'GET',
    path: '/v1/exchanges/{jobId}/manifest',
    summary: 'Read the signed manifest of an exchange, a part at a time',
    tag: 'exchanges',
    permission: 'case.read',
    params: jobParams,
    query: z.strictObject({ offset: wireInteger(count).default(0) }),
    success: {
      status: 200,
      body: z.object({
        text: z.string().describe('Whole lines.'),
        next: count.nullable().describe('Offset in bytes of the next part; null at the end.'),
        size: count.describe('Bytes of the manifest.'),
      }),
    },
    errors,
  },
  checkExchangeManifest: {
    method: 'GET',
    path: '/v1/exchanges/{jobId}/verification',
    summary: 'Check the destination against the manifest, a part at a time',
    description:
      'Reads every record and every byte of every object of the items of this part again. Begin without a cursor, and go on with `next` until it is null.',
    tag: 'exchanges',
    permission: 'case.read',
    params: jobParams,
    query: z.strictObject({
      offset: wireInteger(count).default(0),
      line: wireInteger(count).default(0),
      previous: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .default('0'.repeat(64)),
      items: wireInteger(z.number().int().min(1).max(500)).default(100),
    }),
    success: {
      status: 200,
      body: z.object({
        items: count,
        objects: count,
        bytes: count,
        differences: z.array(ManifestDifference),
        signed: z.boolean().nullable().describe('Whether the signature holds; null before its line was reached.'),
        publicKey: z.string().describe('Of this installation, SPKI in base64.'),
        size: count.describe('Bytes of the manifest.'),
        next: ManifestCursor.nullable(),
      }),
    },
    errors,
  },
} as const satisfies OperationMap;
