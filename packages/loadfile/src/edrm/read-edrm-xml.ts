/**
 * EDRM XML 1.2, streamed: fields, documents and relationships come out as their elements close.
 *
 * - Nothing is fetched and nothing is expanded: a document type declaration ends the reading before its entities exist,
 *   so neither external entities nor "billion laughs" can happen. The five entities of XML itself are all there are.
 * - One document is held at a time, of at most `maxRecordChars` characters; elements nest at most `maxXmlDepth` deep.
 * - What comes before an error stands. Content never throws.
 * - Names of elements and attributes are compared without case: tools disagree on `DocID` and `DocId`.
 */
import { SaxesParser } from 'saxes';
import type { ByteSource } from '../input/byte-input.ts';
import { createFlawReporter } from '../input/report-flaws.ts';
import { TextInput } from '../input/text-input.ts';
import type { LoadFileLimits } from '../limits.ts';
import { completeLimits } from '../limits.ts';
import type { ProblemCode, ProblemSink } from '../problems.ts';
import { problemAt } from '../problems.ts';
import type {
  EdrmDocument,
  EdrmExternalFile,
  EdrmField,
  EdrmFile,
  EdrmHeader,
  EdrmLine,
  EdrmLocation,
  EdrmRelationship,
  EdrmTag,
} from './edrm-model.ts';

export interface EdrmReadOptions {
  /** Overrides the XML declaration and detection. */
  readonly encoding?: string;
  readonly limits?: Partial<LoadFileLimits>;
  readonly onProblem?: ProblemSink;
}

/** How much text the parser gets at a time: the limit on what lies between two of its events is checked this often. */
const feedChars = 16_384;

/** Reads an EDRM XML file; records come in batches of one chunk of the file each. */
export async function* readEdrmXml(
  source: ByteSource,
  options: EdrmReadOptions = {},
): AsyncGenerator<readonly EdrmLine[]> {
  const limits = completeLimits(options.limits);
  const report = options.onProblem ?? (() => undefined);
  yield* readEdrmText(await openEdrmInput(source, limits, options.encoding, report), limits, report);
}

/** Text input that takes the encoding of an XML declaration, where there is one and neither caller nor mark say otherwise. */
export const openEdrmInput = async (
  source: ByteSource,
  limits: LoadFileLimits,
  stated: string | undefined,
  report: ProblemSink,
): Promise<TextInput> => {
  const input = new TextInput(source, limits, stated);
  const { text, guess } = await input.sample();
  const declared = /^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z][\w.:-]*)["']/u.exec(text.slice(0, 1000))?.[1];
  if (declared === undefined || guess.fixed || guess.encoding.startsWith('utf-16')) return input;
  if (!input.restate(declared)) {
    const message = `The declared encoding ${declared} is not known; ${guess.encoding} is assumed.`;
    report(problemAt('encoding_assumed', 1, message));
  }
  return input;
};

/** As `readEdrmXml`, for text input that has been looked at already. */
export async function* readEdrmText(
  input: TextInput,
  limits: LoadFileLimits,
  report: ProblemSink,
): AsyncGenerator<readonly EdrmLine[]> {
  const sample = await input.sample();
  if (sample.guess.binary) {
    report(problemAt('binary_file', 0, 'The file is not text; XML is expected.'));
    await input.close();
    return;
  }
  const builder = new RecordBuilder(limits, report);
  const reportFlaws = createFlawReporter(report);
  let any = false;
  for await (const { text, flaws, final } of input.pieces('\n')) {
    reportFlaws(flaws, builder.line);
    any ||= text.trim() !== '';
    for (let at = 0; at < text.length && !builder.stopped; at += feedChars)
      builder.feed(text.slice(at, at + feedChars));
    if (final && any) builder.finish();
    const records = builder.take();
    if (records.length > 0) yield records;
    if (builder.stopped) return;
  }
  if (!any) report(problemAt('empty_file', 0, 'The file holds no record.'));
}

interface OpenElement {
  readonly name: string;
  readonly line: number;
  readonly attributes: ReadonlyMap<string, string>;
  text: string;
}

interface OpenDocument {
  readonly line: number;
  readonly attributes: ReadonlyMap<string, string>;
  readonly tags: EdrmTag[];
  readonly fieldValues: { key: string; value: string }[];
  readonly files: EdrmFile[];
  readonly locations: EdrmLocation[];
  chars: number;
}

