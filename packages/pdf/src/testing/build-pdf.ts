/** Writes PDFs by hand for tests: the nasty ones that no library would write. Independent of the code under test. */

/** A stream object; `dict` are the entries without brackets. */
export const stream = (dict: string, data: string | Uint8Array): string => {
  const text = typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
  return `<<${dict}/Length ${text.length}>>\nstream\n${text}\nendstream`;
};

/** A file of the objects given, numbered from 1; object 1 is the catalogue. */
export const buildPdf = (objects: readonly string[], trailer = ''): Uint8Array => {
  let out = '%PDF-1.7\n%\xe2\xe3\xcf\xd3\n';
  const offsets: number[] = [];
  objects.forEach((object, at) => {
    offsets.push(out.length);
    out += `${at + 1} 0 obj\n${object}\nendobj\n`;
  });
  const start = out.length;
  const rows = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n<</Size ${objects.length + 1}/Root 1 0 R${trailer}>>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(out, 'latin1');
};

export interface OnePage {
  readonly content: string | Uint8Array;
  /** Entries of the page beyond Parent, Resources and Contents. */
  readonly page?: string;
  readonly resources?: string;
  readonly catalog?: string;
  /** Numbered from 6. Object 5 is Helvetica, named F1. */
  readonly more?: readonly string[];
  readonly trailer?: string;
}

/** A document of one page, 400 x 300 unless `page` says otherwise. */
export const onePage = (input: OnePage): Uint8Array =>
  buildPdf(
    [
      `<</Type/Catalog/Pages 2 0 R${input.catalog ?? ''}>>`,
      '<</Type/Pages/Kids[3 0 R]/Count 1>>',
      `<</Type/Page/Parent 2 0 R${input.page ?? '/MediaBox[0 0 400 300]'}/Resources<</Font<</F1 5 0 R>>${input.resources ?? ''}>>/Contents 4 0 R>>`,
      stream('', input.content),
      '<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>',
      ...(input.more ?? []),
    ],
    input.trailer,
  );

/** Grey pixels of a gradient with a cross: no two rows are alike. */
export const greyPicture = (width: number, height: number): Uint8Array => {
  const pixels = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1)
    for (let column = 0; column < width; column += 1) pixels[row * width + column] = (row * 7 + column * 13) % 251;
  return pixels;
};
