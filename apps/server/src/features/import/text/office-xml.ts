/**
 * Text of Office documents in zips (ECMA-376, ISO 26300), part by part, as streams: no document tree is built, and what a part
 * unpacks to is bounded by the archive's reader. Document type declarations are refused by stopping: their entities are never expanded.
 */
import { SaxesParser } from 'saxes';
import type { RandomBytes } from '../sources/random-bytes.ts';
import type { SourceLimits, SourceProblem } from '../sources/source-model.ts';
import { problemOfError } from '../sources/source-node.ts';
import type { ZipArchive, ZipMember } from '../sources/zip-archive.ts';
import { openZipArchive } from '../sources/zip-archive.ts';

export interface OfficeText {
  readonly pages: string[];
  readonly problems: SourceProblem[];
}

interface XmlHandlers {
  open(name: string, attributes: Readonly<Record<string, string>>): void;
  close(name: string): void;
  text(text: string): void;
}

const maxDepth = 5000;

/** Ends the reading of a part. */
class PartStop extends Error {
  readonly reason: string | null;

  constructor(reason: string | null) {
    super(reason ?? 'enough');
    this.reason = reason;
  }
}

const localName = (name: string): string => name.slice(name.indexOf(':') + 1);

/** Where text goes: counted, so that it ends at the limit. */
class TextBudget {
  left: number;
  exhausted = false;

  constructor(chars: number) {
    this.left = chars;
  }

  take(text: string): string {
    if (text.length <= this.left) {
      this.left -= text.length;
      return text;
    }
    const kept = text.slice(0, this.left);
    this.left = 0;
    this.exhausted = true;
    return kept;
  }
}

class PackageReader {
  readonly problems: SourceProblem[] = [];
  readonly budget: TextBudget;
  readonly #archive: ZipArchive;
  readonly #path: string;
  readonly #members: ReadonlyMap<string, ZipMember>;

  constructor(archive: ZipArchive, path: string, maxChars: number) {
    this.#archive = archive;
    this.#path = path;
    this.#members = new Map(archive.members.map((member) => [member.path, member]));
    this.budget = new TextBudget(maxChars);
    for (const problem of archive.problems) {
      if (problem.code !== 'name_encoding_assumed') this.problems.push({ ...problem, path });
    }
  }

  has(part: string): boolean {
    return this.#members.has(part);
  }

