/** The three queues that every item of the chaos run passes. */
export const stages = ['copy', 'transform', 'index'] as const;
export const queueOf = (stage: number): string => `chaos-${stages[stage] ?? 'none'}`;
