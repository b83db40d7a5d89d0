/** The one place that knows which adapter a configuration asks for. Tesseract is loaded by its threads only. */
import { openTesseractOcr } from './adapters/tesseract/tesseract-ocr.ts';
import type { OcrConfig } from './config.ts';
import type { Ocr } from './Port.ts';

/** Opens text recognition; no thread runs before the first page. The caller closes it. Throws `ocr_language_missing`. */
export const createOcr = async (config: OcrConfig): Promise<Ocr> => openTesseractOcr(config);
