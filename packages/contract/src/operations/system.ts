/** The server itself: health, status, metrics. */
import { z } from 'zod';
import type { Operation } from '../operation.ts';

const Check = z.object({
  name: z.string(),
  ok: z.boolean(),
  detail: z.string().describe('What was found; for a failed check, what to do.'),
});

export const Readiness = z.object({ ready: z.boolean(), checks: z.array(Check) }).meta({ id: 'Readiness' });
export type Readiness = z.infer<typeof Readiness>;

export const Status = z
  .object({
    version: z.string(),
    role: z.enum(['all', 'api', 'worker', 'migrate']),
    pid: z.number().int(),
    startedAt: z.iso.datetime(),
    uptimeSeconds: z.number(),
    database: z.object({ kind: z.enum(['embedded', 'url']), serverVersion: z.string(), migration: z.number().int() }),
    objectStore: z.object({ kind: z.string() }),
    cases: z.object({ creating: z.number(), active: z.number(), archived: z.number(), deleting: z.number() }),
  })
  .meta({ id: 'Status' });
export type Status = z.infer<typeof Status>;

export const systemOperations = {
  healthLive: {
    method: 'GET',
    path: '/health/live',
    summary: 'Is the process alive?',
    tag: 'system',
    permission: 'public',
    success: { status: 200, body: z.object({ live: z.literal(true) }) },
    errors: [],
  },
  healthReady: {
    method: 'GET',
    path: '/health/ready',
    summary: 'Can the server do its work?',
    description: 'Answers 200 with every check, or 503 `not_ready` with the failed checks in `errors`.',
    tag: 'system',
    permission: 'public',
    success: { status: 200, body: Readiness },
    errors: ['not_ready'],
  },
  getMetrics: {
    method: 'GET',
    path: '/metrics',
    summary: 'Metrics in the text format of Prometheus',
    tag: 'system',
    permission: 'system.read',
    success: { status: 200, contentType: 'text/plain; version=0.0.4; charset=utf-8' },
    errors: [],
  },
  getStatus: {
    method: 'GET',
    path: '/v1/status',
    summary: 'Version, database, object store and number of cases',
    tag: 'system',
    permission: 'system.read',
    success: { status: 200, body: Status },
    errors: [],
  },
} as const satisfies Record<string, Operation>;
