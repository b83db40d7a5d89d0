/** An engine for a test file, redaction by search, and the law that neighbours stay where they are. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { createPdfEngine, type PdfEngine } from '../engine/create-engine.ts';
import { openDocument } from '../engine/open-document.ts';
import { readChars, readGeometry } from '../engine/page-text.ts';
import { searchText } from '../engine/search-text.ts';
import { locatePdfiumWasm } from '../engine/wasm-location.ts';
import { openEdit } from '../edit/open-edit.ts';
import { rectToBox } from '../geometry.ts';
import type { PdfLimits } from '../limits.ts';
import { applyRedactions, type Redaction, type RedactionReport } from '../redact/apply-redactions.ts';
import { type VerificationReport, verifyRedactions } from '../verify/verify-redactions.ts';

export const createTestEngine = (limits: Partial<PdfLimits> = {}): Promise<PdfEngine> =>
  createPdfEngine({ wasm: readFileSync(locatePdfiumWasm()), limits });

/** Redactions for every match of a query. */
export const findRedactions = (engine: PdfEngine, bytes: Uint8Array, query: string): readonly Redaction[] => {
  using document = openDocument(engine, bytes);
  return searchText(document, query).map(({ pageIndex, rects }, at) => ({ id: `r${at + 1}`, pageIndex, rects }));
};

export interface Redacted {
  readonly output: Uint8Array;
  readonly report: RedactionReport;
  readonly verification: VerificationReport;
}

export const redact = async (
  engine: PdfEngine,
  bytes: Uint8Array,
  redactions: readonly Redaction[],
): Promise<Redacted> => {
  using edit = openEdit(engine, bytes);
  const report = applyRedactions(edit, redactions);
  const output = edit.write();
  const verification = await verifyRedactions(engine, output, redactions, {
    original: bytes,
    removedText: report.removedText,
  });
  return { output, report, verification };
};

export const textOf = (engine: PdfEngine, bytes: Uint8Array, pageIndex = 0): string => {
  using document = openDocument(engine, bytes);
  return readChars(document, pageIndex)
    .map(({ text }) => text)
    .join('');
};

/** Characters that are no longer there, and those that moved by more than `tolerance`. */
export const compareChars = (
  engine: PdfEngine,
  before: Uint8Array,
  after: Uint8Array,
  pageIndex: number,
  redactions: readonly Redaction[],
  tolerance = 0.1,
): { readonly lost: number; readonly kept: number } => {
  using first = openDocument(engine, before);
  using second = openDocument(engine, after);
  const geometry = readGeometry(first, pageIndex);
  const areas = redactions
    .filter((redaction) => redaction.pageIndex === pageIndex)
    .flatMap(({ rects }) => rects.map((rect) => rectToBox(geometry, rect)));
  const near = (x: number, y: number): boolean =>
    areas.some((area) => x > area.left - 1 && x < area.right + 1 && y > area.bottom - 1 && y < area.top + 1);
  const present = new Map<string, { x: number; y: number }[]>();
  for (const char of readChars(second, pageIndex)) {
    if (char.generated) continue;
    present.set(char.text, [...(present.get(char.text) ?? []), char.origin]);
  }
  let lost = 0;
  let kept = 0;
  for (const char of readChars(first, pageIndex)) {
    if (char.generated || char.text.trim() === '') continue;
    // Whatever touches an area may go.
    const { left, right, bottom, top } = char.box;
    const touches =
      near(char.origin.x, char.origin.y) ||
      areas.some((area) => left < area.right && right > area.left && bottom < area.top && top > area.bottom);
    if (touches) continue;
    const same = present
      .get(char.text)
      ?.some(({ x, y }) => Math.abs(x - char.origin.x) < tolerance && Math.abs(y - char.origin.y) < tolerance);
    if (same === true) kept += 1;
    else lost += 1;
  }
  return { lost, kept };
};

/** Fails with the findings, not with `false`. */
export const expectVerified = ({ verification }: Redacted): void => {
  expect([...verification.redactions.flatMap(({ findings }) => findings), ...verification.document]).toEqual([]);
  expect(verification.verified).toBe(true);
};
