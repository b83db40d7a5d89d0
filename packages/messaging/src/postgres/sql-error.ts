/** Turns what the database says into the product's errors. */
import { CaseboundError } from '@casebound/contract';

/** SQLSTATE of a driver's error, wherever the layers above have put it. */
export const sqlStateOf = (error: unknown): string | undefined => {
  for (let at = error; typeof at === 'object' && at !== null; at = 'cause' in at ? at.cause : undefined) {
    for (const member of ['sqlState', 'code'] as const) {
      const value: unknown = Reflect.get(at, member);
      if (typeof value === 'string' && /^[0-9A-Z]{5}$/.test(value)) return value;
    }
  }
  return undefined;
};

/** Raised by the queue's own functions when the named queue is gone. */
const queueIsGone = 'CB404';

/** Runs a statement; a missing queue becomes `queue_not_found`. */
export const onQueue = async <T>(queue: string, run: () => Promise<T>): Promise<T> => {
  try {
    return await run();
  } catch (error) {
    if (sqlStateOf(error) !== queueIsGone) throw error;
    throw new CaseboundError(
      'queue_not_found',
      `There is no queue ${JSON.stringify(queue)}; it was never created or has been deleted.`,
    );
  }
};
