/**
 * Records to EDRM XML 1.2, piece by piece. What is written reads back as the same records; a character that XML 1.0 does
 * not have is refused with the record's number.
 */
import { CaseboundError } from '@casebound/contract';
import type {
  EdrmDocument,
  EdrmExternalFile,
  EdrmField,
  EdrmHeader,
  EdrmRecord,
  EdrmRelationship,
} from './edrm-model.ts';

const entities: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ['\t', '&#9;'],
  ['\n', '&#10;'],
  ['\r', '&#13;'],
]);

/** Outside of Char in XML 1.0, section 2.2. */
const illegal = (text: string): number | undefined => {
  for (let index = 0; index < text.length; index++) {
    const code = text.codePointAt(index) ?? 0;
    if (code > 0xffff) index++;
    const legal =
      code === 0x9 ||
      code === 0xa ||
      code === 0xd ||
      (code >= 0x20 && code <= 0xd7ff) ||
      (code >= 0xe000 && code <= 0xfffd) ||
      code > 0xffff;
    if (!legal) return code;
  }
  return undefined;
};

/** Order in which a file can hold its records. */
const places = { header: 0, field: 1, document: 2, relationship: 3 } as const;

const part = (name: string, items: readonly string[]): string =>
  items.length === 0 ? '' : `        <${name}>\n${items.join('')}        </${name}>\n`;

class XmlWriter {
  #number = 0;
  /** `places` of the last record; -1 before the first. */
  #place = -1;

  start(record: EdrmRecord): string {
    this.#number++;
    const place = places[record.kind];
    if (place < this.#place || (place === 0 && this.#place === 0)) {
      throw this.#refuse(`a ${record.kind} cannot come here; the order is header, fields, documents, relationships`);
    }
    let text = '';
    if (this.#place < 0 && record.kind !== 'header') text += this.header(defaultHeader);
    if (place !== this.#place && place > 0) text += this.#between(Math.max(this.#place, 0), place);
    this.#place = place;
    return text + this.#record(record);
  }

  end(): string {
    const text = this.#place < 0 ? this.header(defaultHeader) : '';
    return text + this.#between(Math.max(this.#place, 0), 4);
  }

  /** Tags that close one part of the file and open another; 0 is the header, 4 the end. */
  #between(from: number, to: number): string {
    const close = ['', '  </Fields>\n', '    </Documents>\n', '    </Relationships>\n'][from] ?? '';
    if (to === 1) return `${close}  <Fields>\n`;
    const batch = from < 2 ? '  <Batch>\n' : '';
    if (to === 2) return `${close}${batch}    <Documents>\n`;
    if (to === 3) return `${close}${batch}    <Relationships>\n`;
    return `${close}${from < 2 ? '' : '  </Batch>\n'}</Root>\n`;
  }

  #record(record: EdrmRecord): string {
    switch (record.kind) {
      case 'header':
        return this.header(record);
      case 'field':
        return this.#field(record);
      case 'document':
        return this.#document(record);
      case 'relationship':
        return this.#relationship(record);
    }
  }

  header(header: EdrmHeader): string {
    const attributes = this.#attributes({
      MajorVersion: header.majorVersion,
      MinorVersion: header.minorVersion,
      Description: header.description,
      Locale: header.locale,
      DataInterchangeType: header.dataInterchangeType,
    });
    return `<?xml version="1.0" encoding="UTF-8"?>\n<Root${attributes}>\n`;
  }

  #field({ name, key, dataType }: EdrmField): string {
    if (name === '') throw this.#refuse('a field needs a name');
    return `    <Field${this.#attributes({ Name: name, Key: key, DataType: dataType })}/>\n`;
  }

  #relationship({ type, parentDocId, childDocId }: EdrmRelationship): string {
    if (parentDocId === '' || childDocId === '') throw this.#refuse('a relationship needs a parent and a child');
    return `      <Relationship${this.#attributes({ Type: type, ParentDocID: parentDocId, ChildDocID: childDocId })}/>\n`;
  }

  #document(document: EdrmDocument): string {
    if (document.docId === '') throw this.#refuse('a document needs an id');
    const attributes = { DocID: document.docId, DocType: document.docType, MimeType: document.mimeType };
    const tags = document.tags.map(
      ({ name, value, dataType }) =>
        // An empty value is written, too: an absent one would be read from the content.
        `          <Tag TagName="${this.#escape(name)}" TagValue="${this.#escape(value)}"${this.#attributes({ TagDataType: dataType })}/>\n`,
    );
    const values = document.fieldValues.map(({ key, value }) => {
      if (!/^[\p{L}_][\p{L}\p{N}._-]*$/u.test(key))
        throw this.#refuse(`the field key ${JSON.stringify(key)} is no element name`);
      return `          <${key}>${this.#escape(value)}</${key}>\n`;
    });
    const files = document.files.map(
      ({ fileType, files: external }) =>
        `          <File${this.#attributes({ FileType: fileType })}>\n${external.map((file) => this.#external(file)).join('')}          </File>\n`,
    );
    const locations = document.locations.map(
      ({ custodian, uri, description }) =>
        `          <Location>\n${this.#element('Custodian', custodian)}${this.#element('LocationURI', uri)}${this.#element('Description', description)}          </Location>\n`,
    );
    return `      <Document${this.#attributes(attributes)}>\n${part('Tags', tags)}${part('FieldValues', values)}${part('Files', files)}${part('Locations', locations)}      </Document>\n`;
  }

  #external(file: EdrmExternalFile): string {
    const attributes = {
      FilePath: file.filePath,
      FileName: file.fileName,
      FileSize: file.fileSize,
      Hash: file.hash,
      HashType: file.hashType,
    };
    return `            <ExternalFile${this.#attributes(attributes)}/>\n`;
  }

  #element(name: string, value: string): string {
    return value === '' ? '' : `            <${name}>${this.#escape(value)}</${name}>\n`;
  }

  #attributes(values: Readonly<Record<string, string>>): string {
    return Object.entries(values)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => ` ${name}="${this.#escape(value)}"`)
      .join('');
  }

  #escape(value: string): string {
    const code = illegal(value);
    if (code !== undefined) {
      throw this.#refuse(`XML has no U+${code.toString(16).toUpperCase().padStart(4, '0')}`);
    }
    return value.replace(/[&<>"\t\n\r]/gu, (character) => entities.get(character) ?? character);
  }

  #refuse(what: string): CaseboundError {
    return new CaseboundError(
      'load_file_value_unwritable',
      `Record ${this.#number} cannot be written to EDRM XML: ${what}.`,
    );
  }
}

const defaultHeader: EdrmHeader = {
  kind: 'header',
  majorVersion: '1',
  minorVersion: '2',
  description: '',
  locale: '',
  dataInterchangeType: 'Update',
};

/**
 * Writes records as EDRM XML 1.2 in UTF-8. They must come in the order of the file: header (optional), fields, documents,
 * relationships.
 * @throws CaseboundError `load_file_value_unwritable` for a character that XML does not have, a missing id, or another order.
 */
export async function* writeEdrmXml(
  records: AsyncIterable<EdrmRecord> | Iterable<EdrmRecord>,
): AsyncGenerator<Uint8Array> {
  const writer = new XmlWriter();
  let text = '';
  for await (const record of records) {
    text += writer.start(record);
    if (text.length >= 65_536) {
      yield Buffer.from(text, 'utf8');
      text = '';
    }
  }
  yield Buffer.from(text + writer.end(), 'utf8');
}
