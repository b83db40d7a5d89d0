/** What exhibits are called in the destination. */
import type { ControlNumberPolicy } from '@casebound/contract';

/** The number of the exhibit at `ordinal` (from 1) of the exchange. */
export const newControlNumber = (policy: ControlNumberPolicy, controlNumber: string, ordinal: number): string => {
  switch (policy.policy) {
    case 'keep':
      return controlNumber;
    case 'prefix':
      return `${policy.prefix}${controlNumber}`;
    case 'renumber':
      return `${policy.prefix}${String(policy.start + ordinal - 1).padStart(policy.digits, '0')}`;
  }
};
