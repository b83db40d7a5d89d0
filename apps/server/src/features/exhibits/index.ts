export type { ExhibitDependencies } from './dependencies.ts';
export { createExhibitHandlers } from './routes.ts';
