/** Where the WebAssembly module of the installed `@embedpdf/pdfium` lies, for callers that have a file system. */
import { createRequire } from 'node:module';

/** Absolute path of `pdfium.wasm`. */
export const locatePdfiumWasm = (): string => createRequire(import.meta.url).resolve('@embedpdf/pdfium/pdfium.wasm');
