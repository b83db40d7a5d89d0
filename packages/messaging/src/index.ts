export { errorEventOf } from './announce-dead-letters.ts';
export type { BreakerReport, Breakers } from './breakers.ts';
export { createCircuitBreaker } from './circuit-breaker.ts';
export type { BreakerChange, BreakerSettings, BreakerState, CircuitBreaker } from './circuit-breaker.ts';
export { createClaimChecks } from './claim-check.ts';
export type { ClaimChecks } from './claim-check.ts';
export { AlreadyDone, classifyFailure } from './classify-failure.ts';
export type { Failure } from './classify-failure.ts';
export { crashPointNames } from './crash-points.ts';
export type { CrashPointName, MessagingCrashPoint } from './crash-points.ts';
export { createConsumer } from './consumer/consumer.ts';
export type { Consumer, ConsumerOptions } from './consumer/consumer.ts';
export { handleEvents, handleJob, handleJobBatch, jobMessage } from './consumer/typed-handlers.ts';
export type { EventHandlers, JobDelivery, JobHandler, JobHandlers } from './consumer/typed-handlers.ts';
export { defaultRetry, each } from './consumer/worker-definition.ts';
export type { BatchHandler, Delivery, DeliveryFailure, WorkerDefinition } from './consumer/worker-definition.ts';
export { createMessaging } from './create-messaging.ts';
export type { Messaging, MessagingOptions, Transport } from './create-messaging.ts';
export { matchesPolicy, parseFilterPolicy } from './filter-policy.ts';
export { serveTopic } from './serve-topic.ts';
export type { FilterPolicy } from './filter-policy.ts';
export type { FleetWorker, HandlerCatalogue, HandlerDefinition, WorkerFleet } from './fleet/Port.ts';
export { fullJitter } from './full-jitter.ts';
export type { Backoff, Random } from './full-jitter.ts';
export { idempotent } from './idempotent.ts';
export type { Recordable } from './idempotent.ts';
export type { MetricsRegistry } from './metrics.ts';
export { createOutbox } from './outbox/outbox.ts';
export type { Outbox } from './outbox/outbox.ts';
export { createRelay } from './outbox/relay-outbox.ts';
export type * from './ports.ts';
export type { EventLog, LoggedEvent } from './postgres/event-log.ts';
export { caseDatabaseMigrations, controlMigrations } from './postgres/migrations.ts';
export { createPoolDatabase, retryOnConflict } from './postgres/pool-database.ts';
export type { DeadLetter, DeadLetterFilter, DeadLetters, DeadLetterSummary } from './postgres/postgres-dead-letters.ts';
export { createPostgresDeadLetters, putBackIntoPostgres } from './postgres/postgres-dead-letters.ts';
export { createPostgresQueues } from './postgres/postgres-queues.ts';
export type { PostgresQueues } from './postgres/postgres-queues.ts';
export { createPostgresTopics } from './postgres/postgres-topics.ts';
export { createPostgresTransport } from './postgres/postgres-transport.ts';
export { releaseAbandoned } from './postgres/release-abandoned.ts';
export { defaultRetention } from './postgres/sweep.ts';
export type { Retention } from './postgres/sweep.ts';
export { checkQueueName } from './queue-name.ts';
export {
  checkConcurrency,
  checkQueueSettings,
  checkVisibility,
  queueSettingsOf,
  visibilityTimeoutMs,
} from './visibility.ts';
export { defineWorkflow } from './workflow/define-workflow.ts';
export type {
  RunContext,
  StepContext,
  StepDefinition,
  UndoContext,
  WorkflowDefinition,
} from './workflow/define-workflow.ts';
export type { StepError, WorkflowRow, WorkflowState } from './workflow/workflow-store.ts';
export { workflowStates } from './workflow/workflow-store.ts';
export type { Workflows } from './workflow/workflows.ts';
