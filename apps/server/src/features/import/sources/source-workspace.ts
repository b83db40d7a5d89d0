/**
 * What reading sources needs besides the sources: limits, a place for temporary bytes, a worker thread for parsers that
 * would block, and the way to LibreOffice where there is one. Closing it leaves nothing behind.
 */
import { tmpdir } from 'node:os';
import { ParserThread } from './parser-thread.ts';
import type { SourceLimits } from './source-model.ts';
import { defaultSourceLimits } from './source-model.ts';
import { Spool } from './spool.ts';

export interface SourceWorkspace extends AsyncDisposable {
  readonly limits: SourceLimits;
  readonly spool: Spool;
  readonly parser: ParserThread;
  /** The program that converts old Office formats; null when there is none. */
  readonly libreOffice: string | null;
  close(): Promise<void>;
}

export interface WorkspaceOptions {
  readonly limits?: Partial<SourceLimits>;
  /** Default: the temporary folder of the system. */
  readonly temporaryFolder?: string;
  /** The program `soffice`; null for none. Default: the one in `PATH`, where there is one. */
  readonly libreOffice?: string | null | undefined;
}

export const openSourceWorkspace = (options: WorkspaceOptions = {}): SourceWorkspace => {
  const limits = { ...defaultSourceLimits, ...options.limits };
  const spool = new Spool(options.temporaryFolder ?? tmpdir(), limits);
  const parser = new ParserThread(limits);
  const close = async (): Promise<void> => {
    await parser.close();
    await spool.close();
  };
  return { limits, spool, parser, libreOffice: options.libreOffice ?? null, close, [Symbol.asyncDispose]: close };
};
