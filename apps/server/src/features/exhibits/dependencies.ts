/** What the feature works with. */
import type { CaseId } from '@casebound/contract';
import type { CaseSessions } from '../../database/index.ts';
import type { DocumentEngine } from '../../platform/document-engine/Port.ts';
import type { ObjectStore } from '../../platform/object-store/Port.ts';
import type { ExhibitsChanged, Fields, FindByField } from '../fields/index.ts';
import type { CaseRecords } from '../records/index.ts';

export interface ExhibitDependencies {
  readonly sessions: CaseSessions;
  readonly records: CaseRecords;
  readonly fields: Fields;
  readonly objects: ObjectStore;
  readonly engine: Pick<DocumentEngine, 'listAnnotations'>;
  readonly findByField: FindByField;
  /** States in the transaction of a change that it was made. */
  readonly changed: ExhibitsChanged;
  readonly onAudited?: (caseId: CaseId) => void;
}