/** Where each element may stand: parent -> children, in lower case. What is not here is skipped and noted once by name. */
const structure: ReadonlyMap<string, readonly string[]> = new Map([
  ['', ['root']],
  ['root', ['fields', 'batch', 'documents', 'relationships']],
  ['fields', ['field']],
  ['batch', ['documents', 'relationships', 'fields', 'folders', 'document']],
  ['documents', ['document']],
  ['relationships', ['relationship']],
  ['document', ['tags', 'fieldvalues', 'files', 'locations', 'reviewelements']],
  ['tags', ['tag']],
  ['tag', ['tagvalue']],
  ['files', ['file']],
  ['file', ['externalfile']],
  ['locations', ['location']],
  ['location', ['custodian', 'locationuri', 'description']],
]);

class RecordBuilder {
  readonly #parser = new SaxesParser();
  readonly #limits: LoadFileLimits;
  readonly #report: ProblemSink;
  readonly #open: OpenElement[] = [];
  readonly #noted = new Set<string>();
  #records: EdrmLine[] = [];
  /** Depth of the element that is skipped with its content; 0 when none is. */
  #skipping = 0;
  #depth = 0;
  #sinceEvent = 0;
  #document: OpenDocument | undefined;
  #external: EdrmExternalFile[] = [];
  #location = { custodian: '', uri: '', description: '' };
  stopped = false;

