/** The same work by programs of others, where they are installed: one process for the whole document, its start included. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createPdfEngine, produceDocument } from '@casebound/pdf';

export interface OtherProgram {
  readonly name: string;
  readonly work: 'text' | 'render' | 'stamp';
  /** Milliseconds of one run; undefined where the program is not installed. */
  run(): number | undefined;
}

export interface OtherPrograms extends Disposable {
  readonly programs: readonly OtherProgram[];
}

/** A page of 612 x 792 with nothing on it, to be stamped and laid over. */
const blank = Buffer.from(
  '%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n',
  'latin1',
);

export const findOtherPrograms = async (file: string, wasm: Uint8Array): Promise<OtherPrograms> => {
  const folder = mkdtempSync(path.join(tmpdir(), 'casebound-bench-'));
  const engine = await createPdfEngine({ wasm });
  const overlay = path.join(folder, 'overlay.pdf');
  const stamped = await produceDocument(engine, blank, { stamps: [{ anchor: 'bottom-right', text: 'ACME' }] });
  writeFileSync(overlay, stamped.bytes);
  const program = (
    name: string,
    work: OtherProgram['work'],
    command: string,
    argv: readonly string[],
  ): OtherProgram => {
    const there = spawnSync(command, ['--version']).error === undefined;
    return {
      name,
      work,
      run: () => {
        if (!there) return undefined;
        const started = performance.now();
        const { status } = spawnSync(command, argv, { stdio: 'ignore' });
        // qpdf ends with 3 when it only warns.
        return status === 0 || status === 3 ? performance.now() - started : undefined;
      },
    };
  };
  const out = (name: string): string => path.join(folder, name);
  return {
    programs: [
      program('mutool (text with boxes)', 'text', 'mutool', ['draw', '-F', 'stext', '-o', out('mutool.txt'), file]),
      program('pdftotext (text with boxes)', 'text', 'pdftotext', ['-bbox', file, out('poppler.html')]),
      program('mutool (PNG, 150 dpi)', 'render', 'mutool', [
        'draw',
        '-r',
        '150',
        '-F',
        'png',
        '-o',
        out('m%d.png'),
        file,
      ]),
      program('pdftoppm (PNG, 150 dpi)', 'render', 'pdftoppm', ['-r', '150', '-png', file, out('p')]),
      program('qpdf (overlay)', 'stamp', 'qpdf', [file, '--overlay', overlay, '--repeat=1', '--', out('qpdf.pdf')]),
    ],
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
};
