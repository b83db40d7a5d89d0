/** What the writers of a sample share: options, places, sinks, counts. */
import type { AnnotationCounts } from './annotate-pages.ts';
import type { SampleField } from './custom-fields.ts';
import type { GlyphSet } from './formats/draw-page.ts';
import type { SampleSink } from './output/Sink.ts';
import type { VolumePaths } from './output/volume-paths.ts';
import type { LoadFileOutput } from './output/write-load-files.ts';
import type { FlawPlan } from './plant-flaws.ts';
import type { CheckedOptions } from './sample-options.ts';

const NUMBER_DIGITS = 8;

/** The number of a page: `MH00000001`. */
export const numberOf = ({ prefix }: CheckedOptions, page: number): string =>
  `${prefix}${String(page).padStart(NUMBER_DIGITS, '0')}`;

/** What is counted on the way. */
export interface Tally {
  documents: number;
  families: number;
  duplicates: number;
  pages: number;
  redactedDocuments: number;
  readonly byKind: Record<string, number>;
  readonly custodians: Set<string>;
  readonly annotations: Record<keyof AnnotationCounts, number>;
}

export interface Parts {
  readonly options: CheckedOptions;
  readonly fields: readonly SampleField[];
  readonly sink: CountingSink;
  readonly loadFiles: LoadFileOutput;
  readonly glyphs: GlyphSet;
  readonly tally: Tally;
  readonly flaws: FlawPlan;
  readonly paths: VolumePaths;
  /** Family index -> numbers of its documents, for the families that may still get a duplicate. */
  readonly numbers: Map<number, readonly string[]>;
}

/** A sink that knows how much went into it. */
export class CountingSink implements SampleSink {
  readonly #sink: SampleSink;
  files = 0;
  bytes = 0;

  constructor(sink: SampleSink) {
    this.#sink = sink;
  }

  write(name: string, bytes: Uint8Array): Promise<void> {
    this.files += 1;
    this.bytes += bytes.length;
    return this.#sink.write(name, bytes);
  }

  append(name: string, bytes: Uint8Array): Promise<void> {
    this.bytes += bytes.length;
    return this.#sink.append(name, bytes);
  }

  finish(): Promise<void> {
    return this.#sink.finish();
  }

  abandon(): Promise<void> {
    return this.#sink.abandon();
  }
}

export const startTally = (): Tally => ({
  documents: 0,
  families: 0,
  duplicates: 0,
  pages: 0,
  redactedDocuments: 0,
  byKind: {},
  custodians: new Set(),
  annotations: {
    bates_stamp: 0,
    confidentiality_stamp: 0,
    redaction: 0,
    highlight: 0,
    note: 0,
    sticker: 0,
    comment: 0,
  },
});
