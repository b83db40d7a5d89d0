/**
 * Settings of the installation in which exchanges are killed: short waits, small messages and chunks, so that there are many steps.
 * CHAOS_MESSAGE_DOCUMENTS in the environment makes messages larger: with as many as there are exhibits, a stage is one message.
 */
import type { ExchangeConfig } from '../../../apps/server/src/features/exchange/index.ts';

/** How long an exchange may take, and a process that works on it, on a machine that others use: a few seconds when nobody does. */
export const patience = { settleMs: 180_000, processMs: 200_000 } as const;

export const settings: Partial<ExchangeConfig> = {
  messageDocuments: Number(process.env['CHAOS_MESSAGE_DOCUMENTS'] ?? '3'),
  handlerTimeoutMs: 30_000,
  leaseMs: 2_000,
  teardownDelayMs: 100,
  pollMs: 100,
  copyChunk: 100,
  concurrency: 2,
};
