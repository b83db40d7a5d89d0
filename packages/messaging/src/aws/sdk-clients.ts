/** Clients of SQS and SNS with limits on every wait. */
import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';

export interface SdkClientSettings {
  readonly region?: string;
  readonly endpoint?: string;
  readonly connectTimeoutMs: number;
  /** Longer than a receive waits, which is up to 20 seconds. */
  readonly requestTimeoutMs: number;
}

export interface SdkClients {
  readonly sqs: SQSClient;
  readonly sns: SNSClient;
  /** Ends their connections. */
  close(): void;
}

/** Credentials come from the SDK's default chain: environment, profile, role. */
export const createSdkClients = (settings: SdkClientSettings): SdkClients => {
  const { region, endpoint, connectTimeoutMs, requestTimeoutMs } = settings;
  const shared = {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
  };
  const sqs = new SQSClient(shared);
  const sns = new SNSClient(shared);
  return {
    sqs,
    sns,
    close: () => {
      sqs.destroy();
      sns.destroy();
    },
  };
};
