/** Named places at which a process can be made to die. */

/** Every crash point of the server and of messaging, which it runs. A test holds this list against the source of both. */
export const crashPointNames = [
  'case.create.reserved',
  'case.create.provisioned',
  'case.create.committed',
  'case.create.activated',
  'case.delete.marked',
  'case.delete.objects-removed',
  'case.delete.steps-done',
  'case.delete.schema-dropped',
  'case.delete.finished',
  'case-database.open.reserved',
  'case-database.open.created',
  'case-database.open.prepared',
  'migrate.case.applied',
  'secrets.create.written',
  'secrets.create.linked',
  'object-store.put.written',
  'object-store.put.published',
  'object-store.copy.linked',
  'object-store.upload.completed',
  'consumer.before-receive',
  'consumer.after-receive',
  'consumer.before-handle',
  'consumer.after-handle',
  'consumer.before-acknowledge',
  'consumer.after-acknowledge',
  'relay.before-deliver',
  'relay.after-deliver',
  'workflow.before-step',
  'workflow.after-step',
  'workflow.before-compensation',
  'workflow.after-compensation',
] as const;

export type CrashPointName = (typeof crashPointNames)[number];
export type CrashPoint = (name: CrashPointName) => void;
