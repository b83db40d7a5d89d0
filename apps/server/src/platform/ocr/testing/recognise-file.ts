/** A process that prints what it reads on a picture: `recognise-file.ts PAGE.png`. */
import { readFile } from 'node:fs/promises';
import { openTesseractOcr } from '../adapters/tesseract/tesseract-ocr.ts';
import { ocrConfigSchema } from '../config.ts';

const ocr = await openTesseractOcr(ocrConfigSchema.parse({ workers: 1 }));
const { text } = await ocr.recognise(Uint8Array.from(await readFile(process.argv[2] ?? '')));
process.stdout.write(text);
await ocr.close();
