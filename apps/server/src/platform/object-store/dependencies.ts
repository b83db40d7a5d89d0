/** What both adapters need from outside, in the smallest form. The server's clock, log and crash points fit. */

export interface ObjectStoreDependencies {
  readonly clock: { now(): Date; monotonicMs(): number };
  readonly log: {
    warn(message: string, fields?: { readonly component?: string; readonly errorCode?: string }): void;
  };
  /** Named points at which a test ends the process. */
  readonly crashPoint: (name: ObjectStoreCrashPoint) => void | Promise<void>;
}

export type ObjectStoreCrashPoint =
  | 'object-store.put.written'
  | 'object-store.put.published'
  | 'object-store.copy.linked'
  | 'object-store.upload.completed';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}
