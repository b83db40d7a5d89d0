/** What both adapters need from outside, in the smallest form. The server's clock, log and crash points fit. */

export interface ObjectStoreDependencies {
  readonly clock: { now(): Date; monotonicMs(): number };
  readonly log: {
    warn(message: string, fields?: { readonly component?: string; readonly errorCode?: string }): void;
  };
  /** Named points at which a test ends the process: `object-store.put.written`, `.put.published`, `.copy.linked`, `.upload.completed`. */
  readonly crashPoint: (name: string) => void | Promise<void>;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}
