/** What the operations feature is given: the parts of messaging that people look at and steer. */
import type { Breakers, Clock, DeadLetters, EventLog, Queues, Workflows } from '@casebound/messaging';

export interface OperationsDependencies {
  readonly queues: Pick<Queues, 'find' | 'list' | 'depth' | 'purge'>;
  readonly deadLetters: DeadLetters;
  readonly eventLog: EventLog;
  readonly workflows: Workflows;
  readonly breakers: Breakers;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
}
