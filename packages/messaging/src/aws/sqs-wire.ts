/**
 * How a message looks on SQS: the body, its attributes, and one attribute of ours that carries what SQS does not.
 *
 * - A body with characters that SQS does not take (control characters, lone surrogates; to be safe all beyond the basic plane)
 *   travels as JSON text with `\u` escapes. Source: SendMessage, API reference, "MessageBody".
 * - A message that was re-sent keeps its first id and time, the receives that counted, and its place in the order of tokens.
 */
import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import type { MessageAttributes, OutgoingMessage, ReceivedMessage } from '../ports.ts';

const ourAttribute = 'casebound';
/** Bytes that our attribute can take of a message. */
export const ourAttributeBytes = 512;

const Ours = z.object({
  /** Fairness key. */
  k: z.number().int().nonnegative().default(0),
  /** The body is JSON text. */
  j: z.literal(1).optional(),
  /** Of a re-sent message: id, time sent, receives that count, tokens that were given. */
  i: z.string().optional(),
  s: z.number().optional(),
  c: z.number().int().optional(),
  t: z.number().int().optional(),
});
type Ours = z.infer<typeof Ours>;

const plain = /^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD]*$/;

const escaped = (body: string): string =>
  JSON.stringify(body).replaceAll(
    /[^\u0020-\u007e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

export interface Wire {
  readonly MessageBody: string;
  readonly MessageAttributes: Record<string, MessageAttributeValue>;
}

const stringAttribute = (value: string): MessageAttributeValue => ({ DataType: 'String', StringValue: value });

export const toWire = (
  message: Pick<OutgoingMessage, 'body' | 'attributes' | 'fairnessKey'>,
  more: Omit<Ours, 'k' | 'j'> = {},
): Wire => {
  const asIs = message.body !== '' && plain.test(message.body);
  const ours: Ours = { k: message.fairnessKey ?? 0, ...more, ...(asIs ? {} : { j: 1 as const }) };
  return {
    MessageBody: asIs ? message.body : escaped(message.body),
    MessageAttributes: {
      ...Object.fromEntries(
        Object.entries(message.attributes ?? {}).map(([name, value]) => [name, stringAttribute(value)]),
      ),
      [ourAttribute]: stringAttribute(JSON.stringify(ours)),
    },
  };
};

/** The parts of a received message, whether from the SDK or from a Lambda event. */
export interface WireMessage {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly receiveCount: number;
  readonly sentMs: number;
  readonly attributes: MessageAttributes;
}

export const wireOfSdk = (message: Message): WireMessage => ({
  messageId: message.MessageId ?? '',
  receiptHandle: message.ReceiptHandle ?? '',
  body: message.Body ?? '',
  receiveCount: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
  sentMs: Number(message.Attributes?.SentTimestamp ?? 0),
  attributes: Object.fromEntries(
    Object.entries(message.MessageAttributes ?? {}).map(([name, value]) => [name, value.StringValue ?? '']),
  ),
});

const parse = (text: string | undefined): Ours => {
  try {
    return Ours.parse(JSON.parse(text ?? '{}'));
  } catch {
    return { k: 0 };
  }
};

const bodyOf = (wire: WireMessage, ours: Ours): string => {
  if (ours.j !== 1) return wire.body;
  try {
    const value: unknown = JSON.parse(wire.body);
    return typeof value === 'string' ? value : wire.body;
  } catch {
    return wire.body;
  }
};

export const fromWire = (
  wire: WireMessage,
  queue: string,
  settings: { readonly maxReceiveCount: number; readonly leaseMs: number; readonly receivedAtMs: number },
): ReceivedMessage => {
  const { [ourAttribute]: packed, ...attributes } = wire.attributes;
  const ours = parse(packed);
  return {
    queue,
    messageId: ours.i ?? wire.messageId,
    token: wire.receiptHandle,
    fencingToken: (ours.t ?? 0) + wire.receiveCount,
    receiveCount: (ours.c ?? 0) + wire.receiveCount,
    maxReceiveCount: settings.maxReceiveCount,
    fairnessKey: ours.k,
    sentAt: new Date(ours.s ?? wire.sentMs),
    body: bodyOf(wire, ours),
    attributes,
    leaseMs: settings.leaseMs,
    receivedAtMs: settings.receivedAtMs,
  };
};

/** The message again, its last receive not counted. */
export const resent = (message: ReceivedMessage): Wire =>
  toWire(message, {
    i: message.messageId,
    s: message.sentAt.getTime(),
    c: message.receiveCount - 1,
    t: message.fencingToken,
  });
