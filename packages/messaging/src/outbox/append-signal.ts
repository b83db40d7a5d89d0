/**
 * Says within a process that something was written into an outbox, which will be there when its transaction commits. Relays that hear of it look
 * again soon, and less and less soon, instead of at their next turn. What other processes write is found at the next turn.
 */
export interface AppendSignal {
  notify(): void;
  /** Answers how to stop listening. */
  listen(listener: () => void): () => void;
}

export const createAppendSignal = (): AppendSignal => {
  const listeners = new Set<() => void>();
  return {
    notify: () => {
      for (const listener of listeners) listener();
    },
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
};
