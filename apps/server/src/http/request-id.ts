/** Ids of requests: the caller's own when it is harmless to log and to echo, else a new UUIDv7. */
import { v7 } from 'uuid';

const sane = /^[A-Za-z0-9._-]{1,128}$/;

/** Of the header as Node gives it: several headers arrive joined by a comma, which is not sane. */
export const chooseRequestId = (header: string | string[] | undefined): string =>
  typeof header === 'string' && sane.test(header) ? header : v7();
