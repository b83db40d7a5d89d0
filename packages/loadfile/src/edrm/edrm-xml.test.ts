import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadFileLimits } from '../limits.ts';
import type { LoadFileProblem } from '../problems.ts';
import type { EdrmDocument, EdrmRecord } from './edrm-model.ts';
import { readEdrmXml } from './read-edrm-xml.ts';
import { writeEdrmXml } from './write-edrm-xml.ts';

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};

const read = async (xml: string | Uint8Array, limits: Partial<LoadFileLimits> = {}) => {
  const problems: LoadFileProblem[] = [];
  const source = [typeof xml === 'string' ? Buffer.from(xml) : xml];
  const batches = await collect(readEdrmXml(source, { limits, onProblem: (problem) => problems.push(problem) }));
  const lines = batches.flat();
  return {
    records: lines.map(({ record }) => record),
    lines,
    problems,
    codes: problems.map(({ code, line }) => `${code}@${line}`),
  };
};

const custodian = ({ records }: { records: readonly EdrmRecord[] }) =>
  records.find((record): record is EdrmDocument => record.kind === 'document')?.locations[0]?.custodian;

const example = `<?xml version="1.0" encoding="UTF-8"?>
<Root MajorVersion="1" MinorVersion="2" Locale="US" DataInterchangeType="Update">
  <Fields><Field Name="Review Note" Key="ReviewNote" DataType="Text"/></Fields>
  <Batch>
    <Documents>
      <Document DocID="3.1" DocType="Message" MimeType="message/rfc822">
        <Tags>
          <Tag TagName="#Subject" TagValue="R&amp;D &#8212; plan" TagDataType="Text"/>
          <Tag TagName="#Body" TagDataType="LongText"><TagValue>line 1
line <![CDATA[<2>]]></TagValue></Tag>
        </Tags>
        <FieldValues><ReviewNote>hot</ReviewNote></FieldValues>
        <Files>
          <File FileType="Native"><ExternalFile FilePath="NATIVES\\001" FileName="1.eml" FileSize="1234" Hash="0cc175b9c0f1b6a831c399e269772661"/></File>
          <File FileType="Text"><ExternalFile FilePath="TEXT" FileName="1.txt"/></File>
        </Files>
        <Locations><Location><Custodian>Doe, Jane</Custodian><LocationURI>pst://x</LocationURI></Location></Locations>
      </Document>
      <Document DocId="3.2" DocType="File"><Surprise><Tags><Tag TagName="no"/></Tags></Surprise></Document>
      <Document DocType="File"/>
    </Documents>
    <Relationships><Relationship Type="Attachment" ParentDocID="3.1" ChildDocID="3.2"/><Relationship Type="x"/></Relationships>
  </Batch>
</Root>
`;

describe('reading', () => {
  it('gives header, fields, documents and relationships with their lines', async () => {
    const { records, codes, lines } = await read(example);
    expect(records.map(({ kind }) => kind)).toEqual(['header', 'field', 'document', 'document', 'relationship']);
    expect(records[1]).toEqual({ kind: 'field', name: 'Review Note', key: 'ReviewNote', dataType: 'Text' });
    expect(records[2]).toEqual({
      kind: 'document',
      docId: '3.1',
      docType: 'Message',
      mimeType: 'message/rfc822',
      tags: [
        { name: '#Subject', value: 'R&D — plan', dataType: 'Text' },
        { name: '#Body', value: 'line 1\nline <2>', dataType: 'LongText' },
      ],
      fieldValues: [{ key: 'ReviewNote', value: 'hot' }],
      files: [
        {
          fileType: 'Native',
          files: [
            {
              filePath: 'NATIVES\\001',
              fileName: '1.eml',
              fileSize: '1234',
              hash: '0cc175b9c0f1b6a831c399e269772661',
              hashType: '',
            },
          ],
        },
        { fileType: 'Text', files: [{ filePath: 'TEXT', fileName: '1.txt', fileSize: '', hash: '', hashType: '' }] },
      ],
      locations: [{ custodian: 'Doe, Jane', uri: 'pst://x', description: '' }],
    });
    expect(records[3]).toMatchObject({ docId: '3.2', tags: [] });
    expect(records[4]).toEqual({ kind: 'relationship', type: 'Attachment', parentDocId: '3.1', childDocId: '3.2' });
    expect(lines[2]?.line).toBe(6);
    expect(codes).toEqual(['xml_unknown_element@19', 'xml_missing_attribute@20', 'xml_missing_attribute@22']);
  });

  it('keeps what came before damage', async () => {
    const { records, codes } = await read(example.slice(0, example.indexOf('<Document DocId="3.2"')) + '<Document <<<');
    expect(records.map(({ kind }) => kind)).toEqual(['header', 'field', 'document']);
    expect(codes).toEqual(['xml_malformed@19']);
  });

  it('takes the declared encoding, and UTF-16 by its mark', async () => {
    const declared = example.replace('UTF-8', 'windows-1252').replace('Doe, Jane', 'Zoë “Z”');
    const bytes = Buffer.from(declared.replace('“', '\x93').replace('”', '\x94'), 'latin1');
    expect(custodian(await read(bytes))).toBe('Zoë “Z”');
    expect(custodian(await read(Buffer.from(`\uFEFF${example.replace('UTF-8', 'UTF-16')}`, 'utf16le')))).toBe(
      'Doe, Jane',
    );
    const unknown = await read(example.replace('UTF-8', 'x-klingon'));
    expect(unknown.codes).toContain('encoding_assumed@1');
    expect(custodian(unknown)).toBe('Doe, Jane');
  });
});