  constructor(limits: LoadFileLimits, report: ProblemSink) {
    this.#limits = limits;
    this.#report = report;
    const parser = this.#parser;
    parser.on('error', (error) => {
      // The parser's text starts with its own line and column, which is said already.
      const message = error.message.replace(/^[^:]*:\d+:\s*/u, '').split('\n')[0] ?? '';
      this.#stop('xml_malformed', `The XML is not well-formed: ${message}`);
    });
    parser.on('doctype', () => this.#stop('xml_doctype_refused', 'The file has a document type declaration.'));
    parser.on('opentag', ({ name, attributes }) => this.#openElement(name, attributes));
    parser.on('text', (text) => this.#addText(text));
    parser.on('cdata', (text) => this.#addText(text));
    parser.on('closetag', () => this.#closeElement());
  }

  get line(): number {
    return this.#parser.line;
  }

  feed(text: string): void {
    this.#sinceEvent += text.length;
    this.#parser.write(text);
    if (this.#sinceEvent > this.#limits.maxRecordChars && !this.stopped) {
      this.#stop('record_too_long', `An element is longer than ${this.#limits.maxRecordChars} characters.`);
    }
  }

  finish(): void {
    if (!this.stopped) this.#parser.close();
  }

  take(): readonly EdrmLine[] {
    const records = this.#records;
    this.#records = [];
    return records;
  }

  #stop(code: ProblemCode, message: string): void {
    if (this.stopped) return;
    this.stopped = true;
    this.#report(problemAt(code, this.#parser.line, message));
  }

  #openElement(name: string, attributes: Readonly<Record<string, string>>): void {
    if (this.stopped) return;
    this.#sinceEvent = 0;
    this.#depth++;
    if (this.#depth > this.#limits.maxXmlDepth) {
      this.#stop('xml_too_deep', `Elements are nested deeper than ${this.#limits.maxXmlDepth}.`);
      return;
    }
    if (this.#skipping > 0) return;
    const local = (name.split(':').at(-1) ?? name).toLowerCase();
    const parent = this.#open.at(-1)?.name ?? '';
    if (parent === '' && local !== 'root') {
      this.#stop('xml_not_edrm', `The root element is ${JSON.stringify(name.slice(0, 80))}; EDRM XML has Root.`);
      return;
    }
    const isFieldValue = parent === 'fieldvalues';
    if (!isFieldValue && !(structure.get(parent)?.includes(local) ?? false)) {
      this.#skipping = this.#depth;
      this.#noteUnknown(parent, local);
      return;
    }
    const values = new Map(Object.entries(attributes).map(([key, value]) => [key.toLowerCase(), value]));
    const element = { name: isFieldValue ? 'fieldvalue' : local, line: this.line, attributes: values, text: '' };
    this.#open.push(element);
    let chars = 0;
    for (const value of values.values()) chars += value.length;
    this.#count(chars);
    if (local === 'root') this.#records.push({ line: this.line, record: headerOf(values) });
    if (local === 'document' && !isFieldValue) {
      this.#document = {
        line: this.line,
        attributes: values,
        tags: [],
        fieldValues: [],
        files: [],
        locations: [],
        chars: 0,
      };
    }
    if (element.name === 'file') this.#external = [];
    if (element.name === 'location') this.#location = { custodian: '', uri: '', description: '' };
    if (isFieldValue) this.#document?.fieldValues.push({ key: name, value: '' });
  }

  #noteUnknown(parent: string, local: string): void {
    const place = `${parent}/${local}`;
    // Once by name, and for at most so many names: a hostile file could have any number of them.
    if (this.#noted.has(place) || this.#noted.size >= 100) return;
    this.#noted.add(place);
    const message = `The element ${JSON.stringify(local.slice(0, 80))} within ${JSON.stringify(parent)} is skipped, here and later.`;
    this.#report(problemAt('xml_unknown_element', this.line, message));
  }

  #count(chars: number): void {
    if (this.#document === undefined) return;
    this.#document.chars += chars;
    if (this.#document.chars > this.#limits.maxRecordChars) {
      this.#stop('record_too_long', `A document is longer than ${this.#limits.maxRecordChars} characters.`);
    }
  }

  #addText(text: string): void {
    this.#sinceEvent = 0;
    const element = this.#open.at(-1);
    if (element === undefined || this.#skipping > 0 || this.stopped) return;
    if (!textElements.has(element.name)) return;
    element.text += text;
    this.#count(text.length);
  }

  #closeElement(): void {
    if (this.stopped) return;
    this.#sinceEvent = 0;
    const depth = this.#depth--;
    if (this.#skipping > 0) {
      if (this.#skipping === depth) this.#skipping = 0;
      return;
    }
    const element = this.#open.pop();
    if (element !== undefined) this.#complete(element);
  }

  #complete({ name, line, attributes, text }: OpenElement): void {
    const attribute = (key: string): string => attributes.get(key) ?? '';
    const document = this.#document;
    if (name === 'field') this.#addField(line, attributes);
    else if (name === 'relationship') this.#addRelationship(line, attributes);
    else if (name === 'tagvalue') {
      const tag = this.#open.at(-1);
      if (tag !== undefined) tag.text += text;
    } else if (name === 'tag') {
      const value = attributes.has('tagvalue') ? attribute('tagvalue') : text;
      document?.tags.push({ name: attribute('tagname'), value, dataType: attribute('tagdatatype') });
    } else if (name === 'fieldvalue') {
      const last = document?.fieldValues.at(-1);
      if (last !== undefined) last.value = text;
    } else if (name === 'externalfile') {
      this.#external.push({
        filePath: attribute('filepath'),
        fileName: attribute('filename'),
        fileSize: attribute('filesize'),
        hash: attribute('hash'),
        hashType: attribute('hashtype'),
      });
    } else if (name === 'file') {
      document?.files.push({ fileType: attribute('filetype'), files: this.#external });
    } else if (name === 'custodian') this.#location.custodian = text;
    else if (name === 'locationuri') this.#location.uri = text;
    else if (name === 'description') this.#location.description = text;
    else if (name === 'location') document?.locations.push({ ...this.#location });
    else if (name === 'document') this.#addDocument();
  }

  #addField(line: number, attributes: ReadonlyMap<string, string>): void {
    const name = attributes.get('name') ?? '';
    if (name === '') {
      this.#report(problemAt('xml_missing_attribute', line, 'A Field has no Name.'));
      return;
    }
    const record: EdrmField = {
      kind: 'field',
      name,
      key: attributes.get('key') ?? '',
      dataType: attributes.get('datatype') ?? '',
    };
    this.#records.push({ line, record });
  }

  #addRelationship(line: number, attributes: ReadonlyMap<string, string>): void {
    const record: EdrmRelationship = {
      kind: 'relationship',
      type: attributes.get('type') ?? '',
      parentDocId: attributes.get('parentdocid') ?? '',
      childDocId: attributes.get('childdocid') ?? '',
    };
    if (record.parentDocId === '' || record.childDocId === '') {
      this.#report(problemAt('xml_missing_attribute', line, 'A Relationship lacks ParentDocID or ChildDocID.'));
    } else {
      this.#records.push({ line, record });
    }
  }

  #addDocument(): void {
    const document = this.#document;
    this.#document = undefined;
    if (document === undefined) return;
    const { line, attributes, tags, fieldValues, files, locations } = document;
    const docId = attributes.get('docid') ?? '';
    if (docId === '') {
      this.#report(problemAt('xml_missing_attribute', line, 'A Document has no DocID.'));
      return;
    }
    const record: EdrmDocument = {
      kind: 'document',
      docId,
      docType: attributes.get('doctype') ?? '',
      mimeType: attributes.get('mimetype') ?? '',
      tags,
      fieldValues,
      files,
      locations,
    };
    this.#records.push({ line, record });
  }
}

const textElements: ReadonlySet<string> = new Set([
  'tag',
  'tagvalue',
  'fieldvalue',
  'custodian',
  'locationuri',
  'description',
]);

const headerOf = (attributes: ReadonlyMap<string, string>): EdrmHeader => ({
  kind: 'header',
  majorVersion: attributes.get('majorversion') ?? '',
  minorVersion: attributes.get('minorversion') ?? '',
  description: attributes.get('description') ?? '',
  locale: attributes.get('locale') ?? '',
  dataInterchangeType: attributes.get('datainterchangetype') ?? '',
});
