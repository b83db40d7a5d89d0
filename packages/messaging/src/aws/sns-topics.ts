/**
 * Topics on SNS with raw delivery to SQS. Filter policies are SNS's own, on message attributes.
 *
 * SNS applies a change of subscriptions within minutes, not at once: an event may still arrive in a queue after `unsubscribe`.
 * Who takes a queue down looks at its depth before deleting it.
 */
import {
  CreateTopicCommand,
  ListSubscriptionsByTopicCommand,
  PublishBatchCommand,
  SetSubscriptionAttributesCommand,
  SubscribeCommand,
  UnsubscribeCommand,
} from '@aws-sdk/client-sns';
import type { MessageAttributeValue, SNSClient } from '@aws-sdk/client-sns';
import { CaseboundError } from '@casebound/contract';
import { messageAttributesOf } from '../claim-check.ts';
import { parseFilterPolicy } from '../filter-policy.ts';
import type { OutgoingEvent, Topics } from '../ports.ts';
import { onAws } from './aws-error.ts';
import type { SqsQueues } from './sqs-queues.ts';
import { toWire } from './sqs-wire.ts';

export interface SnsTopicsOptions {
  readonly client: SNSClient;
  readonly queues: Pick<SqsQueues, 'locate' | 'send'>;
  /** Limit of a message and of a batch. Default 256 KiB, the quota of SNS. */
  readonly maxMessageBytes?: number;
  readonly namePrefix?: string;
}

const batchSize = 10;

export const createSnsTopics = (options: SnsTopicsOptions): Topics => {
  const { client, queues, maxMessageBytes = 256 * 1024, namePrefix = '' } = options;
  const arns = new Map<string, string>();

  const topicArn = async (topic: string): Promise<string> => {
    let arn = arns.get(topic);
    if (arn === undefined) {
      // Creating a topic that exists answers its ARN.
      const created = await onAws(topic, async () => client.send(new CreateTopicCommand({ Name: namePrefix + topic })));
      arn = created.TopicArn ?? '';
      arns.set(topic, arn);
    }
    return arn;
  };

  const subscriptionArn = async (topic: string, queueArn: string): Promise<string | undefined> => {
    let token: string | undefined;
    do {
      const { Subscriptions = [], NextToken } = await client.send(
        new ListSubscriptionsByTopicCommand({
          TopicArn: await topicArn(topic),
          ...(token === undefined ? {} : { NextToken: token }),
        }),
      );
      const found = Subscriptions.find(({ Endpoint }) => Endpoint === queueArn);
      if (found !== undefined) return found.SubscriptionArn;
      token = NextToken;
    } while (token !== undefined && token !== '');
    return undefined;
  };

  const entryOf = (event: OutgoingEvent, index: number) => {
    const wire = toWire({ body: event.claim ?? event.body, fairnessKey: event.fairnessKey });
    const attributes: Record<string, MessageAttributeValue> = { ...wire.MessageAttributes };
    for (const [name, value] of Object.entries(messageAttributesOf(event))) {
      // Numbers are marked as such, or numeric conditions would not see them.
      attributes[name] = {
        DataType: typeof event.attributes[name] === 'number' ? 'Number' : 'String',
        StringValue: value,
      };
    }
    const bytes = Buffer.byteLength(wire.MessageBody) + Buffer.byteLength(JSON.stringify(attributes));
    if (bytes > maxMessageBytes) {
      throw new CaseboundError(
        'message_too_large',
        `An event of type ${event.type} has ${bytes} bytes; the transport carries ${maxMessageBytes}.`,
      );
    }
    return { entry: { Id: String(index), Message: wire.MessageBody, MessageAttributes: attributes }, bytes };
  };

  return {
    async subscribe(topic, queue, policy) {
      const checked = JSON.stringify(parseFilterPolicy(policy));
      const { arn } = await queues.locate(queue);
      await onAws(topic, async () => {
        const existing = await subscriptionArn(topic, arn);
        if (existing !== undefined) {
          await client.send(
            new SetSubscriptionAttributesCommand({
              SubscriptionArn: existing,
              AttributeName: 'FilterPolicy',
              AttributeValue: checked,
            }),
          );
          return;
        }
        await client.send(
          new SubscribeCommand({
            TopicArn: await topicArn(topic),
            Protocol: 'sqs',
            Endpoint: arn,
            ReturnSubscriptionArn: true,
            Attributes: {
              RawMessageDelivery: 'true',
              ...(checked === '{}' ? {} : { FilterPolicy: checked, FilterPolicyScope: 'MessageAttributes' }),
            },
          }),
        );
      });
    },
    async unsubscribe(topic, queue) {
      const { arn } = await queues.locate(queue);
      await onAws(topic, async () => {
        const existing = await subscriptionArn(topic, arn);
        if (existing !== undefined) await client.send(new UnsubscribeCommand({ SubscriptionArn: existing }));
      });
    },
    async publish(topic, events) {
      if (events.some(({ delayMs = 0 }) => delayMs > 0)) {
        throw new CaseboundError(
          'message_invalid',
          'SNS cannot delay an event; send a message with a delay, whose handler publishes it.',
        );
      }
      const entries = events.map(entryOf);
      for (let at = 0; at < entries.length;) {
        let bytes = 0;
        let end = at;
        while (end < entries.length && end - at < batchSize && bytes + (entries[end]?.bytes ?? 0) <= maxMessageBytes) {
          bytes += entries[end]?.bytes ?? 0;
          end += 1;
        }
        const batch = entries.slice(at, end).map(({ entry }) => entry);
        const { Failed = [] } = await onAws(topic, async () =>
          client.send(new PublishBatchCommand({ TopicArn: await topicArn(topic), PublishBatchRequestEntries: batch })),
        );
        if (Failed.length > 0)
          throw new CaseboundError(
            'queue_transport_unavailable',
            `${Failed.length} of ${batch.length} events for ${topic} were not taken.`,
          );
        at = end;
      }
    },
  };
};
