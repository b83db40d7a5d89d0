/**
 * The text of an item, page by page where its format has pages.
 *
 * 1. Nothing about content is thrown, and nothing is loaded from elsewhere.
 * 2. Text is bounded by `maxTextChars`, time by `parseTimeoutMs`; what was read before a bound is kept, and the bound is told.
 * 3. Lines end with `\n`; there is no U+0000 and no half character in the text.
 */
import type { Readable } from 'node:stream';
import { decodeCharset } from '../sources/charset.ts';
import { extensionOf } from '../sources/file-type.ts';
import type { RandomBytes } from '../sources/random-bytes.ts';
import type {
  ContentItem,
  ExtractedText,
  MailAddress,
  MailBody,
  MailMetadata,
  SourceProblem,
  TextMethod,
} from '../sources/source-model.ts';
import { problemOfError } from '../sources/source-node.ts';
import type { SourceWorkspace } from '../sources/source-workspace.ts';
import { isPageImage } from '../write/image-type.ts';
import { convertWithLibreOffice } from './convert-with-libreoffice.ts';
import { readOfficeText } from './office-xml.ts';

/** What extraction needs of an item. */
export type TextSource = Pick<ContentItem, 'path' | 'fileName' | 'kind' | 'mime' | 'size' | 'mail' | 'open'>;

const officeXml =
  /^application\/vnd\.(?:openxmlformats-officedocument\.(?:wordprocessingml|spreadsheetml|presentationml)|oasis\.opendocument\.|ms-(?:word|excel|powerpoint)\.[a-z.]*macroenabled)/iu;
const oldOffice: ReadonlyMap<string, 'doc' | 'xls' | 'ppt'> = new Map([
  ['application/msword', 'doc'],
  ['application/vnd.ms-excel', 'xls'],
  ['application/vnd.ms-powerpoint', 'ppt'],
]);
const htmlTypes = new Set(['text/html', 'application/xhtml+xml']);
const plainTypes =
  /^(?:text\/|message\/|application\/(?:json|xml|yaml|javascript|sql|x-sh|pgp-signature)$|image\/svg\+xml$)/u;

/** UTF-8 takes at most four bytes a character; what is read beyond cannot be text within the limit. */
const bytesPerChar = 4;

const normalize = (text: string): string =>
  text
    .replace(/^\uFEFF/u, '')
    .replaceAll(/\r\n?/gu, '\n')
    .replaceAll('\0', '')
    .toWellFormed();

interface Bounded {
  readonly bytes: Buffer;
  readonly cut: boolean;
}

const readBounded = async (stream: Readable, maxBytes: number): Promise<Bounded> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxBytes) return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), cut: true };
  }
  return { bytes: Buffer.concat(chunks), cut: false };
};

class Extraction {
  readonly problems: SourceProblem[] = [];
  readonly #source: TextSource;
  readonly #workspace: SourceWorkspace;

  constructor(source: TextSource, workspace: SourceWorkspace) {
    this.#source = source;
    this.#workspace = workspace;
  }

