/** Samples: productions of a fictional dispute, made by a seed, for the demo, tests and benchmarks. */
export { createSample } from './create-sample.ts';
export type { SampleOptions, SampleProgress, SampleSummary } from './sample-options.ts';
