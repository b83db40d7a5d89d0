/** All operations. A new part adds its own map here, and nothing else has to know. */
import type { HandlersOf, OperationMap } from './operation.ts';
import { accountOperations } from './operations/accounts.ts';
import { annotationOperations } from './operations/annotations.ts';
import { auditOperations } from './operations/audit.ts';
import { caseOperations } from './operations/cases.ts';
import { exchangeProofOperations } from './operations/exchange-proof.ts';
import { exhibitOperations } from './operations/exhibits.ts';
import { fieldOperations } from './operations/fields.ts';
import { importOperations } from './operations/imports.ts';
import { exchangeOperations } from './operations/exchange.ts';
import { messagingOperations } from './operations/messaging.ts';
import { systemOperations } from './operations/system.ts';

export const operations = {
  ...systemOperations,
  ...caseOperations,
  ...accountOperations,
  ...annotationOperations,
  ...exchangeProofOperations,
  ...importOperations,
  ...fieldOperations,
  ...auditOperations,
  ...exhibitOperations,
  ...messagingOperations,
  ...exchangeOperations,
} as const satisfies OperationMap;

export type Operations = typeof operations;
export type OperationName = keyof Operations;

/** A handler for each operation: a missing one does not compile. */
export type Handlers = HandlersOf<Operations>;
