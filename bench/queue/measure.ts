/** Side by side, in turns, median of the rounds: machines differ and are noisy. */
export interface Figure {
  readonly name: string;
  /** Items a second, the median of the rounds. */
  readonly perSecond: number;
  readonly rounds: readonly number[];
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Runs every contender once a round; each answers how many items it did. */
export const inTurns = async (
  rounds: number,
  contenders: Readonly<Record<string, () => Promise<number>>>,
): Promise<Readonly<Record<string, Figure>>> => {
  const rates: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, run] of Object.entries(contenders)) {
      const startedAt = performance.now();
      const items = await run();
      (rates[name] ??= []).push((items / (performance.now() - startedAt)) * 1000);
    }
  }
  return Object.fromEntries(
    Object.entries(rates).map(([name, values]) => [
      name,
      { name, perSecond: Math.round(median(values)), rounds: values.map(Math.round) },
    ]),
  );
};

/** How many times as fast as the other. */
export const ratio = (ours: Figure | undefined, theirs: Figure | undefined): number =>
  ours === undefined || theirs === undefined ? Number.NaN : Math.round((ours.perSecond / theirs.perSecond) * 100) / 100;
