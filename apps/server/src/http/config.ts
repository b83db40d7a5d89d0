/** Settings of the HTTP server. */
import { z } from 'zod';

const milliseconds = (least: number, most: number) => z.int().min(least).max(most);

export const httpConfigSchema = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on; `0.0.0.0` for all.'),
    port: z.int().min(0).max(65_535).default(4700).describe('Port to listen on; 0 takes any that is free.'),
    bodyLimitBytes: z
      .int()
      .min(1024)
      .max(256 * 1024 * 1024)
      .default(1024 * 1024)
      .describe('Largest body of a request.'),
    maxUrlLength: z.int().min(256).max(15_000).default(4096).describe('Longest path with query, in characters.'),
    maxHeaderBytes: z.int().min(4096).max(65_536).default(16_384).describe('All headers of a request together.'),
    maxJsonDepth: z.int().min(8).max(1000).default(64).describe('How deep a body may be nested.'),
    maxConnections: z.int().min(1).max(65_535).default(2048).describe('Connections open at a time.'),
    maxConcurrentRequests: z
      .int()
      .min(1)
      .max(65_535)
      .default(256)
      .describe('Requests worked on at a time; more are answered `overloaded`. Health checks are not counted.'),
    requestTimeoutMs: milliseconds(100, 3_600_000)
      .default(30_000)
      .describe('How long an operation may take; then it is answered `operation_timeout`.'),
    receiveTimeoutMs: milliseconds(100, 3_600_000)
      .default(60_000)
      .describe('How long a client may take to send a whole request.'),
    headersTimeoutMs: milliseconds(100, 600_000)
      .default(10_000)
      .describe('How long a client may take to send the headers; at most `receiveTimeoutMs`.'),
    keepAliveTimeoutMs: milliseconds(100, 600_000)
      .default(72_000)
      .describe('How long an idle connection stays open; longer than a load balancer in front keeps it.'),
    idleTimeoutMs: milliseconds(100, 3_600_000)
      .default(120_000)
      .describe('A connection on which nothing moves for so long during a request is closed.'),
    drainDelayMs: milliseconds(0, 600_000)
      .default(0)
      .describe('On shutdown: how long to go on serving while `/health/ready` says no, for a load balancer to notice.'),
    shutdownDeadlineMs: milliseconds(0, 600_000)
      .default(15_000)
      .describe('On shutdown: how long requests that are under way may take to finish.'),
  })
  .refine((http) => http.headersTimeoutMs <= http.receiveTimeoutMs, {
    path: ['headersTimeoutMs'],
    message: 'The headers are part of the request: at most `receiveTimeoutMs`.',
  })
  .refine((http) => http.requestTimeoutMs < http.idleTimeoutMs, {
    path: ['idleTimeoutMs'],
    message: 'More than `requestTimeoutMs`, during which an operation may say nothing.',
  })
  .prefault({});
export type HttpConfig = z.infer<typeof httpConfigSchema>;
