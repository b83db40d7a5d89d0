/** Settings of exchanges. */
import { z } from 'zod';

const int = (least: number, most: number, preset: number, sentence: string) =>
  z.int().min(least).max(most).default(preset).describe(sentence);

export const exchangeConfigSchema = z
  .strictObject({
    handlerTimeoutMs: int(10_000, 3_600_000, 900_000, 'How long a processor may work on one message.'),
    copyParallel: int(1, 64, 8, 'Chunks of records that are copied at once, bounded by the pool of connections.'),
    copyChunk: int(100, 100_000, 5_000, 'Records in one transaction of the record copy.'),
    messageDocuments: int(
      1,
      1_000,
      500,
      'Documents that one message carries; a tenth of it where annotations are worked into PDFs.',
    ),
    concurrency: int(1, 256, 4, 'Messages that one process works on at once, of each stage of an exchange.'),
    batchWindowMs: int(0, 60_000, 0, 'How long a receive may gather messages.'),
    indexBulkActions: int(1, 100_000, 20_000, 'Index documents in one write to the search index.'),
    indexBulkBytes: int(100_000, 1_000_000_000, 10_000_000, 'Bytes of text in one write to the search index.'),
    teardownDelayMs: int(100, 900_000, 90_000, 'How long the take-down waits when a queue was not empty.'),
    breakerThreshold: int(1, 100, 5, 'Failures of the document engine in a row after which it is left alone.'),
    breakerOpenMs: int(100, 600_000, 30_000, 'How long it is left alone before one call tries it.'),
    maxOpenPerCase: int(
      1,
      1_000,
      10,
      'Exchanges that one case may take part in at once; more are refused for the moment.',
    ),
    leaseMs: int(
      2_000,
      600_000,
      20_000,
      'Time after which another process takes an exchange over whose process is gone.',
    ),
    pollMs: int(50, 60_000, 250, 'How often the orchestrator looks at the ledger of a running exchange.'),
    manifestKey: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*(?:[./][A-Za-z0-9][A-Za-z0-9_-]*)*$/)
      .default('exchange-manifest-key')
      .describe(
        'Name of the secret that signs manifests: 32 bytes in hexadecimal. Made at first use where secrets can be kept.',
      ),
    maxPdfBytes: int(1_000, 2_000_000_000, 1_000_000_000, 'Largest PDF that is put into the document engine.'),
  })
  .prefault({});
export type ExchangeConfig = z.output<typeof exchangeConfigSchema>;
