/** Cycles among identity references: a document whose identity contains its own could never be named. */

/** Returns one cycle (first = last) of the graph, or null. Iterative, so a hostile depth cannot overflow the stack. */
export const findCycle = (graph: ReadonlyMap<string, readonly string[]>): readonly string[] | null => {
  const done = new Set<string>();
  for (const start of graph.keys()) {
    if (done.has(start)) continue;
    const trail: { node: string; next: number }[] = [{ node: start, next: 0 }];
    const onTrail = new Set([start]);
    for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
      const target = graph.get(top.node)?.[top.next];
      top.next += 1;
      if (target === undefined) {
        done.add(top.node);
        onTrail.delete(top.node);
        trail.pop();
      } else if (onTrail.has(target)) {
        const names = trail.map((entry) => entry.node);
        return [...names.slice(names.indexOf(target)), target];
      } else if (!done.has(target)) {
        onTrail.add(target);
        trail.push({ node: target, next: 0 });
      }
    }
  }
  return null;
};
