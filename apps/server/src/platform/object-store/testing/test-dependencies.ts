/** Dependencies for tests of the adapters: the machine's own clock, warnings kept, crash points that do nothing unless told. */
import type { ObjectStoreDependencies } from '../dependencies.ts';

export interface TestDependencies extends ObjectStoreDependencies {
  readonly warnings: string[];
}

export const testDependencies = (
  changes: Partial<Pick<ObjectStoreDependencies, 'clock' | 'crashPoint'>> = {},
): TestDependencies => {
  const warnings: string[] = [];
  return {
    clock: { now: () => new Date(), monotonicMs: () => performance.now() },
    log: { warn: (message) => void warnings.push(message) },
    crashPoint: () => {},
    warnings,
    ...changes,
  };
};
