/** Settings of the installation in which exchanges are killed: short waits, small messages and chunks, so that there are many steps. */
import type { ExchangeConfig } from '../../../apps/server/src/features/exchange/index.ts';

export const settings: Partial<ExchangeConfig> = {
  messageDocuments: 3,
  handlerTimeoutMs: 30_000,
  leaseMs: 2_000,
  teardownDelayMs: 100,
  pollMs: 100,
  copyChunk: 100,
  concurrency: 2,
};
