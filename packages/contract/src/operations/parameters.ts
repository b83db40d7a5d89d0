/** Parameters of an address. On the wire they are text; a client may pass the number itself. */
import { z } from 'zod';

const integerText = /^-?(0|[1-9]\d{0,15})$/;

/**
 * A whole number in a path or a query. One spelling a number: no `0x10`, `1e2`, `+7`, `007` or blanks, so that a resource
 * has one address.
 */
export const wireInteger = <T extends z.ZodType<unknown, number>>(schema: T) =>
  z
    .union([z.number(), z.string()])
    .transform((value, context) => {
      if (typeof value === 'number') return value;
      if (integerText.test(value)) return Number(value);
      context.addIssue({ code: 'custom', message: 'Expected a whole number, written in digits only.' });
      return z.NEVER;
    })
    .pipe(schema);
