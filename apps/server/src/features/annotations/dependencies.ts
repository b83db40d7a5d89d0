/** What the use cases of this feature work with. `compose.ts` gives it. */
import type { CaseId } from '@casebound/contract';
import type { CaseSessions } from '../../database/index.ts';
import type { CrashPoint } from '../../platform/crash-points/Port.ts';
import type { DocumentEngine, PdfWorkers } from '../../platform/document-engine/Port.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import type { SearchIndex } from '../../platform/search-index/Port.ts';
import type { Fields, Publish } from '../fields/index.ts';
import type { CaseRecords } from '../records/index.ts';

export interface AnnotationDependencies {
  readonly sessions: CaseSessions;
  readonly records: CaseRecords;
  readonly objects: ObjectStore;
  readonly engine: DocumentEngine;
  readonly pdf: PdfWorkers;
  readonly index: SearchIndex;
  readonly fields: Fields;
  readonly publish: Publish;
  /** Called when the audit trail of a case has grown. */
  readonly onAudited: (caseId: CaseId) => void;
  readonly crashPoint: CrashPoint;
}
