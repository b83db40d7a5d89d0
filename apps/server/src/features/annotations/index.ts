export { type AnnotationHandlers, createAnnotationHandlers } from './routes.ts';
export type { AnnotationDependencies } from './dependencies.ts';
