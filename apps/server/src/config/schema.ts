/** The whole configuration: one schema an area, each kept by the area's owner. A new area adds its line here. */
import { z } from 'zod';
import { databaseConfigDefault, databaseConfigSchema } from '../database/config.ts';
import { accessConfigSchema } from '../features/access/config.ts';
import { exchangeConfigSchema } from '../features/exchange/config.ts';
import { importConfigSchema } from '../features/import/config.ts';
import { messagingConfigSchema } from '../features/operations/config.ts';
import { recordsConfigSchema } from '../features/records/config.ts';
import { httpConfigSchema } from '../http/config.ts';
import { documentEngineConfigSchema, pdfWorkersConfigSchema } from '../platform/document-engine/config.ts';
import { logConfigSchema } from '../platform/log/config.ts';
import { objectStoreConfigSchema } from '../platform/object-store/config.ts';
import { ocrConfigSchema } from '../platform/ocr/config.ts';
import { searchIndexConfigSchema } from '../platform/search-index/config.ts';
import { secretsConfigSchema } from '../platform/secrets/config.ts';

export const configSchema = z.strictObject({
  http: httpConfigSchema,
  database: databaseConfigSchema.prefault(databaseConfigDefault),
  objectStore: objectStoreConfigSchema.prefault({ kind: 'filesystem' }),
  secrets: secretsConfigSchema,
  log: logConfigSchema,
  access: accessConfigSchema,
  messaging: messagingConfigSchema,
  records: recordsConfigSchema,
  import: importConfigSchema,
  documentEngine: documentEngineConfigSchema.prefault({ kind: 'builtin' }),
  pdfWorkers: pdfWorkersConfigSchema,
  ocr: ocrConfigSchema.prefault({}),
  searchIndex: searchIndexConfigSchema,
  exchange: exchangeConfigSchema,
});
export type Config = z.output<typeof configSchema>;
