/**
 * PDF 1.7 files of text pages or of page images, written by hand: small, fast, the same bytes each time.
 *
 * - Text is drawn through the matrix from display space to user space, so that rotated and cropped pages read like any other.
 */
import { deflateSync } from 'node:zlib';
import type { PageBitmap } from './draw-page.ts';
import { encodeFax } from './encode-fax.ts';
import type { PageLayout, PageShape } from './lay-out-text.ts';

interface PdfInfo {
  readonly title: string;
  readonly author: string;
  /** Milliseconds since 1970. */
  readonly created: number;
}

/** The boxes of a page in user space: `[left, bottom, right, top]`. */
const boxesOf = ({
  width,
  height,
  rotation,
  cropped,
}: PageShape): { readonly media: readonly number[]; readonly crop: readonly number[] } => {
  const turned = rotation === 90 || rotation === 270;
  const across = turned ? height : width;
  const up = turned ? width : height;
  return {
    media: [0, 0, across + 2 * cropped, up + 2 * cropped],
    crop: [cropped, cropped, across + cropped, up + cropped],
  };
};

/** Display space to user space, as `a b c d e f`. */
const toUser = (shape: PageShape): string => {
  const [left = 0, bottom = 0, right = 0, top = 0] = boxesOf(shape).crop;
  switch (shape.rotation) {
    case 0:
      return `1 0 0 -1 ${left} ${top}`;
    case 90:
      return `0 1 1 0 ${left} ${bottom}`;
    case 180:
      return `-1 0 0 1 ${right} ${bottom}`;
    case 270:
      return `0 -1 -1 0 ${right} ${top}`;
  }
};

const two = (value: number): string => String(value).padStart(2, '0');

const pdfDate = (at: number): string => {
  const date = new Date(at);
  return `D:${date.getUTCFullYear()}${two(date.getUTCMonth() + 1)}${two(date.getUTCDate())}${two(date.getUTCHours())}${two(date.getUTCMinutes())}${two(date.getUTCSeconds())}Z`;
};

const literal = (latin1: string): string => `(${latin1.replaceAll(/[\\()]/gu, String.raw`\$&`)})`;

/** UTF-16 with its mark, in hexadecimal (ISO 32000-2, 7.9.2.2). */
const textString = (text: string): string =>
  // eslint-disable-next-line no-control-regex
  /^[\u0020-\u007E]*$/u.test(text)
    ? literal(text)
    : `<FEFF${Buffer.from(text, 'utf16le').swap16().toString('hex').toUpperCase()}>`;

const number = (value: number): string => String(Math.round(value * 1000) / 1000);

/** Text in the order it is read; `hidden` text can be selected and searched, but is not seen (ISO 32000-2, 9.3.6). */
const drawText = ({ shape, lines }: PageLayout, hidden = false): string => {
  let content = `q ${toUser(shape)} cm BT${hidden ? ' 3 Tr' : ''}\n`;
  for (const { face, size, baseline, words, text } of lines) {
    const left = words[0]?.left ?? 0;
    content += `/${face === 'bold' ? 'F2' : 'F1'} ${number(size)} Tf 1 0 0 -1 ${number(left)} ${number(baseline)} Tm ${literal(text)} Tj\n`;
  }
  return `${content}ET Q`;
};

class PdfFile {
  readonly #parts: Buffer[] = [Buffer.from('%PDF-1.7\n%\u00e2\u00e3\u00cf\u00d3\n', 'latin1')];
  readonly #offsets: number[] = [];
  #length = 15;

  get next(): number {
    return this.#offsets.length + 1;
  }

  #push(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
  }

  add(body: string): number {
    this.#offsets.push(this.#length);
    this.#push(Buffer.from(`${this.#offsets.length} 0 obj\n${body}\nendobj\n`, 'latin1'));
    return this.#offsets.length;
  }

  addStream(dict: string, data: Uint8Array): number {
    this.#offsets.push(this.#length);
    this.#push(Buffer.from(`${this.#offsets.length} 0 obj\n<<${dict}/Length ${data.length}>>\nstream\n`, 'latin1'));
    this.#push(Buffer.from(data.buffer, data.byteOffset, data.length));
    this.#push(Buffer.from('\nendstream\nendobj\n', 'latin1'));
    return this.#offsets.length;
  }

  finish(root: number, info: number): Buffer {
    const count = this.#offsets.length + 1;
    const rows = this.#offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
    const start = this.#length;
    this.#push(
      Buffer.from(
        `xref\n0 ${count}\n0000000000 65535 f \n${rows}trailer\n<</Size ${count}/Root ${root} 0 R/Info ${info} 0 R>>\nstartxref\n${start}\n%%EOF\n`,
        'latin1',
      ),
    );
    return Buffer.concat(this.#parts);
  }
}

