/** What the use cases of this feature work with. `compose.ts` gives it. */
import type { Outbox } from '@casebound/messaging';
import type { Clock } from '../../platform/clock/Port.ts';
import type { RunImportDependencies } from './run-import.ts';

export interface ImportDependencies extends RunImportDependencies {
  readonly clock: Clock;
  readonly outbox: Outbox;
  /** Folders of the server that accounts may import from. */
  readonly roots: readonly string[];
}
