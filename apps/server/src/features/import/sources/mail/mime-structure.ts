/**
 * The structure of a message: where each part lies in the bytes, read in one pass and never held (RFC 2045, RFC 2046).
 *
 * 1. Parts are spans of the source. A part of a gigabyte costs what its headers cost.
 * 2. Broken structure never fails: an unclosed part ends where its parent's next part starts, or with the file; a missing boundary
 *    is taken from the first line that looks like one; each such thing is told once.
 * 3. Numbers are bounded: parts, bytes of headers, nesting of multiparts. What exceeds a bound stays in the part before.
 */
import type { ParserFlaw } from '../parser-tasks.ts';
import type { ByteSpan, RandomBytes } from '../random-bytes.ts';
import type { SourceLimits } from '../source-model.ts';
import { decodeHeaderLine, HeaderBlock, parseHeaderLines, parseStructuredValue } from './header-block.ts';
import type { StructuredValue } from './header-block.ts';
import { LineReader } from './line-reader.ts';

export interface MimePart {
  readonly headers: HeaderBlock;
  readonly contentType: StructuredValue;
  /** Lower case; `7bit` when not stated. */
  readonly encoding: string;
  /** Of the part's content, in its transfer encoding. */
  body: ByteSpan;
  /** Empty for leaves. */
  readonly children: MimePart[];
  readonly parent: MimePart | null;
}

export interface MimeStructure {
  readonly root: MimePart;
  readonly partCount: number;
  readonly flaws: readonly ParserFlaw[];
}

type MimeLimits = Pick<SourceLimits, 'maxMimeParts' | 'maxHeaderBytes'>;

const maxMultipartDepth = 100;
const maxLineBytes = 64 * 1024;
const dashes = Buffer.from('--');

interface OpenMultipart {
  readonly part: MimePart;
  /** With its leading dashes; null until a line that looks like one is met. */
  delimiter: string | null;
}

const defaultType = (parent: MimePart | null): StructuredValue =>
  parent?.contentType.value === 'multipart/digest'
    ? { value: 'message/rfc822', parameters: new Map() }
    : { value: 'text/plain', parameters: new Map() };

class StructureScan {
  readonly #lines: LineReader;
  readonly #limits: MimeLimits;
  readonly #open: OpenMultipart[] = [];
  readonly #flaws = new Map<string, ParserFlaw>();
  #count = 0;

  constructor(lines: LineReader, limits: MimeLimits) {
    this.#lines = lines;
    this.#limits = limits;
  }

