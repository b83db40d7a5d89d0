/** What the adapter needs from outside, in the smallest form. The server's case sessions, object store and PDF workers fit. */
import type { Actor, CaseId } from '@casebound/contract';
import type { ObjectStore } from '../../../object-store/Port.ts';
import type { PdfWorkers } from '../../pdf-workers/pdf-tasks.ts';

interface Rows<Row> {
  readonly rows: Row[];
  readonly rowCount: number;
}

/** A transaction within one case; unqualified names are those of the case's schema. */
export interface CaseQueries {
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Rows<Row>>;
}

export interface CaseStore {
  withCase<T>(
    caseId: CaseId,
    actor: Actor,
    fn: (tx: CaseQueries) => Promise<T>,
    options?: { readonly readOnly?: boolean; readonly signal?: AbortSignal },
  ): Promise<T>;
}

export interface BuiltinDependencies {
  readonly cases: CaseStore;
  readonly objects: Pick<ObjectStore, 'put' | 'get' | 'readAll' | 'copyAll' | 'delete' | 'flush'>;
  readonly workers: PdfWorkers;
}