describe('hostile XML', () => {
  const laughs = `<?xml version="1.0"?><!DOCTYPE Root [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><Root>&b;</Root>`;
  const external = `<!DOCTYPE Root SYSTEM "file:///etc/passwd" [<!ENTITY x SYSTEM "file:///etc/passwd">]><Root>&x;</Root>`;

  it.each([
    ['billion laughs', laughs, 'xml_doctype_refused'],
    ['an external entity', external, 'xml_doctype_refused'],
    ['an entity that is not declared', '<Root>&x;</Root>', 'xml_malformed'],
    ['another root', '<html/>', 'xml_not_edrm'],
    ['elements nested too deep', `<Root><Batch>${'<Folders>'.repeat(70)}`, 'xml_too_deep'],
    ['an attribute without end', `<Root><Batch x="${'y'.repeat(90_000)}`, 'record_too_long'],
    ['a text without end', `<Root><Batch>${'y'.repeat(90_000)}`, 'record_too_long'],
    [
      'a document without end',
      `<Root><Batch><Documents><Document DocID="1"><Tags>${'<Tag TagName="a" TagValue="bcd"/>'.repeat(20_000)}`,
      'record_too_long',
    ],
    ['nothing', ' \n', 'empty_file'],
    ['no XML at all', 'BEGDOC,ENDDOC\n', 'xml_malformed'],
    ['a binary file', '%PDF-1.7', 'binary_file'],
  ])('%s', async (_, xml, code) => {
    const { codes, records } = await read(xml, { maxRecordChars: 50_000, chunkBytes: 10_000 });
    expect(codes.map((text) => text.split('@')[0]).filter((found) => found !== 'xml_unknown_element')).toEqual([code]);
    expect(records.filter(({ kind }) => kind !== 'header')).toEqual([]);
  });

  it('never throws, whatever the bytes', async () => {
    const unit = fc.constantFrom(
      '<Root>',
      '<Batch>',
      '<Document DocID="1">',
      '</Document>',
      '<Tag',
      '>',
      '"',
      '&amp;',
      '&#0;',
      ']]>',
      '<![CDATA[',
      '<!--',
      'x',
      '\u0001',
      '</Root>',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array(),
          fc.array(unit).map((units) => Buffer.from(units.join(''))),
        ),
        async (bytes) => {
          const { codes } = await read(bytes);
          expect(codes.length).toBeLessThan(300);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('writing', () => {
  const text = fc
    .array(
      fc.oneof(
        fc.constantFrom(...Array.from('<>&"\'\t\n\r ]a0é😀\u0085\u2028')),
        fc.string({ unit: 'grapheme', maxLength: 1 }),
      ),
      { maxLength: 8 },
    )
    .map((units) => units.join(''))
    .filter((value) => !/[\p{Cc}\p{Cn}]/u.test(value.replace(/[\t\n\r]/gu, '')) && value.isWellFormed());
  const filled = text.filter((value) => value !== '');
  const file = fc.record({ filePath: text, fileName: text, fileSize: text, hash: text, hashType: text });
  const document = fc.record({
    kind: fc.constant('document' as const),
    docId: filled,
    docType: text,
    mimeType: text,
    tags: fc.array(fc.record({ name: text, value: text, dataType: text }), { maxLength: 3 }),
    fieldValues: fc.array(fc.record({ key: fc.constantFrom('Note', 'Größe', 'a-b.c_1'), value: text }), {
      maxLength: 2,
    }),
    files: fc.array(fc.record({ fileType: text, files: fc.array(file, { maxLength: 2 }) }), { maxLength: 2 }),
    locations: fc.array(fc.record({ custodian: text, uri: text, description: text }), { maxLength: 2 }),
  });
  const field = fc.record({ kind: fc.constant('field' as const), name: filled, key: text, dataType: text });
  const relationship = fc.record({
    kind: fc.constant('relationship' as const),
    type: text,
    parentDocId: filled,
    childDocId: filled,
  });
  const header = fc.record({
    kind: fc.constant('header' as const),
    majorVersion: text,
    minorVersion: text,
    description: text,
    locale: text,
    dataInterchangeType: text,
  });

  it('reads back as the same records, for any chunk size', async () => {
    const parts = fc.tuple(
      header,
      fc.array(field, { maxLength: 2 }),
      fc.array(document, { maxLength: 3 }),
      fc.array(relationship, { maxLength: 2 }),
    );
    await fc.assert(
      fc.asyncProperty(
        parts,
        fc.integer({ min: 1, max: 100 }),
        async ([first, fields, documents, relationships], chunkBytes) => {
          const records: EdrmRecord[] = [first, ...fields, ...documents, ...relationships];
          const xml = Buffer.concat(await collect(writeEdrmXml(records)));
          const back = await read(xml, { chunkBytes });
          expect(back.problems).toEqual([]);
          expect(back.records).toEqual(records);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('refuses what XML has no way to write, and another order', async () => {
    const one: EdrmRecord = { kind: 'relationship', type: '', parentDocId: 'a', childDocId: 'b' };
    await expect(collect(writeEdrmXml([{ ...one, type: 'a\u0000' }]))).rejects.toThrow(/U\+0000/u);
    await expect(
      collect(writeEdrmXml([one, { kind: 'field', name: 'x', key: '', dataType: '' }])),
    ).rejects.toMatchObject({
      code: 'load_file_value_unwritable',
    });
    expect((await read(Buffer.concat(await collect(writeEdrmXml([]))))).codes).toEqual([]);
  });
});
