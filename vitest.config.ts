import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{packages,apps,tests,tools}/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'tools/import-law/fixture/**'],
    globalSetup: ['tests/global-setup.ts'],
    setupFiles: ['tests/note-failed-tries.ts'],
    // Tests wait more than they compute: two files at once on two cores, where one would be the default.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Seconds where nobody else computes.
    testTimeout: 60_000,
    // Tests of leases and deadlines measure time on a machine that others share; the run says which needed a second try.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    hookTimeout: 120_000,
  },
});
