/** The known name that a mistyped one most likely meant. */

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours. */
const distance = (a: string, b: string): number => {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
};

/** Undefined when nothing is near enough to be a slip: at most a third of the letters differ. Letter case never counts. */
export const nearestName = (name: string, known: Iterable<string>): string | undefined => {
  // An absurdly long name is no slip, and the comparison takes time in proportion to its length.
  if (name.length > 100) return undefined;
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const apart = distance(name.toLowerCase(), candidate.toLowerCase());
    if (apart <= Math.max(1, Math.floor(candidate.length / 3)) && (best === undefined || apart < best.distance)) {
      best = { name: candidate, distance: apart };
    }
  }
  return best?.name;
};
