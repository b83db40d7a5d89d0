import { expect, test } from 'vitest';
import fc from 'fast-check';
import { type Dependency, orderResources } from './order-resources.ts';

const letters = 'abcdefgh'.split('');

const levels = (nodes: string, ...arrows: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    orderResources(
      nodes.split(''),
      arrows.map((arrow): Dependency => ({
        from: arrow.charAt(0),
        to: arrow.charAt(2),
        isIdentity: arrow.charAt(1) === '=',
      })),
    ),
  );

test('a level lies above everything it refers to', () => {
  expect(levels('abcd', 'b=a', 'c-b', 'd-a')).toEqual({ a: 0, b: 1, c: 2, d: 1 });
});

test('references within a cycle do not count, identities do', () => {
  expect(levels('a', 'a-a')).toEqual({ a: 0 });
  expect(levels('abc', 'a=b', 'b-a', 'c-a')).toEqual({ a: 1, b: 0, c: 2 });
  expect(levels('abcd', 'a-b', 'b-c', 'c-a', 'a=d', 'd-b')).toEqual({ a: 1, b: 0, c: 0, d: 0 });
});

test('whatever the graph, what is not deferred leads down, and only references within cycles are deferred', () => {
  const node = fc.constantFrom(...letters);
  // Identities lead from later letters to earlier ones, so they have no cycle.
  const dependency = fc
    .tuple(node, node, fc.boolean())
    .map(([from, to, isIdentity]): Dependency => ({ from, to, isIdentity: isIdentity && from > to }));
  fc.assert(
    fc.property(fc.array(dependency, { maxLength: 20 }), (dependencies) => {
      const level = orderResources(letters, dependencies);
      const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
        from === to ||
        dependencies.some((item) => {
          if (item.from !== from || seen.has(item.to)) return false;
          seen.add(item.to);
          return reaches(item.to, to, seen);
        });
      for (const { from, to, isIdentity } of dependencies) {
        if ((level.get(to) ?? 0) < (level.get(from) ?? 0)) continue;
        expect(isIdentity).toBe(false);
        expect(reaches(to, from)).toBe(true);
      }
    }),
  );
});
