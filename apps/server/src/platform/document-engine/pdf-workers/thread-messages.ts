/** What pool and worker say to each other, and what of it is moved instead of copied. */
import { CaseboundError, type ErrorCode, type FieldError } from '@casebound/contract';
import type { PdfLimits } from '@casebound/pdf';
import type { PdfTaskName, PdfTasks } from './pdf-tasks.ts';

/** Given to a worker at its start. */
export interface WorkerStart {
  /** PDFium, compiled once for all workers. */
  readonly module: object;
  readonly limits: Partial<PdfLimits>;
  /** An engine that has grown beyond this is replaced after its task: its memory never shrinks. */
  readonly keepEngineBytes: number;
}

export type TaskRequest = {
  readonly [Name in PdfTaskName]: { readonly id: number; readonly name: Name; readonly input: PdfTasks[Name]['input'] };
}[PdfTaskName];

/** An error of the taxonomy on its way between threads; classes do not survive it. */
interface SentError {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors: readonly FieldError[];
}

export type TaskAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown; readonly retire: boolean }
  | { readonly id: number; readonly ok: false; readonly error: SentError; readonly retire: boolean };

/** Errors that are not of the taxonomy are faults of the worker; their text may quote the document and stays here. */
export const sendError = (error: unknown): SentError => {
  if (error instanceof CaseboundError) return { code: error.code, detail: error.message, errors: error.errors };
  const kind = error instanceof Error ? error.name : typeof error;
  return {
    code: 'pdf_engine_failed',
    detail: `The PDF worker failed with an unexpected ${kind}.`,
    errors: [],
  };
};

export const receiveError = ({ code, detail, errors }: SentError): CaseboundError =>
  new CaseboundError(code, detail, { errors });

const isWhole = ({ buffer, byteOffset, byteLength }: Uint8Array): boolean =>
  buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength;

/** Node keeps small buffers, and some of its own, in memory that cannot be moved. */
const movable = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
  if (isWhole(bytes) && bytes.buffer instanceof ArrayBuffer && bytes.byteLength >= 65_536)
    return new Uint8Array(bytes.buffer);
  return Uint8Array.from(bytes);
};

/** The input with its bytes ready to be moved, and the list of what is moved. */
export const giveInput = <Name extends PdfTaskName>(
  input: PdfTasks[Name]['input'],
): { readonly input: PdfTasks[Name]['input']; readonly moved: readonly ArrayBuffer[] } => {
  const moved: ArrayBuffer[] = [];
  const give = (bytes: Uint8Array): Uint8Array => {
    if (bytes.buffer instanceof SharedArrayBuffer) return bytes;
    const own = movable(bytes);
    moved.push(own.buffer);
    return own;
  };
  const entries = Object.entries(input).map(([key, value]): [string, unknown] => {
    if (value instanceof Uint8Array) return [key, give(value)];
    if (key === 'images' && Array.isArray(value))
      return [key, value.map((one: unknown) => (one instanceof Uint8Array ? give(one) : one))];
    return [key, value];
  });
  return { input: Object.fromEntries(entries) as PdfTasks[Name]['input'], moved };
};

/** The buffers of an output that can be moved: all whole ones within plain objects, lists and maps. */
export const buffersOf = (value: unknown): readonly ArrayBuffer[] => {
  const found = new Set<ArrayBuffer>();
  const visit = (one: unknown, depth: number): void => {
    if (typeof one !== 'object' || one === null || depth > 4) return;
    if (one instanceof Uint8Array) {
      if (isWhole(one) && one.buffer instanceof ArrayBuffer && one.byteLength > 0) found.add(one.buffer);
    } else if (Array.isArray(one) || one instanceof Map) {
      // Long lists are of texts and boxes.
      if (one instanceof Map || one.length <= 10_000) for (const item of one.values()) visit(item, depth + 1);
    } else for (const item of Object.values(one)) visit(item, depth + 1);
  };
  visit(value, 0);
  return [...found];
};
