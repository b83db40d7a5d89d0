export * from './actor.ts';
export * from './errors.ts';
export * from './events/envelope.ts';
export * from './ids.ts';
export * from './operation.ts';
export * from './operations/cases.ts';
export * from './operations/system.ts';
export * from './registry.ts';
