/** What the adapter and its threads say to each other. */
import type { RecognisedPage } from '../../Port.ts';

export interface OcrStart {
  readonly languages: readonly string[];
  readonly folder: string;
}

export interface OcrRequest {
  readonly id: number;
  readonly png: Uint8Array;
}

export type OcrAnswer =
  | { readonly id: number; readonly ok: true; readonly page: RecognisedPage }
  /** `unreadable`: the image is at fault. Otherwise the thread is ended. */
  | { readonly id: number; readonly ok: false; readonly unreadable: boolean };