  #tell(code: SourceProblem['code'], reason: string): void {
    const { path } = this.#source;
    if (!this.problems.some((told) => told.code === code && told.reason === reason)) {
      this.problems.push({ path, code, reason });
    }
  }

  #tellCut(): void {
    this.#tell('text_truncated', `The text is cut at ${this.#workspace.limits.maxTextChars} characters.`);
  }

  #done(method: TextMethod, pages: readonly string[]): ExtractedText {
    return { pages: pages.map(normalize), method, problems: this.problems };
  }

  async run(): Promise<ExtractedText> {
    const { mime, mail, kind, size } = this.#source;
    if (mail !== null) return this.#done('mail', [await this.#readMail(mail)]);
    if (kind === 'container') return this.#done('none', []);
    if (size === 0) return this.#done('empty', []);
    if (mime === 'application/pdf') return this.#done('pdf', []);
    if (isPageImage(mime)) return this.#done('image', []);
    if (officeXml.test(mime)) return this.#readOfficeXml();
    const old = oldOffice.get(mime);
    if (old !== undefined) return this.#readOldOffice(old);
    if (mime === 'application/rtf') return this.#done('rtf', [await this.#readRtf(await this.#source.open())]);
    if (htmlTypes.has(mime)) return this.#done('html', [await this.#readHtml(await this.#source.open(), null)]);
    if (mime === 'multipart/related') return this.#done('none', this.#noExtractor());
    if (plainTypes.test(mime)) return this.#done('plain', [await this.#readPlain(await this.#source.open(), null)]);
    return this.#done('none', this.#noExtractor());
  }

  #noExtractor(): readonly string[] {
    const extension = extensionOf(this.#source.fileName);
    const named = extension === '' ? '' : ` (.${extension.slice(0, 20)})`;
    this.#tell('no_extractor', `Nothing here reads text from ${this.#source.mime.slice(0, 100)}${named}.`);
    return [];
  }

  #cut(text: string, cut: boolean): string {
    const { maxTextChars } = this.#workspace.limits;
    if (!cut && text.length <= maxTextChars) return text;
    this.#tellCut();
    return text.slice(0, maxTextChars);
  }

  async #decode(stream: Readable, charset: string | null): Promise<{ readonly text: string; readonly cut: boolean }> {
    const { bytes, cut } = await readBounded(stream, this.#workspace.limits.maxTextChars * bytesPerChar);
    const decoded = decodeCharset(bytes, charset);
    const named = JSON.stringify((charset ?? '').slice(0, 40));
    if (decoded.flaw === 'unknown') {
      this.#tell('charset_unknown', `The charset ${named} is not known; the text is read as ${decoded.charset}.`);
    } else if (decoded.flaw === 'mismatch' && !cut) {
      this.#tell('charset_mismatch', `The text is not in ${named} as stated; it is read as ${decoded.charset}.`);
    }
    return { text: decoded.text, cut };
  }

  async #readPlain(stream: Readable, charset: string | null): Promise<string> {
    const { text, cut } = await this.#decode(stream, charset);
    return this.#cut(text, cut);
  }

  async #readHtml(stream: Readable, charset: string | null): Promise<string> {
    const { bytes, cut } = await readBounded(stream, this.#workspace.limits.maxTextChars * bytesPerChar);
    const stated = charset ?? charsetOfHtml(bytes);
    const decoded = decodeCharset(bytes, stated);
    if (decoded.flaw !== null && charset !== null) {
      this.#tell('charset_mismatch', `The text is not in the charset it states; it is read as ${decoded.charset}.`);
    }
    return this.#htmlText(decoded.text, cut);
  }

  /** A page that cannot be laid out in time still has its words. */
  async #htmlText(html: string, cut: boolean): Promise<string> {
    const { parser, limits } = this.#workspace;
    const input = { html, maxChars: limits.maxTextChars };
    let outcome = await parser.run('html', input);
    if (!outcome.ok) {
      this.#tell(outcome.code, `${outcome.reason} Its words are kept without their layout.`);
      outcome = await parser.run('stripTags', input);
    }
    if (!outcome.ok) {
      this.#tell(outcome.code, outcome.reason);
      return '';
    }
    return this.#cut(outcome.value.text, cut || outcome.value.truncated);
  }

  async #readRtf(stream: Readable): Promise<string> {
    const { maxWholeFileBytes, maxTextChars: maxChars } = this.#workspace.limits;
    const { bytes, cut } = await readBounded(stream, maxWholeFileBytes);
    const own = new Uint8Array(bytes);
    const outcome = await this.#workspace.parser.run('rtf', { bytes: own, maxChars }, [own.buffer]);
    if (!outcome.ok) {
      this.#tell(outcome.code, outcome.reason);
      return '';
    }
    return this.#cut(outcome.value.text, cut || outcome.value.truncated);
  }

  async #readOfficeXml(): Promise<ExtractedText> {
    const { limits, spool } = this.#workspace;
    const { path } = this.#source;
    await using spooled = await spool.take(await this.#source.open(), path);
    const bytes: RandomBytes = spooled.bytes;
    const { pages, problems } = await readOfficeText(path, bytes, limits);
    this.problems.push(...problems);
    return this.#done('office', pages);
  }

  async #readOldOffice(kind: 'doc' | 'xls' | 'ppt'): Promise<ExtractedText> {
    const { libreOffice, limits, spool } = this.#workspace;
    if (libreOffice === null) {
      this.#tell('no_extractor', `Text of .${kind} files is read by LibreOffice, which is not installed here.`);
      return this.#done('none', []);
    }
    const converted = await convertWithLibreOffice(libreOffice, kind, await this.#source.open(), {
      timeoutMs: limits.parseTimeoutMs,
      maxBytes: limits.maxTextChars * bytesPerChar,
      temporaryFolder: await spool.folder(),
    });
    if (!converted.ok) {
      this.#tell(converted.code, converted.reason);
      return this.#done('none', []);
    }
    const text = decodeCharset(converted.bytes, 'utf-8').text;
    if (kind !== 'ppt') return this.#done('libreoffice', [this.#cut(text, false)]);
    return this.#done('libreoffice', [await this.#htmlText(text, false)]);
  }

  async #readMail(mail: MailMetadata): Promise<string> {
    const parts = [headersAsText(mail)];
    for (const bodies of Map.groupBy(mail.bodies, ({ section }) => section).values()) {
      parts.push(await this.#readSection(bodies));
    }
    return this.#cut(parts.filter((part) => part.trim() !== '').join('\n\n'), false);
  }

  /** The plain rendition when it says anything, else what can be made of the others. */
  async #readSection(bodies: readonly MailBody[]): Promise<string> {
    for (const kind of ['text', 'html', 'rtf'] as const) {
      let text = '';
      for (const body of bodies) if (body.kind === kind) text += await this.#readBody(body);
      if (text.trim() !== '') return text;
    }
    return '';
  }

  async #readBody(body: MailBody): Promise<string> {
    const stream = await body.open();
    if (body.kind === 'html') return this.#readHtml(stream, body.charset);
    return body.kind === 'rtf' ? this.#readRtf(stream) : this.#readPlain(stream, body.charset);
  }
}

