/** Apart from the rest of the package, so that a process that does not use AWS does not load its SDK. */
export { createAwsTransport } from './aws-transport.ts';
export { createLambdaFleet, workerOfEnvironment } from './lambda-fleet.ts';
export type { LambdaFleetOptions } from './lambda-fleet.ts';
export { checkSqsBatchEvent, createLambdaHandler } from './lambda-handler.ts';
export type { LambdaContext, SqsBatchEvent, SqsBatchResponse } from './lambda-handler.ts';
export { createSdkClients } from './sdk-clients.ts';
export type { SdkClients, SdkClientSettings } from './sdk-clients.ts';
