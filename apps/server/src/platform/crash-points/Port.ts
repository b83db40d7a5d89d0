/** Named places at which a process can be made to die. */

/** Every crash point of the server. A test holds this list against the source. */
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
] as const;

export type CrashPointName = (typeof crashPointNames)[number];
export type CrashPoint = (name: CrashPointName) => void;