const pageEntries = (shape: PageShape): string => {
  const { media, crop } = boxesOf(shape);
  return [
    `/MediaBox[${media.join(' ')}]`,
    shape.cropped > 0 ? `/CropBox[${crop.join(' ')}]` : '',
    shape.rotation === 0 ? '' : `/Rotate ${shape.rotation}`,
  ].join('');
};

const PAGES = 2;

const finishPdf = (file: PdfFile, pages: readonly string[], info: PdfInfo): Buffer => {
  // Catalogue and page tree have numbers 1 and 2, and were written first, by reference to pages that follow in order.
  for (const page of pages) file.add(page);
  const about = file.add(
    `<</Title${textString(info.title)}/Author${textString(info.author)}/Producer(Meridian Document Services)/CreationDate(${pdfDate(info.created)})>>`,
  );
  return file.finish(1, about);
};

const startPdf = (count: number, firstPage: number): PdfFile => {
  const file = new PdfFile();
  file.add(`<</Type/Catalog/Pages ${PAGES} 0 R>>`);
  const kids = Array.from({ length: count }, (_, at) => `${firstPage + at} 0 R`).join(' ');
  file.add(`<</Type/Pages/Kids[${kids}]/Count ${count}>>`);
  return file;
};

/** Pages are small, so a small window is enough; it costs a third of the time. */
const deflate = (latin1: string): Uint8Array =>
  deflateSync(Buffer.from(latin1, 'latin1'), { windowBits: 13, memLevel: 6 });

const fontEntry = (bold: boolean): string =>
  `<</Type/Font/Subtype/Type1/BaseFont/Helvetica${bold ? '-Bold' : ''}/Encoding/WinAnsiEncoding>>`;

/** A PDF of text pages. */
export const writeTextPdf = (pages: readonly PageLayout[], info: PdfInfo): Buffer => {
  const firstPage = 5 + pages.length;
  const file = startPdf(pages.length, firstPage);
  file.add(fontEntry(false));
  file.add(fontEntry(true));
  const contents = pages.map((page) => file.addStream('/Filter/FlateDecode', deflate(drawText(page))));
  return finishPdf(
    file,
    pages.map(
      ({ shape }, at) =>
        `<</Type/Page/Parent ${PAGES} 0 R${pageEntries(shape)}/Resources<</Font<</F1 3 0 R/F2 4 0 R>>>>/Contents ${contents[at] ?? 0} 0 R>>`,
    ),
    info,
  );
};

/** A PDF of page images, as scanners write it: without text, or with a layer of hidden text where it was read by a machine. */
export const writeImagePdf = (
  pages: readonly { readonly layout: PageLayout; readonly image: PageBitmap }[],
  { textLayer, ...info }: PdfInfo & { readonly textLayer: boolean },
): Buffer => {
  const firstPage = 5 + 2 * pages.length;
  const file = startPdf(pages.length, firstPage);
  file.add(fontEntry(false));
  file.add(fontEntry(true));
  const objects = pages.map(({ layout, image }) => {
    const { shape } = layout;
    // The unit square of an image has its origin at the bottom.
    const drawing = `q ${toUser(shape)} cm ${shape.width} 0 0 -${shape.height} 0 ${shape.height} cm /Im1 Do Q\n`;
    return {
      shape,
      image: file.addStream(
        `/Type/XObject/Subtype/Image/Width ${image.width}/Height ${image.height}/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/CCITTFaxDecode/DecodeParms<</K -1/Columns ${image.width}/Rows ${image.height}>>`,
        encodeFax(image),
      ),
      content: file.addStream('/Filter/FlateDecode', deflate(drawing + (textLayer ? drawText(layout, true) : ''))),
    };
  });
  return finishPdf(
    file,
    objects.map(
      ({ shape, image, content }) =>
        `<</Type/Page/Parent ${PAGES} 0 R${pageEntries(shape)}/Resources<</XObject<</Im1 ${image} 0 R>>/Font<</F1 3 0 R/F2 4 0 R>>>>/Contents ${content} 0 R>>`,
    ),
    info,
  );
};
