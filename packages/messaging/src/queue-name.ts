/** Queue names are those of SQS (1 to 80 of A-Z a-z 0-9 - _), so that a queue has one name on every transport. */
import { CaseboundError } from '@casebound/contract';

const queueName = /^[A-Za-z0-9_-]{1,80}$/;

/** @throws CaseboundError `queue_name_invalid` */
export const checkQueueName = (name: string): string => {
  if (queueName.test(name)) return name;
  throw new CaseboundError(
    'queue_name_invalid',
    `The queue name ${JSON.stringify(name.slice(0, 100))} is not allowed: use 1 to 80 letters, digits, hyphens and underscores.`,
  );
};
