/** Settings of the secrets: where they are kept, and how long a value that was read is used. */
import { z } from 'zod';

const environmentStore = z.strictObject({
  kind: z.literal('environment').describe('Variables `CASEBOUND_SECRET_<NAME>`.'),
});

const filesStore = z.strictObject({
  kind: z.literal('files').describe('A folder with one file for each secret, such as Docker and Kubernetes mount.'),
  folder: z.string().min(1).optional().describe('The folder. Default: `secrets` in the data folder.'),
  readableByOthers: z.boolean().default(false).describe('Accept files that users other than owner and group may read.'),
  generateMissing: z
    .boolean()
    .default(false)
    .describe('Create secrets that only Casebound itself uses when they are first needed.'),
});

const awsCall = {
  region: z.string().min(1).optional().describe('AWS region. Default: that of the environment or profile.'),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Address of the service, for VPC endpoints. Default: that of the region.'),
  connectTimeoutMs: z.int().min(50).max(60_000).default(2_000).describe('Time to establish a connection.'),
  requestTimeoutMs: z
    .int()
    .min(50)
    .max(120_000)
    .default(5_000)
    .describe('Time from the start of a try to the last byte of its answer.'),
  maxAttempts: z
    .int()
    .min(1)
    .max(10)
    .default(4)
    .describe('Tries of a read, the first included; the pauses between them grow, with full jitter.'),
};

const secretsManagerStore = z.strictObject({
  kind: z.literal('aws-secrets-manager').describe('AWS Secrets Manager.'),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9/_+=.@-]{0,200}$/, 'letters, digits and /_+=.@-')
    .default('casebound/')
    .describe('Put before the name in a reference: with `casebound/`, `secret://db-url` is `casebound/db-url`.'),
  ...awsCall,
});

const parameterStore = z.strictObject({
  kind: z.literal('aws-parameter-store').describe('AWS Systems Manager Parameter Store; `SecureString` only.'),
  path: z
    .string()
    .regex(/^(?:\/[A-Za-z0-9_.-]+){0,13}\/$/, 'begins and ends with a slash: "/casebound/"')
    .default('/casebound/')
    .describe('Put before the name in a reference: with `/casebound/`, `secret://db-url` is `/casebound/db-url`.'),
  ...awsCall,
});

export const singleSecretStoreConfig = z.discriminatedUnion('kind', [
  environmentStore,
  filesStore,
  secretsManagerStore,
  parameterStore,
]);

const chainStore = z.strictObject({
  kind: z.literal('chain').describe('Several stores; the first that has a secret gives it.'),
  stores: z
    .array(singleSecretStoreConfig)
    .min(1)
    .max(8)
    .describe('Stores in the order in which they are asked, each written as a store of its own.'),
});

export const secretStoreConfig = z.discriminatedUnion('kind', [
  environmentStore,
  filesStore,
  secretsManagerStore,
  parameterStore,
  chainStore,
]);
export type SecretStoreConfig = z.output<typeof secretStoreConfig>;

export const secretsConfigSchema = z
  .strictObject({
    store: secretStoreConfig
      .prefault({ kind: 'chain', stores: [{ kind: 'environment' }, { kind: 'files', generateMissing: true }] })
      .describe('Where secrets are kept.'),
    refreshSeconds: z
      .int()
      .min(1)
      .max(86_400)
      .default(300)
      .describe('How long a value is used before it is read again: a rotation takes effect within this time.'),
    maxStaleSeconds: z
      .int()
      .min(0)
      .max(604_800)
      .default(3_600)
      .describe('How long after that the last value is still used while the store does not give a new one.'),
  })
  .prefault({});
export type SecretsConfig = z.output<typeof secretsConfigSchema>;
