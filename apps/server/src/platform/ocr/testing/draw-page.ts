/** Pictures of pages for tests. */
import { createPdfEngine, locatePdfiumWasm, openDocument, renderPage } from '@casebound/pdf';
import { readFile } from 'node:fs/promises';
import { samplePdf } from '../../document-engine/testing/sample-pdf.ts';

/** A page of the lines in Helvetica, as PNG. */
export const drawPage = async (lines: readonly string[], dpi = 300): Promise<Uint8Array> => {
  const engine = await createPdfEngine({ wasm: await readFile(locatePdfiumWasm()) });
  using document = openDocument(engine, samplePdf([lines]));
  return Uint8Array.from(renderPage(document, 0, { dpi }));
};
