/**
 * The PDFium engine: WebAssembly, bytes in and bytes out.
 *
 * - One engine serves one call at a time; it is synchronous. Run several in worker threads.
 * - A fault inside the engine (abort, trap, memory limit) breaks it for good: every later call fails with
 *   `pdf_engine_failed` until the owner makes a new one. What faulted is never used again.
 * - The file is not copied into the engine's memory; it is read through a callback, so a document of 500 MB costs the engine little.
 * - The caller brings the bytes or the compiled module of `@embedpdf/pdfium/pdfium.wasm`.
 */
import { CaseboundError } from '@casebound/contract';
import { init, type WrappedPdfiumModule } from '@embedpdf/pdfium';
import { defaultLimits, type PdfLimits } from '../limits.ts';
import { createWasmHeap, type WasmHeap, type WasmRuntime } from './wasm-heap.ts';

export interface PdfEngineOptions {
  /** The module's bytes, or a module compiled once and shared between threads. */
  readonly wasm: Uint8Array | WebAssembly.Module;
  readonly limits?: Partial<PdfLimits>;
}

export interface PdfEngine {
  readonly limits: PdfLimits;
  readonly broken: boolean;
  /** Bytes of WebAssembly memory at present. It never shrinks; make a new engine to give it back. */
  readonly memoryBytes: number;
  /** For the modules of this package: calls PDFium, turning faults into `pdf_engine_failed`. */
  call<T>(what: string, body: (native: WrappedPdfiumModule, heap: WasmHeap, runtime: WasmRuntime) => T): T;
}

const compile = async (wasm: Uint8Array | WebAssembly.Module): Promise<WebAssembly.Module> => {
  if (wasm instanceof WebAssembly.Module) return wasm;
  return WebAssembly.compile(new Uint8Array(wasm));
};

/** Compiles the module once; the result may be posted to worker threads. */
export const compilePdfium = (wasm: Uint8Array): Promise<WebAssembly.Module> => compile(wasm);

/** Creates an engine. About 30 ms with a compiled module, 120 ms from bytes. */
export const createPdfEngine = async (options: PdfEngineOptions): Promise<PdfEngine> => {
  const limits: PdfLimits = { ...defaultLimits, ...options.limits };
  const module = await compile(options.wasm);
  let memory: WebAssembly.Memory | undefined;
  const bounded = (imports: WebAssembly.Imports): WebAssembly.Imports => {
    const env = { ...imports['env'] };
    const resize = env['emscripten_resize_heap'];
    if (typeof resize !== 'function') return imports;
    env['emscripten_resize_heap'] = (requested: number): unknown =>
      requested >>> 0 > limits.maxEngineBytes ? 0 : Reflect.apply(resize, undefined, [requested]);
    return { ...imports, env };
  };
  const overrides = {
    instantiateWasm: (
      imports: WebAssembly.Imports,
      done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => unknown,
    ): object => {
      const instance = new WebAssembly.Instance(module, bounded(imports));
      const exported = instance.exports['memory'];
      if (exported instanceof WebAssembly.Memory) memory = exported;
      // Emscripten assigns the returned object first and the exports when `done` is called, so `done` must come later.
      queueMicrotask(() => done(instance, module));
      return {};
    },
    print: () => undefined,
    printErr: () => undefined,
  };
  const native = await init(overrides);
  const runtime = native.pdfium as unknown as WasmRuntime;
  native.PDFiumExt_Init();
  const heap = createWasmHeap(runtime);
  let broken = false;
  return {
    limits,
    get broken() {
      return broken;
    },
    get memoryBytes() {
      return memory?.buffer.byteLength ?? heap.size;
    },
    call: (what, body) => {
      if (broken)
        throw new CaseboundError(
          'pdf_engine_failed',
          `The PDF engine failed earlier and cannot ${what}; make a new one.`,
        );
      try {
        return body(native, heap, runtime);
      } catch (error) {
        if (error instanceof CaseboundError) throw error;
        broken = true;
        const reason = error instanceof WebAssembly.RuntimeError ? 'trapped' : 'failed';
        throw new CaseboundError(
          'pdf_engine_failed',
          `The PDF engine ${reason} while it tried to ${what} (${Math.round(heap.size / 1048576)} MiB in use, limit ${Math.round(limits.maxEngineBytes / 1048576)} MiB).`,
          { cause: error },
        );
      }
    },
  };
};
