/** Where a sample's files go. */
export interface SampleSink {
  /** Writes a whole file; `path` has slashes. Resolves when there is room for more, not when the file is on the disk. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Adds to the end of a file that grows while the sample is made. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Waits for everything. Nothing may be written afterwards. */
  finish(): Promise<void>;
  /** After a failure: lets go of what is open and leaves the rest as it is. */
  abandon(): Promise<void>;
}
