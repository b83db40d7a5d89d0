/** Settings of the object store. Values that are secrets come as references and are resolved by the caller. */
import { z } from 'zod';
import { secretString } from '../secrets/Port.ts';

const mebibyte = 1024 * 1024;

export const filesystemObjectStoreConfig = z.strictObject({
  kind: z.literal('filesystem').describe('A folder on this machine or a shared file system.'),
  root: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder of the objects. Default: `objects` in the data folder. All processes of an installation use the same one.',
    ),
  fsync: z
    .enum(['always', 'batch', 'never'])
    .default('always')
    .describe(
      'What survives a loss of power (a killed process loses nothing with any of them): `always`: a put, copy or delete is on disk when it resolves. `batch`: it is on disk after the next `flush()`, and after `flushIntervalMs` at the latest. `never`: whenever the operating system writes it. A torn object is found by its record and reported as corrupt.',
    ),
  flushIntervalMs: z
    .number()
    .int()
    .min(10)
    .max(60_000)
    .default(1_000)
    .describe('With fsync `batch`: longest time until a put is on disk.'),
  copies: z
    .enum(['hardlink', 'reflink', 'bytes'])
    .default('hardlink')
    .describe(
      'How a copy is made. `hardlink`: both keys name the same bytes on disk (safe, because objects are never changed in place). `reflink`: own file that shares blocks (Btrfs, XFS, APFS). `bytes`: own file with own blocks, hashed again on the way. Each falls back to the next where the file system cannot do it.',
    ),
  groupReadable: z
    .boolean()
    .default(false)
    .describe(
      'Whether the group of the process may read objects: files 0440 and folders 0750 instead of 0400 and 0700.',
    ),
  sweepAfterSeconds: z
    .number()
    .int()
    .min(60)
    .default(86_400)
    .describe('Age at which temporary files of processes that cannot be asked (other machines) count as left over.'),
});
export type FilesystemObjectStoreConfig = z.infer<typeof filesystemObjectStoreConfig>;

export const s3ObjectStoreConfig = z
  .strictObject({
    kind: z.literal('s3').describe('Amazon S3 or a service that speaks its protocol.'),
    bucket: z
      .string()
      .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{1,254}$/, 'a bucket name')
      .describe('Name of the bucket; it must exist.'),
    region: z.string().min(1).default('us-east-1').describe('Region that requests are signed for.'),
    endpoint: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('`https://storage.example.com`. Default: Amazon S3 of the region.'),
    pathStyle: z
      .boolean()
      .optional()
      .describe(
        '`https://endpoint/bucket/key` instead of `https://bucket.endpoint/key`. Default: true when an endpoint is given.',
      ),
    keyPrefix: z
      .string()
      .regex(/^([A-Za-z0-9._=@+,-]+\/)*$/, 'empty, or plain segments that each end with a slash')
      .max(200)
      .default('')
      .describe('Put before every key, for a bucket that others use too: `casebound/`.'),
    accessKeyId: secretString({ kind: 'text' })
      .optional()
      .describe(
        'The access key, or a reference `secret://name` to it. Without it: the default chain (environment, profile, role).',
      ),
    secretAccessKey: secretString({ kind: 'text' }).optional().describe('The secret key, `secret://name`.'),
    sessionToken: secretString({ kind: 'text' }).optional().describe('Reference to a session token, `secret://name`.'),
    conditionalWrites: z
      .enum(['native', 'check-then-write'])
      .default('native')
      .describe(
        'How create-only is kept. `native`: `If-None-Match`, verified once that the endpoint honours it. `check-then-write`: for endpoints without it; exact within one process only, so not for several processes on one bucket.',
      ),
    checksums: z
      .enum(['sha256', 'none'])
      .default('sha256')
      .describe(
        'Whether puts carry `x-amz-checksum-sha256`, which the endpoint checks and keeps. `none` for endpoints that refuse the header.',
      ),
    partBytes: z
      .number()
      .int()
      .min(5 * mebibyte)
      .max(512 * mebibyte)
      .default(8 * mebibyte)
      .describe('Size of parts, and of the largest object stored with a single request.'),
    partConcurrency: z
      .number()
      .int()
      .min(1)
      .max(64)
      .default(4)
      .describe(
        'Parts of one object on their way at once. Memory of a put: (partConcurrency + 1) * partBytes at most.',
      ),
    copyPartBytes: z
      .number()
      .int()
      .min(5 * mebibyte)
      .max(5 * 1024 * mebibyte)
      .default(512 * mebibyte)
      .describe(
        'Objects above this size are copied in parts of this size, in parallel. At most 5 GiB, the limit of one copy request.',
      ),
    connectTimeoutMs: z.number().int().min(100).default(3_000).describe('Time to establish a connection.'),
    requestTimeoutMs: z
      .number()
      .int()
      .min(100)
      .default(60_000)
      .describe('Time from the start of a request to the head of its answer; an upload of one part lies within it.'),
    idleTimeoutMs: z
      .number()
      .int()
      .min(100)
      .default(20_000)
      .describe('Longest pause between bytes of a body while somebody waits for them.'),
    maxAttempts: z
      .number()
      .int()
      .min(1)
      .max(10)
      .default(4)
      .describe('Tries of a request, the first included; the pauses between them grow, with full jitter.'),
    maxConnections: z
      .number()
      .int()
      .min(1)
      .max(1_000)
      .default(48)
      .describe('Requests at once; and as many open reads at once beside them.'),
    sweepAfterSeconds: z
      .number()
      .int()
      .min(3_600)
      .default(259_200)
      .describe(
        'Age at which unfinished uploads and temporary objects count as left over. Longer than any single upload takes.',
      ),
  })
  .refine((config) => (config.accessKeyId === undefined) === (config.secretAccessKey === undefined), {
    message: 'accessKeyId and secretAccessKey come together or not at all',
    path: ['secretAccessKey'],
  })
  .refine((config) => config.sessionToken === undefined || config.accessKeyId !== undefined, {
    message: 'sessionToken needs accessKeyId and secretAccessKey',
    path: ['sessionToken'],
  });
export type S3ObjectStoreConfig = z.infer<typeof s3ObjectStoreConfig>;

export const objectStoreConfigSchema = z.discriminatedUnion('kind', [filesystemObjectStoreConfig, s3ObjectStoreConfig]);
export type ObjectStoreConfig = z.infer<typeof objectStoreConfigSchema>;
