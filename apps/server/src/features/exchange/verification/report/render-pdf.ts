/** A report as a PDF of A4 pages, with selectable text. */
import { PDF, type PDFPage, rgb, StandardFonts } from '@libpdf/core';
import type { Report } from './gather-report.ts';
import { reportSections, type ReportSection } from './report-sections.ts';

const page = { width: 595, height: 842 };
const margin = 48;
const size = 9;
const leading = 12;
const ink = rgb(0.11, 0.13, 0.19);
const faint = rgb(0.35, 0.38, 0.45);
/** Of Helvetica, on average: for wrapping without font metrics, on the careful side. */
const characterWidth = size * 0.55;

/** The standard fonts hold Windows-1252; what they cannot show is shown as a question mark, as the manifest has the exact text. */
const drawable = (text: string): string =>
  text.replaceAll(/[^\x20-\x7e\xa1-\xff]/g, (it) => (it === '\u2019' ? "'" : '?'));

const wrap = (text: string, width: number): readonly string[] => {
  const most = Math.max(4, Math.floor(width / characterWidth));
  const lines: string[] = [];
  let line = '';
  for (const word of drawable(text).split(' ')) {
    let rest = word;
    while (rest.length > most) {
      if (line !== '') lines.push(line);
      line = '';
      lines.push(rest.slice(0, most));
      rest = rest.slice(most);
    }
    if (line === '') line = rest;
    else if (line.length + 1 + rest.length <= most) line = `${line} ${rest}`;
    else {
      lines.push(line);
      line = rest;
    }
  }
  lines.push(line);
  return lines;
};

class Layout {
  readonly pdf = PDF.create();
  #page: PDFPage | undefined;
  #y = 0;
  #pages = 0;

  #room(height: number): PDFPage {
    if (this.#page === undefined || this.#y - height < margin) {
      this.#page = this.pdf.addPage({ width: page.width, height: page.height });
      this.#pages += 1;
      this.#y = page.height - margin;
      this.#page.drawText(`${this.#pages}`, {
        x: page.width - margin,
        y: margin / 2,
        size: 8,
        color: faint,
        font: StandardFonts.Helvetica,
      });
    }
    return this.#page;
  }

  text(
    text: string,
    options: { readonly size?: number; readonly isBold?: boolean; readonly isFaint?: boolean } = {},
  ): void {
    const { size: own = size, isBold = false, isFaint = false } = options;
    for (const line of wrap(text, ((page.width - 2 * margin) * size) / own)) {
      const target = this.#room(own + 4);
      this.#y -= own + 4;
      target.drawText(line, {
        x: margin,
        y: this.#y,
        size: own,
        font: isBold ? StandardFonts.HelveticaBold : StandardFonts.Helvetica,
        color: isFaint ? faint : ink,
      });
    }
  }

  gap(height: number): void {
    this.#y -= height;
  }

  row(cells: readonly string[], widths: readonly number[], isHead: boolean): void {
    const wrapped = cells.map((cell, index) => wrap(cell, (widths[index] ?? 50) - 6));
    const height = Math.max(...wrapped.map((lines) => lines.length)) * leading;
    const target = this.#room(Math.min(height, page.height - 2 * margin));
    let x = margin;
    wrapped.forEach((lines, index) => {
      lines.slice(0, 50).forEach((line, at) => {
        target.drawText(line, {
          x,
          y: this.#y - (at + 1) * leading + 3,
          size,
          font: isHead ? StandardFonts.HelveticaBold : StandardFonts.Helvetica,
          color: isHead ? faint : ink,
        });
      });
      x += widths[index] ?? 50;
    });
    this.#y -= height;
  }
}

/** Columns get room by the length of what is in them. */
const widthsOf = ({ columns, rows }: ReportSection): readonly number[] => {
  const longest = columns.map((name, index) =>
    Math.min(60, Math.max(5, name.length, ...rows.slice(0, 200).map((row) => (row[index] ?? '').length))),
  );
  const total = longest.reduce((sum, one) => sum + one, 0);
  return longest.map((one) => ((page.width - 2 * margin) * one) / total);
};

const drawSection = (layout: Layout, section: ReportSection): void => {
  layout.gap(10);
  layout.text(section.title, { size: 12, isBold: true });
  layout.gap(2);
  const widths = widthsOf(section);
  if (section.rows.length > 0 && section.columns.some((name) => name !== '')) layout.row(section.columns, widths, true);
  for (const row of section.rows) layout.row(row, widths, false);
  if (section.note !== undefined) layout.text(section.note, { isFaint: true });
};

export const renderReportPdf = async (report: Report): Promise<Uint8Array> => {
  const layout = new Layout();
  layout.text('Exchange of documents between cases', { size: 16, isBold: true });
  layout.text(report.summary?.state.replaceAll('_', ' ') ?? 'UNFINISHED', { size: 11, isBold: true });
  for (const section of reportSections(report)) drawSection(layout, section);
  return layout.pdf.save();
};
