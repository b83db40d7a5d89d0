/** Word and Excel documents (ECMA-376) with nothing but what readers need, CSV (RFC 4180). */
import { type PackedEntry, packEntry, packZip, type ZipEntry } from './pack-zip.ts';

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const OFFICE = 'http://schemas.openxmlformats.org';

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const rootParts = (main: string, type: string, others: readonly (readonly [string, string])[]): readonly ZipEntry[] => [
  {
    name: '[Content_Types].xml',
    text: `${XML}<Types xmlns="${OFFICE}/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/${main}" ContentType="${type}"/><Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>${others.map(([name, own]) => `<Override PartName="/${name}" ContentType="${own}"/>`).join('')}</Types>`,
  },
  {
    name: '_rels/.rels',
    text: `${XML}<Relationships xmlns="${OFFICE}/package/2006/relationships"><Relationship Id="rId1" Type="${OFFICE}/officeDocument/2006/relationships/officeDocument" Target="${main}"/><Relationship Id="rId2" Type="${OFFICE}/package/2006/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>`,
  },
];

interface OfficeInfo {
  readonly title: string;
  readonly author: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  readonly modified: number;
}

const coreProperties = ({ title, author, created, modified }: OfficeInfo): ZipEntry => {
  const date = (name: string, at: number): string =>
    `<dcterms:${name} xsi:type="dcterms:W3CDTF">${new Date(at).toISOString().slice(0, 19)}Z</dcterms:${name}>`;
  return {
    name: 'docProps/core.xml',
    text: `${XML}<cp:coreProperties xmlns:cp="${OFFICE}/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>${escapeXml(title)}</dc:title><dc:creator>${escapeXml(author)}</dc:creator>${date('created', created)}${date('modified', modified)}</cp:coreProperties>`,
  };
};

const wordParts: readonly PackedEntry[] = rootParts(
  'word/document.xml',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml',
  [],
).map(packEntry);

/** A Word document; a heading is a bold paragraph, `\n` within a paragraph a line break. */
export const writeDocx = (
  paragraphs: readonly { readonly text: string; readonly bold: boolean }[],
  info: OfficeInfo,
): Buffer => {
  const body = paragraphs
    .map(({ text, bold }) => {
      const runs = text
        .split('\n')
        .map((line) => `<w:t xml:space="preserve">${escapeXml(line)}</w:t>`)
        .join('<w:br/>');
      return `<w:p><w:r>${bold ? '<w:rPr><w:b/></w:rPr>' : ''}${runs}</w:r></w:p>`;
    })
    .join('');
  return packZip([
    ...wordParts,
    packEntry(coreProperties(info)),
    packEntry({
      name: 'word/document.xml',
      text: `${XML}<w:document xmlns:w="${OFFICE}/wordprocessingml/2006/main"><w:body>${body}<w:sectPr><w:pgSz w:w="12240" w:h="15840"/><w:pgMar w:top="1440" w:right="1440" w:bottom="1440" w:left="1440" w:header="708" w:footer="708" w:gutter="0"/></w:sectPr></w:body></w:document>`,
    }),
  ]);
};

/** Rows of a table; the first one is the header. */
export type Table = readonly (readonly (string | number)[])[];

const columnName = (index: number): string =>
  index < 26 ? String.fromCharCode(65 + index) : columnName(Math.floor(index / 26) - 1) + columnName(index % 26);

const sheetParts: readonly PackedEntry[] = [
  ...rootParts('xl/workbook.xml', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml', [
    ['xl/worksheets/sheet1.xml', 'application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml'],
  ]),
  {
    name: 'xl/workbook.xml',
    text: `${XML}<workbook xmlns="${OFFICE}/spreadsheetml/2006/main" xmlns:r="${OFFICE}/officeDocument/2006/relationships"><sheets><sheet name="Data" sheetId="1" r:id="rId1"/></sheets></workbook>`,
  },
  {
    name: 'xl/_rels/workbook.xml.rels',
    text: `${XML}<Relationships xmlns="${OFFICE}/package/2006/relationships"><Relationship Id="rId1" Type="${OFFICE}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
  },
].map(packEntry);

/** A workbook of one sheet. */
export const writeXlsx = (table: Table, info: OfficeInfo): Buffer => {
  const rows = table
    .map((row, at) => {
      const cells = row.map((value, column) => {
        const place = `r="${columnName(column)}${at + 1}"`;
        return typeof value === 'number'
          ? `<c ${place}><v>${value}</v></c>`
          : `<c ${place} t="inlineStr"><is><t xml:space="preserve">${escapeXml(value)}</t></is></c>`;
      });
      return `<row r="${at + 1}">${cells.join('')}</row>`;
    })
    .join('');
  return packZip([
    ...sheetParts,
    packEntry(coreProperties(info)),
    packEntry({
      name: 'xl/worksheets/sheet1.xml',
      text: `${XML}<worksheet xmlns="${OFFICE}/spreadsheetml/2006/main"><sheetData>${rows}</sheetData></worksheet>`,
    }),
  ]);
};

const csvCell = (value: string | number): string =>
  typeof value === 'number' || !/[",\r\n]/u.test(value) ? String(value) : `"${value.replaceAll('"', '""')}"`;

export const writeCsv = (table: Table): Buffer =>
  Buffer.from(table.map((row) => `${row.map(csvCell).join(',')}\r\n`).join(''));

/** The text of a table, as extractors give it. */
export const tableText = (table: Table): string => table.map((row) => row.join('\t')).join('\n');
