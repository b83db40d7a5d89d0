/**
 * The order in which resources are inserted.
 *
 * - Level of a resource: greater than that of everything its foreign keys lead to. All records of a level can be written in
 *   parallel once the levels below are done.
 * - References within a cycle (a record's parent of its own kind) cannot be ordered. Those outside of identities are deferred: they
 *   are set when all levels are done. Identities have no cycles, so nothing else is left.
 */

export interface Dependency {
  readonly from: string;
  readonly to: string;
  readonly isIdentity: boolean;
}

/** Strongly connected components (Tarjan 1972), as a component number per node. */
const components = (nodes: readonly string[], targets: ReadonlyMap<string, readonly string[]>): Map<string, number> => {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const component = new Map<string, number>();
  const stack: string[] = [];
  const visit = (node: string): void => {
    const own = index.size;
    index.set(node, own);
    low.set(node, own);
    stack.push(node);
    for (const target of targets.get(node) ?? []) {
      if (!index.has(target)) visit(target);
      if (!component.has(target)) low.set(node, Math.min(low.get(node) ?? own, low.get(target) ?? own));
    }
    if (low.get(node) !== own) return;
    for (let member = stack.pop(); member !== undefined; member = member === node ? undefined : stack.pop())
      component.set(member, own);
  };
  for (const node of nodes) if (!index.has(node)) visit(node);
  return component;
};

/** Levels from 0. A dependency whose target's level is not below its own is one that must be deferred. */
export const orderResources = (
  nodes: readonly string[],
  dependencies: readonly Dependency[],
): ReadonlyMap<string, number> => {
  const targets = new Map<string, string[]>();
  for (const { from, to } of dependencies) targets.set(from, [...(targets.get(from) ?? []), to]);
  const component = components(nodes, targets);
  const firm = new Map<string, string[]>();
  for (const { from, to, isIdentity } of dependencies) {
    if (isIdentity || component.get(from) !== component.get(to)) firm.set(from, [...(firm.get(from) ?? []), to]);
  }
  const levels = new Map<string, number>();
  const levelOf = (node: string): number => {
    const known = levels.get(node);
    if (known !== undefined) return known;
    const level = Math.max(-1, ...(firm.get(node) ?? []).map(levelOf)) + 1;
    levels.set(node, level);
    return level;
  };
  for (const node of nodes) levelOf(node);
  return levels;
};
