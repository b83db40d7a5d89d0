/** Checks a manifest by itself: its chain and its signature, as lines come. Needs no server and no case. */
import type { ManifestDifference } from '@casebound/contract';
import { chainStart, type ChainState, checkSignature, type ManifestLine, readLine } from './manifest-format.ts';

export interface FileCheck {
  readonly lines: number;
  readonly jobId: string | null;
  readonly isSigned: boolean;
  readonly publicKey: string | null;
  /** At most 100. */
  readonly differences: readonly ManifestDifference[];
}

const maxDifferences = 100;

/** Lines without line feeds in; entries out, those that cannot be read left out. `result` is complete when all were read. */
export class ManifestFileCheck {
  #state: ChainState = { line: 0, previous: chainStart };
  #jobId: string | null = null;
  #signature: Extract<ManifestLine, { kind: 'signature' }> | null = null;
  readonly #differences: ManifestDifference[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  #say(line: number, what: 'manifest' | 'signature', detail: string): void {
    if (this.#differences.length < maxDifferences) {
      this.#differences.push({ line, controlNumber: null, what, place: this.#file, detail });
    }
  }

  add(text: string): ManifestLine | undefined {
    if (this.#signature !== null) this.#say(this.#state.line + 1, 'manifest', 'A line follows the signature.');
    const before = this.#state;
    const read = readLine(text, before);
    this.#state = read.state;
    if (!read.ok) {
      this.#say(
        read.reason.startsWith(`Line ${before.line} `) ? before.line : read.state.line,
        'manifest',
        read.reason,
      );
      return undefined;
    }
    if (read.line.kind === 'header') this.#jobId = read.line.jobId;
    if (read.line.kind === 'signature') {
      this.#signature = read.line;
      const fault = checkSignature(read.line, null);
      if (fault !== null) this.#say(read.state.line, 'signature', fault);
    }
    return read.line;
  }

  result(): FileCheck {
    const isSigned = this.#signature !== null && !this.#differences.some((one) => one.what === 'signature');
    if (this.#signature === null)
      this.#say(this.#state.line, 'signature', 'The manifest does not end with a signature.');
    return {
      lines: this.#state.line,
      jobId: this.#jobId,
      isSigned,
      publicKey: this.#signature?.publicKey ?? null,
      differences: this.#differences,
    };
  }
}