  /** Parts by pattern, in the order of the number in their names. */
  parts(pattern: RegExp): string[] {
    const numberOf = (part: string): number => Number(pattern.exec(part)?.[1] ?? 0);
    return [...this.#members.keys()]
      .filter((part) => pattern.test(part))
      .toSorted((left, right) => numberOf(left) - numberOf(right));
  }

  /** Reads a part; what is wrong with it is told, and what came before is kept. */
  async read(part: string, handlers: XmlHandlers): Promise<void> {
    const member = this.#members.get(part);
    if (member === undefined || this.budget.exhausted) return;
    let depth = 0;
    const parser = new SaxesParser();
    const stop = (reason: string): never => {
      throw new PartStop(reason);
    };
    parser.on('doctype', () => stop('It has a document type declaration, which Office never writes.'));
    parser.on('error', () => stop('Its XML is broken.'));
    parser.on('opentag', ({ name, attributes }) => {
      if (++depth > maxDepth) stop(`Its elements are nested more than ${maxDepth} deep.`);
      handlers.open(localName(name), attributes);
      if (this.budget.exhausted) throw new PartStop(null);
    });
    parser.on('closetag', ({ name }) => {
      depth--;
      handlers.close(localName(name));
    });
    parser.on('text', (text) => handlers.text(text));
    parser.on('cdata', (text) => handlers.text(text));
    const decoder = new TextDecoder('utf-8');
    try {
      const stream = await this.#archive.open(member);
      for await (const chunk of stream as AsyncIterable<Buffer>) parser.write(decoder.decode(chunk, { stream: true }));
      parser.write(decoder.decode()).close();
    } catch (error) {
      this.#tell(part, error);
    }
  }

  #tell(part: string, error: unknown): void {
    if (error instanceof PartStop) {
      if (error.reason === null) return;
      this.problems.push({ path: this.#path, code: 'corrupt', reason: `Part ${part}: ${error.reason}` });
      return;
    }
    const problem = problemOfError(this.#path, error);
    if (problem === undefined) throw error;
    this.problems.push(problem);
  }
}

interface Relation {
  readonly target: string;
  readonly type: string;
}

/** What a part refers to, by the identifiers it uses (ECMA-376 part 2, 9.3); targets as paths in the package. */
const readRelations = async (reader: PackageReader, part: string): Promise<ReadonlyMap<string, Relation>> => {
  const relations = new Map<string, Relation>();
  const slash = part.lastIndexOf('/');
  const folder = part.slice(0, slash);
  await reader.read(`${folder}/_rels/${part.slice(slash + 1)}.rels`, {
    open: (name, attributes) => {
      const { Id: id, Target: target, Type: type = '' } = attributes;
      if (name !== 'Relationship' || id === undefined || target === undefined) return;
      const segments = target.startsWith('/') ? [] : folder.split('/');
      for (const segment of target.split('/')) {
        if (segment === '..') segments.pop();
        else if (segment !== '' && segment !== '.') segments.push(segment);
      }
      relations.set(id, { target: segments.join('/'), type: type.slice(type.lastIndexOf('/') + 1) });
    },
    close: () => undefined,
    text: () => undefined,
  });
  return relations;
};

/** Attribute of any prefix whose local name is `id` (`r:id`). */
const relationOf = (attributes: Readonly<Record<string, string>>): string =>
  Object.entries(attributes).find(([name]) => name.includes(':') && localName(name) === 'id')?.[1] ?? '';

interface ListedPart {
  readonly part: string;
  readonly name: string;
}

/**
 * Parts in the order in which a main part lists them. Those that it does not list, or all when it lists none that is there, follow in the order of
 * their numbers: nothing that has text is left out.
 */
const listParts = async (
  reader: PackageReader,
  main: string,
  element: string,
  pattern: RegExp,
): Promise<ListedPart[]> => {
  const relations = await readRelations(reader, main);
  const listed: ListedPart[] = [];
  await reader.read(main, {
    open: (name, attributes) => {
      const part = name === element ? relations.get(relationOf(attributes))?.target : undefined;
      if (part !== undefined && reader.has(part)) listed.push({ part, name: attributes['name'] ?? '' });
    },
    close: () => undefined,
    text: () => undefined,
  });
  const known = new Set(listed.map(({ part }) => part));
  const rest = reader.parts(pattern).filter((part) => !known.has(part));
  return [...listed, ...rest.map((part) => ({ part, name: '' }))];
};

/** Collects paragraphs: the text of `leaf` elements, breaks and tabs between, a line for each of `blocks`. */
const collectParagraphs = (
  budget: TextBudget,
  leaves: ReadonlySet<string>,
  blocks: ReadonlySet<string>,
  symbols: ReadonlyMap<string, string>,
): XmlHandlers & { result(): string } => {
  const out: string[] = [];
  let within = 0;
  return {
    open: (name) => {
      if (leaves.has(name)) within++;
      const symbol = symbols.get(name);
      if (symbol !== undefined) out.push(budget.take(symbol));
    },
    close: (name) => {
      if (leaves.has(name)) within--;
      if (blocks.has(name)) out.push(budget.take('\n'));
    },
    text: (text) => {
      if (within > 0) out.push(budget.take(text));
    },
    result: () => out.join(''),
  };
};

const wordLeaves = new Set(['t', 'delText', 'instrTextShown']);
const wordBlocks = new Set(['p']);
const wordSymbols = new Map([
  ['tab', '\t'],
  ['br', '\n'],
  ['cr', '\n'],
  ['noBreakHyphen', '-'],
]);

const readWord = async (reader: PackageReader): Promise<string[]> => {
  const texts: string[] = [];
  const parts = [
    ...reader.parts(/^word\/header(\d+)\.xml$/u),
    'word/document.xml',
    ...reader.parts(/^word\/footer(\d+)\.xml$/u),
    'word/footnotes.xml',
    'word/endnotes.xml',
    'word/comments.xml',
  ];
  for (const part of parts) {
    const collected = collectParagraphs(reader.budget, wordLeaves, wordBlocks, wordSymbols);
    // Tab stops are declared in paragraph properties by the same name as tabs are written.
    let properties = 0;
    await reader.read(part, {
      open: (name, attributes) => {
        if (name === 'pPr' || name === 'rPr') properties++;
        if (properties === 0) collected.open(name, attributes);
      },
      close: (name) => {
        if (properties === 0) collected.close(name);
        if (name === 'pPr' || name === 'rPr') properties--;
      },
      text: (text) => collected.text(text),
    });
    const text = collected.result();
    if (text.trim() !== '') texts.push(text);
  }
  return [texts.join('\n')];
};

const slideLeaves = new Set(['t']);
const slideBlocks = new Set(['p']);
const slideSymbols = new Map([['br', '\n']]);

const readSlides = async (reader: PackageReader): Promise<string[]> => {
  const pages: string[] = [];
  const slides = await listParts(reader, 'ppt/presentation.xml', 'sldId', /^ppt\/slides\/slide(\d+)\.xml$/u);
  for (const { part } of slides) {
    const slide = collectParagraphs(reader.budget, slideLeaves, slideBlocks, slideSymbols);
    await reader.read(part, slide);
    const notes = collectParagraphs(reader.budget, slideLeaves, slideBlocks, slideSymbols);
    for (const { target, type } of (await readRelations(reader, part)).values()) {
      if (type === 'notesSlide') await reader.read(target, notes);
    }
    pages.push([slide.result(), notes.result()].filter((text) => text.trim() !== '').join('\n'));
  }
  return pages;
};

const maxSharedStrings = 5_000_000;

const readSharedStrings = async (reader: PackageReader): Promise<string[]> => {
  const strings: string[] = [];
  let current: string[] = [];
  let inText = false;
  let inPhonetic = 0;
  let chars = reader.budget.left;
  await reader.read('xl/sharedStrings.xml', {
    open: (name) => {
      if (name === 'si') current = [];
      else if (name === 't') inText = true;
      else if (name === 'rPh') inPhonetic++;
    },
    close: (name) => {
      if (name === 't') inText = false;
      else if (name === 'rPh') inPhonetic--;
      else if (name === 'si' && strings.length < maxSharedStrings) strings.push(current.join(''));
    },
    text: (text) => {
      chars -= text.length;
      if (inText && inPhonetic === 0 && chars > 0) current.push(text);
    },
  });
  return strings;
};

const readSheets = async (reader: PackageReader): Promise<string[]> => {
  const strings = await readSharedStrings(reader);
  const sheets = await listParts(reader, 'xl/workbook.xml', 'sheet', /^xl\/worksheets\/sheet(\d+)\.xml$/u);
  const pages: string[] = [];
  for (const { part, name } of sheets) {
    const out: string[] = [];
    if (name !== '') out.push(reader.budget.take(`${name}\n`));
    let type = '';
    let value: string[] = [];
    let inValue = false;
    let cells: string[] = [];
    await reader.read(part, {
      open: (element, attributes) => {
        if (element === 'row') cells = [];
        else if (element === 'c') {
          type = attributes['t'] ?? '';
          value = [];
        } else if (element === 'v' || element === 't') inValue = true;
      },
      close: (element) => {
        if (element === 'v' || element === 't') inValue = false;
        else if (element === 'c') {
          const raw = value.join('');
          cells.push(type === 's' ? (strings[Number(raw)] ?? '') : raw);
        } else if (element === 'row' && cells.some((cell) => cell !== '')) {
          out.push(reader.budget.take(`${cells.join('\t')}\n`));
        }
      },
      text: (text) => {
        if (inValue) value.push(text);
      },
    });
    pages.push(out.join(''));
  }
  return pages;
};

const openDocumentLeaves = new Set(['p', 'h']);
const openDocumentBlocks = new Set(['p', 'h', 'table-row']);
const openDocumentSymbols = new Map([
  ['tab', '\t'],
  ['line-break', '\n'],
  ['s', ' '],
  ['table-cell', '\t'],
]);

const readOpenDocument = async (reader: PackageReader): Promise<string[]> => {
  const collected = collectParagraphs(reader.budget, openDocumentLeaves, openDocumentBlocks, openDocumentSymbols);
  await reader.read('content.xml', collected);
  return [collected.result()];
};

/** Text of a docx, xlsx, pptx, odt, ods or odp. A workbook's sheets and a presentation's slides are pages. */
export const readOfficeText = async (path: string, bytes: RandomBytes, limits: SourceLimits): Promise<OfficeText> => {
  const archive = await openZipArchive(bytes, limits);
  const reader = new PackageReader(archive, path, limits.maxTextChars);
  let pages: string[] = [];
  if (reader.has('word/document.xml')) pages = await readWord(reader);
  else if (reader.has('xl/workbook.xml')) pages = await readSheets(reader);
  else if (reader.has('ppt/presentation.xml')) pages = await readSlides(reader);
  else if (reader.has('content.xml')) pages = await readOpenDocument(reader);
  else reader.problems.push({ path, code: 'corrupt', reason: 'The document has no part that holds its text.' });
  if (reader.budget.exhausted) {
    const reason = `The text is cut at ${limits.maxTextChars} characters.`;
    reader.problems.push({ path, code: 'text_truncated', reason });
  }
  return { pages, problems: reader.problems };
};
