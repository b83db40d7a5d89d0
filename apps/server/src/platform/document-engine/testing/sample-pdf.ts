/** Small PDFs written by hand, so that tests know every byte of them. */

const stream = (data: string): string => `<</Length ${data.length}>>\nstream\n${data}\nendstream`;

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
  return Uint8Array.from(Buffer.from(out, 'latin1'));
};

/** Where the first line of a sample page stands, as shown: left edge and baseline. */
export const firstLine = { left: 60, baseline: 100 };

/** A document with a page of 400 x 300 points for each list of lines, in Helvetica of 14 points. */
export const samplePdf = (pages: readonly (readonly string[])[]): Uint8Array => {
  const first = 4;
  const kids = pages.map((_, at) => `${first + at * 2} 0 R`).join(' ');
  return buildPdf([
    '<</Type/Catalog/Pages 2 0 R>>',
    `<</Type/Pages/Kids[${kids}]/Count ${pages.length}/MediaBox[0 0 400 300]>>`,
    '<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>',
    ...pages.flatMap((lines, at) => [
      `<</Type/Page/Parent 2 0 R/Resources<</Font<</F1 3 0 R>>>>/Contents ${first + at * 2 + 1} 0 R>>`,
      stream(
        lines
          .map(
            (line, row) =>
              `BT /F1 14 Tf ${firstLine.left} ${300 - firstLine.baseline - row * 24} Td (${line.replaceAll(/[()\\]/g, String.raw`\$&`)}) Tj ET`,
          )
          .join('\n'),
      ),
    ]),
  ]);
};
