/**
 * Payloads that a message cannot carry go to the object store; the message holds a claim check.
 *
 * 1. The claim is recorded before the object is written, so that every object is known and expires at last.
 * 2. A message that one queue alone gets gives its object back when it is acknowledged. Copies of one event share an object, which
 *    stays until it expires.
 * 3. The check holds length and SHA-256; a body that is not what was stored is refused.
 */
import { createHash, randomUUID } from 'node:crypto';
import { CaseboundError } from '@casebound/contract';
import { z } from 'zod';
import { messageBytes } from './message-limits.ts';
import type {
  Log,
  MessageAttributes,
  OutgoingEvent,
  OutgoingMessage,
  PayloadStore,
  ReceivedMessage,
  Sql,
} from './ports.ts';
import { text } from './postgres/rows.ts';

/** Names the attribute that marks a claim check; its value is the version of the body's shape. */
export const claimCheckAttribute = 'casebound-claim-check';

const ClaimCheck = z.strictObject({
  key: z.string().min(1).max(1024),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  shared: z.boolean(),
});
type ClaimCheck = z.infer<typeof ClaimCheck>;

/** Attributes of the message that carries an event. */
export const messageAttributesOf = ({
  attributes,
  claim,
}: Pick<OutgoingEvent, 'attributes' | 'claim'>): MessageAttributes => ({
  ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)])),
  ...(claim === undefined ? {} : { [claimCheckAttribute]: '1' }),
});

export interface ClaimChecks {
  /** The message itself when the transport can carry it; else one that holds a claim check. */
  check<M extends OutgoingMessage>(message: M): Promise<M>;
  /** The same for an event, whose copies share the object. */
  checkEvent(event: OutgoingEvent): Promise<OutgoingEvent>;
  isCheck(message: Pick<ReceivedMessage, 'attributes'>): boolean;
  /** The body that a claim check stands for. @throws CaseboundError `object_corrupt`, `message_invalid`, what the store throws. */
  redeem(message: ReceivedMessage): Promise<string>;
  /** The message is done; its object is not needed any more. Never throws: what stays, expires. */
  discard(message: ReceivedMessage): Promise<void>;
  /** Deletes objects whose time has come; how many. */
  sweep(limit: number): Promise<number>;
}

export interface ClaimCheckOptions {
  readonly store: PayloadStore;
  readonly sql: Sql;
  readonly log: Log;
  /** What the transport carries: body and attributes in bytes. */
  readonly maxMessageBytes: number;
  /** Longest that a message can wait or stay dead: default 30 days. */
  readonly retentionMs?: number;
  /** Default `messaging/`. */
  readonly prefix?: string;
}

export const createClaimChecks = (options: ClaimCheckOptions): ClaimChecks => {
  const { store, sql, log, maxMessageBytes, retentionMs = 30 * 86_400_000, prefix = 'messaging/' } = options;

  const read = (message: Pick<ReceivedMessage, 'body' | 'queue'>): ClaimCheck => {
    const parsed = ClaimCheck.safeParse(parseJson(message.body));
    if (!parsed.success)
      throw new CaseboundError('message_invalid', `A claim check in ${message.queue} is not readable.`);
    return parsed.data;
  };

  const deposit = async (body: string, shared: boolean): Promise<string> => {
    const bytes = Buffer.from(body);
    const key = `${prefix}${randomUUID()}`;
    await sql.query(
      `INSERT INTO messaging.claim_check (object_key, expires_at) VALUES ($1, clock_timestamp() + $2::bigint * interval '1 millisecond')`,
      [key, retentionMs],
    );
    await store.put(key, bytes);
    const claim: ClaimCheck = {
      key,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      shared,
    };
    return JSON.stringify(claim);
  };

  return {
    async check(message) {
      if (messageBytes(message) <= maxMessageBytes) return message;
      const body = await deposit(message.body, false);
      return { ...message, body, attributes: { ...message.attributes, [claimCheckAttribute]: '1' } };
    },
    async checkEvent(event) {
      if (messageBytes({ body: event.body, attributes: messageAttributesOf(event) }) <= maxMessageBytes) return event;
      return { ...event, claim: await deposit(event.body, true) };
    },
    isCheck: ({ attributes }) => attributes[claimCheckAttribute] !== undefined,
    async redeem(message) {
      const claim = read(message);
      const bytes = await store.get(claim.key);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      if (bytes.length !== claim.bytes || sha256 !== claim.sha256) {
        throw new CaseboundError(
          'object_corrupt',
          `The payload ${claim.key} of a message in ${message.queue} is not what was stored.`,
        );
      }
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    },
    async discard(message) {
      if (message.attributes[claimCheckAttribute] === undefined) return;
      try {
        const claim = read(message);
        if (claim.shared) return;
        await store.delete(claim.key);
        await sql.query('DELETE FROM messaging.claim_check WHERE object_key = $1', [claim.key]);
      } catch (error) {
        log.warn('A payload of a finished message was left to expire.', {
          queue: message.queue,
          errorCode: error instanceof CaseboundError ? error.code : 'internal',
        });
      }
    },
    async sweep(limit) {
      const { rows } = await sql.query(
        'SELECT object_key FROM messaging.claim_check WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT $1',
        [limit],
      );
      for (const row of rows) {
        const key = text(row, 'object_key');
        await store.delete(key);
        await sql.query('DELETE FROM messaging.claim_check WHERE object_key = $1', [key]);
      }
      return rows.length;
    },
  };
};

const parseJson = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
};