/** What a page says of its own charset, in its first kilobyte (HTML, 4.2.5.4). */
const charsetOfHtml = (bytes: Buffer): string | null => {
  const head = bytes.toString('latin1', 0, 1024);
  return /<meta[^>]{0,200}charset\s*=\s*["']?([\w:.-]{1,40})/iu.exec(head)?.[1] ?? null;
};

const addressText = ({ name, address }: MailAddress): string => {
  if (name === '' || name === address) return address;
  return address === '' ? name : `${name} <${address}>`;
};

const headersAsText = (mail: MailMetadata): string => {
  const lines: string[] = [];
  const add = (label: string, value: string): void => {
    if (value !== '') lines.push(`${label}: ${value}`);
  };
  const all = (addresses: readonly MailAddress[]): string => addresses.map(addressText).join('; ');
  add('From', all(mail.from));
  add('To', all(mail.to));
  add('Cc', all(mail.cc));
  add('Bcc', all(mail.bcc));
  add('Date', mail.sentAt?.utc ?? '');
  add('Subject', mail.subject ?? '');
  return lines.join('\n');
};

/** Extracts text. PDF and images come back as `pdf` and `image`, for the document engine. */
export const extractText = async (source: TextSource, workspace: SourceWorkspace): Promise<ExtractedText> => {
  const extraction = new Extraction(source, workspace);
  try {
    return await extraction.run();
  } catch (error) {
    const problem = problemOfError(source.path, error);
    if (problem === undefined) throw error;
    return { pages: [], method: 'none', problems: [...extraction.problems, problem] };
  }
};
