/** What the use cases of this feature work with. `compose.ts` gives it. */
import type { Queues } from '@casebound/messaging';
import type { Clock } from '../../platform/clock/Port.ts';
import type { RunImportDependencies } from './run-import.ts';

export interface ImportDependencies extends RunImportDependencies {
  readonly clock: Clock;
  readonly queues: Pick<Queues, 'depth'>;
  /** Folders of the server that accounts may import from. */
  readonly roots: readonly string[];
  /** Imports of one case that may be under way at once. */
  readonly activePerCase: number;
}
