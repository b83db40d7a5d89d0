/** The three queues that every item of the chaos run passes. */
export const stages = ['copy', 'transform', 'index'] as const;
export const queueOf = (stage: number): string => `chaos-${stages[stage] ?? 'none'}`;

/** Crash points of the handlers: the effect is made; so is what follows from it, in the same transaction; that is committed. */
export const handlerPoints = ['handler.after-effect', 'handler.before-commit', 'handler.after-commit'] as const;
export type HandlerPoint = (typeof handlerPoints)[number];
