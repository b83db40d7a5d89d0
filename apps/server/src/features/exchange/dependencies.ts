/** What exchanges work with. `compose.ts` gives it. */
import type { Messaging } from '@casebound/messaging';
import type { CaseDatabases, CaseSessions, Database } from '../../database/index.ts';
import type { Clock } from '../../platform/clock/Port.ts';
import type { CrashPoint } from '../../platform/crash-points/Port.ts';
import type { DocumentEngine, PdfWorkers } from '../../platform/document-engine/Port.ts';
import type { Log } from '../../platform/log/Port.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import type { CaseRecords } from '../records/index.ts';
import type { ExchangeConfig } from './config.ts';
import type { ManifestKeys } from './verification/manifest-keys.ts';

export interface ExchangeDependencies {
  readonly control: Database;
  readonly caseDatabases: CaseDatabases;
  readonly owner: (server: string, databaseName: string) => Database;
  readonly sessions: CaseSessions;
  readonly records: CaseRecords;
  readonly objects: ObjectStore;
  readonly engine: DocumentEngine;
  readonly pdf: PdfWorkers;
  readonly index: SearchIndex;
  /** Asked when it is used: messaging is given handlers that use it. */
  readonly messaging: () => Messaging;
  readonly clock: Clock;
  readonly log: Log;
  readonly crashPoint: CrashPoint;
  readonly config: ExchangeConfig;
  readonly manifestKeys: ManifestKeys;
  /** Name of this process. */
  readonly worker: string;
}
