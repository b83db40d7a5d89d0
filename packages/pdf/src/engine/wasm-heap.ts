/**
 * Memory of the WebAssembly engine: reading, writing, and scoped allocation.
 *
 * - Views are taken anew on every access: the heap's buffer is replaced whenever it grows.
 * - What a scope allocates is freed when the scope ends, whatever happened in it.
 */
import { CaseboundError } from '@casebound/contract';

/** Exports that are called once a character or object: the wrapped functions cost ten times as much. */
export interface WasmExports {
  malloc(size: number): number;
  free(pointer: number): void;
  FPDFText_GetUnicode(text: number, index: number): number;
  FPDFText_IsGenerated(text: number, index: number): number;
  FPDFText_GetCharBox(text: number, index: number, left: number, right: number, bottom: number, top: number): number;
  FPDFText_GetCharOrigin(text: number, index: number, x: number, y: number): number;
  FPDFText_GetLooseCharBox(text: number, index: number, rect: number): number;
  FPDFPage_GetObject(page: number, index: number): number;
  FPDFFormObj_GetObject(form: number, index: number): number;
  FPDFPageObj_GetType(object: number): number;
  FPDFPageObj_GetMatrix(object: number, matrix: number): number;
  FPDFPageObj_GetBounds(object: number, left: number, bottom: number, right: number, top: number): number;
  FPDFPath_GetPathSegment(path: number, index: number): number;
  FPDFPathSegment_GetPoint(segment: number, x: number, y: number): number;
  FPDFPathSegment_GetType(segment: number): number;
}

/** The members of the Emscripten module that this package uses; the published typings name a global type that they do not ship. */
export interface WasmRuntime {
  readonly HEAPU8: Uint8Array;
  readonly HEAP32: Int32Array;
  readonly HEAPF32: Float32Array;
  readonly HEAPF64: Float64Array;
  readonly HEAPU16: Uint16Array;
  readonly wasmExports: WasmExports;
  addFunction(callback: (...args: number[]) => number, signature: string): number;
  removeFunction(pointer: number): void;
  stringToUTF16(text: string, pointer: number, bytes: number): void;
}

export interface WasmHeap {
  /** Bytes that the engine holds at present. */
  readonly size: number;
  /** Runs `body` with an allocator whose memory is freed afterwards. */
  scope<T>(body: (allocate: (bytes: number) => number) => T): T;
  bytes(pointer: number, length: number): Uint8Array;
  float32(pointer: number): number;
  float64(pointer: number): number;
  int32(pointer: number): number;
  /** Characters of a UTF-16LE buffer. */
  utf16(pointer: number, units: number): string;
  write(pointer: number, bytes: Uint8Array): void;
  writeInt32(pointer: number, value: number): void;
  /** Allocates a zero-terminated UTF-16LE string within a scope. */
  wide(allocate: (bytes: number) => number, text: string): number;
}

export const createWasmHeap = (runtime: WasmRuntime): WasmHeap => ({
  get size() {
    return runtime.HEAPU8.byteLength;
  },
  scope: (body) => {
    const pointers: number[] = [];
    const allocate = (bytes: number): number => {
      const pointer = runtime.wasmExports.malloc(Math.max(bytes, 8)) >>> 0;
      if (pointer === 0)
        throw new CaseboundError('pdf_too_large', `The PDF engine has no room for another ${bytes} bytes.`);
      pointers.push(pointer);
      return pointer;
    };
    try {
      return body(allocate);
    } finally {
      for (const pointer of pointers) runtime.wasmExports.free(pointer);
    }
  },
  bytes: (pointer, length) => runtime.HEAPU8.slice(pointer >>> 0, (pointer >>> 0) + length),
  float32: (pointer) => runtime.HEAPF32[pointer >>> 2] ?? Number.NaN,
  float64: (pointer) => runtime.HEAPF64[pointer >>> 3] ?? Number.NaN,
  int32: (pointer) => runtime.HEAP32[pointer >>> 2] ?? 0,
  utf16: (pointer, units) => {
    let text = '';
    const start = pointer >>> 1;
    for (let at = 0; at < units; at += 4096) {
      const end = Math.min(units, at + 4096);
      text += String.fromCharCode(...runtime.HEAPU16.subarray(start + at, start + end));
    }
    return text;
  },
  write: (pointer, bytes) => runtime.HEAPU8.set(bytes, pointer >>> 0),
  writeInt32: (pointer, value) => {
    runtime.HEAP32[pointer >>> 2] = value;
  },
  wide: (allocate, text) => {
    const bytes = (text.length + 1) * 2;
    const pointer = allocate(bytes);
    runtime.stringToUTF16(text, pointer, bytes);
    return pointer;
  },
});