  #tell(code: ParserFlaw['code'], reason: string): void {
    this.#flaws.set(`${code} ${reason}`, { code, reason });
  }

  async scan(size: number): Promise<MimeStructure> {
    const root = await this.#readPart(null);
    let current: MimePart | null = this.#opens(root) ? null : root;
    while (await this.#lines.skipTo(dashes)) {
      if (this.#open.length === 0) {
        await this.#lines.next();
        continue;
      }
      const textEnd = this.#lines.endOfTextBefore;
      const line = await this.#lines.next();
      if (line === undefined) break;
      const met = this.#match(line.bytes);
      if (met === undefined) continue;
      if (!met.closes && this.#count >= this.#limits.maxMimeParts) {
        const reason = `The message has more than ${this.#limits.maxMimeParts} parts; the rest stays in the last one.`;
        this.#tell('limit_exceeded', reason);
        continue;
      }
      if (current !== null) endBody(current, textEnd);
      this.#closeAbove(met.level, textEnd);
      const multipart = this.#open[met.level];
      if (multipart === undefined) break;
      if (met.closes) {
        endBody(multipart.part, textEnd);
        this.#open.length = met.level;
        current = null;
        continue;
      }
      const part = await this.#readPart(multipart.part);
      multipart.part.children.push(part);
      current = this.#opens(part) ? null : part;
    }
    if (current !== null && this.#open.length > 0) endBody(current, size);
    if (this.#open.length > 0) this.#tell('truncated', 'The message ends before its last part is closed.');
    this.#closeAbove(-1, size);
    if (root.children.length === 0) endBody(root, size);
    return { root, partCount: this.#count, flaws: [...this.#flaws.values()] };
  }

  /** Ends the multiparts that lie deeper than `level`. */
  #closeAbove(level: number, end: number): void {
    while (this.#open.length > level + 1) {
      const inner = this.#open.pop();
      if (inner === undefined) return;
      endBody(inner.part, end);
      if (level >= 0) this.#tell('mime_broken', 'A part within parts is not closed.');
    }
  }

  #match(bytes: Buffer): { readonly level: number; readonly closes: boolean } | undefined {
    const line = bytes.toString('latin1').trimEnd();
    for (let level = this.#open.length - 1; level >= 0; level--) {
      const multipart = this.#open[level];
      if (multipart === undefined) continue;
      if (multipart.delimiter === null && /^--[\x21-\x7e]{1,200}$/u.test(line) && !/^-+$/u.test(line)) {
        multipart.delimiter = line;
      }
      if (line === multipart.delimiter) return { level, closes: false };
      if (line === `${multipart.delimiter}--`) return { level, closes: true };
    }
    return undefined;
  }

  /** Notes a multipart as open. False for a leaf. */
  #opens(part: MimePart): boolean {
    if (!part.contentType.value.startsWith('multipart/')) return false;
    if (this.#open.length >= maxMultipartDepth) {
      this.#tell('too_deep', `Parts are nested more than ${maxMultipartDepth} deep; the rest stays together.`);
      return false;
    }
    const boundary = part.contentType.parameters.get('boundary') ?? '';
    if (boundary === '') this.#tell('mime_broken', 'A multipart states no boundary; the first that is met is taken.');
    this.#open.push({ part, delimiter: boundary === '' ? null : `--${boundary.trimEnd()}` });
    return true;
  }

  async #readPart(parent: MimePart | null): Promise<MimePart> {
    this.#count++;
    const lines: string[] = [];
    let bytes = 0;
    let bodyStart = this.#lines.position;
    for (let first = true; ; first = false) {
      // A delimiter within headers ends them; it is left for the body's scan to meet.
      if (this.#open.length > 0 && (await this.#atDelimiter())) {
        this.#tell('mime_broken', 'The headers of a part are not followed by an empty line.');
        bodyStart = this.#lines.position;
        break;
      }
      const line = await this.#lines.next();
      if (line === undefined) {
        bodyStart = this.#lines.position;
        break;
      }
      bodyStart = line.end;
      if (line.bytes.length === 0) break;
      const text = decodeHeaderLine(line.bytes);
      if (first && /^>?From /u.test(text)) continue;
      if (first && parent !== null && !/^[\x21-\x39\x3b-\x7e]+[ \t]*:/u.test(text)) {
        // No header at all: the part begins with its text.
        this.#tell('mime_broken', 'A part has no headers.');
        bodyStart = line.start;
        break;
      }
      bytes += line.bytes.length;
      if (bytes <= this.#limits.maxHeaderBytes) lines.push(text);
      else this.#tell('limit_exceeded', `Headers longer than ${this.#limits.maxHeaderBytes} bytes are cut.`);
    }
    const { fields, flaws } = parseHeaderLines(lines);
    for (const { code, reason } of flaws) this.#tell(code, reason);
    const headers = new HeaderBlock(fields);
    const stated = headers.get('content-type');
    const encoding = (headers.get('content-transfer-encoding') ?? '7bit')
      .replace(/[;(].*$/su, '')
      .trim()
      .toLowerCase();
    return {
      headers,
      contentType: stated === undefined || !stated.includes('/') ? defaultType(parent) : parseStructuredValue(stated),
      encoding,
      body: { start: bodyStart, end: bodyStart },
      children: [],
      parent,
    };
  }

  /** True when the next line is a delimiter of an open multipart. Reads nothing. */
  async #atDelimiter(): Promise<boolean> {
    const next = await this.#lines.peek(dashes.length);
    if (!next.equals(dashes)) return false;
    const longest = Math.max(...this.#open.map(({ delimiter }) => delimiter?.length ?? 0)) + 4;
    const text = (await this.#lines.peek(longest)).toString('latin1').split(/\r?\n/u, 1)[0]?.trimEnd();
    return this.#open.some(({ delimiter }) => delimiter !== null && (text === delimiter || text === `${delimiter}--`));
  }
}

const endBody = (part: MimePart, end: number): void => {
  // A delimiter right after headers leaves a child that starts after the line break before it.
  const children = part.children.at(-1)?.body.end ?? 0;
  part.body = { start: part.body.start, end: Math.max(part.body.start, end, children) };
};

/** Reads the structure of a message. @throws what the source's stream ends with. */
export const scanMimeStructure = async (bytes: RandomBytes, limits: MimeLimits): Promise<MimeStructure> => {
  const lines = new LineReader(await bytes.open(), maxLineBytes);
  try {
    return await new StructureScan(lines, limits).scan(bytes.size);
  } finally {
    await lines.close();
  }
};
