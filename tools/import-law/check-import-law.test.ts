import { expect, test } from 'vitest';
import { announcedViolations, applyLaw, fixtureRoot, root, sourcesOf } from './check-import-law.ts';

test('every planted violation is found, and nothing else in the fixture', async () => {
  const { violations } = await applyLaw(fixtureRoot);
  const found = [...new Set(violations.map(({ rule, from }) => `${rule}: ${from}`))].toSorted();
  expect(announcedViolations().length).toBeGreaterThan(15);
  expect(found).toEqual(announcedViolations());
});

test('every source file of the workspace is read', async () => {
  const { read } = await applyLaw(root);
  expect(read.size).toBeGreaterThan(10);
  expect(sourcesOf(root).filter((file) => !read.has(file))).toEqual([]);
});
