/**
 * The outbox: what is stated about a change is written in the transaction that makes the change, and relayed after its commit.
 * Nothing is stated about what was rolled back; nothing that was committed goes unstated.
 */
import { parseEvent } from '@casebound/contract';
import type { AnyEvent } from '@casebound/contract';
import { checkMessage } from '../message-limits.ts';
import type { OutgoingMessage, Sql } from '../ports.ts';

export interface Outbox {
  /** Events for a topic, in order. Each is checked against its declaration. @throws CaseboundError `event_invalid` */
  publish(tx: Sql, topic: string, events: readonly AnyEvent[], options?: { readonly delayMs?: number }): Promise<void>;
  /** Messages for a queue, in order; attributes and dedupe keys are not carried. @throws CaseboundError `message_invalid` */
  send(
    tx: Sql,
    queue: string,
    messages: readonly Pick<OutgoingMessage, 'body' | 'fairnessKey' | 'delayMs'>[],
  ): Promise<void>;
}

const append = 'SELECT messaging.append_outbox($1, $2, $3::bigint[], $4::bigint[], $5::text[])';

/** `onAppended`: called when something was written, before the commit of its transaction. */
export const createOutbox = (onAppended: () => void = () => undefined): Outbox => ({
  async publish(tx, topic, events, { delayMs = 0 } = {}) {
    if (events.length === 0) return;
    const checked = events.map((event) => parseEvent(event));
    await tx.query(append, [
      'event',
      topic,
      checked.map((event) => ('caseId' in event ? event.caseId : 0)),
      checked.map(() => delayMs),
      checked.map((event) => JSON.stringify(event)),
    ]);
    onAppended();
  },
  async send(tx, queue, messages) {
    if (messages.length === 0) return;
    // How much the transport carries is the relay's concern: it claim-checks what is larger.
    for (const message of messages) checkMessage(queue, message, Number.MAX_SAFE_INTEGER);
    await tx.query(append, [
      'message',
      queue,
      messages.map(({ fairnessKey }) => fairnessKey ?? 0),
      messages.map(({ delayMs }) => delayMs ?? 0),
      messages.map(({ body }) => body),
    ]);
    onAppended();
  },
});
