/**
 * RTF as text (Rich Text Format specification 1.9.1). Runs in the parser thread. Destinations that are no text are skipped; the
 * HTML that Outlook wraps in RTF (MS-OXRTFEX) comes out as the text that is shown, since its tags are in skipped groups.
 */
import { charsetOfCodePage } from '../sources/charset.ts';

/** Groups whose content is not the document's text. */
const hiddenDestinations = new Set([
  'fonttbl',
  'colortbl',
  'stylesheet',
  'info',
  'pict',
  'object',
  'themedata',
  'colorschememapping',
  'datastore',
  'latentstyles',
  'listtable',
  'listoverridetable',
  'rsidtbl',
  'generator',
  'xmlnstbl',
  'filetbl',
  'revtbl',
  'fldinst',
  'header',
  'footer',
  'headerl',
  'headerr',
  'headerf',
  'footerl',
  'footerr',
  'footerf',
  'htmltag',
  'mhtmltag',
  'pntext',
  'bkmkstart',
  'bkmkend',
  'nonshppict',
  'objdata',
  'blipuid',
  'pgdsctbl',
  'mmathPr',
]);

const symbols: ReadonlyMap<string, string> = new Map([
  ['par', '\n'],
  ['line', '\n'],
  ['sect', '\n'],
  ['page', '\n'],
  ['row', '\n'],
  ['cell', '\t'],
  ['nestcell', '\t'],
  ['nestrow', '\n'],
  ['tab', '\t'],
  ['emdash', '\u2014'],
  ['endash', '\u2013'],
  ['emspace', '\u2003'],
  ['enspace', '\u2002'],
  ['bullet', '\u2022'],
  ['lquote', '\u2018'],
  ['rquote', '\u2019'],
  ['ldblquote', '\u201C'],
  ['rdblquote', '\u201D'],
]);

/** Code pages by font charset number (specification, `\fcharset`). */
const codePageOfCharset: ReadonlyMap<number, number> = new Map([
  [0, 1252],
  [77, 10000],
  [128, 932],
  [129, 949],
  [134, 936],
  [136, 950],
  [161, 1253],
  [162, 1254],
  [163, 1258],
  [177, 1255],
  [178, 1256],
  [186, 1257],
  [204, 1251],
  [222, 874],
  [238, 1250],
]);

interface GroupState {
  hidden: boolean;
  /** Characters that follow a `\u` and stand for it. */
  skipAfterUnicode: number;
  font: number | null;
  isFontTable: boolean;
  /** Of Outlook: what is only for readers of RTF. */
  rtfOnly: boolean;
}

const maxDepth = 1000;
const control = /\\(?:([a-z]{1,32})(-?\d{1,10})? ?|'([0-9a-f]{2})|(\*)|([^a-z]))/isuy;
const plainRun = /[^\\{}\r\n]+/suy;

class RtfReader {
  readonly #rtf: string;
  readonly #maxChars: number;
  readonly #out: string[] = [];
  readonly #fonts = new Map<number, string>();
  #length = 0;
  #codePage = 'windows-1252';
  #bytes: number[] = [];
  #bytesCharset = '';
  #toSkip = 0;
  #at = 0;

  constructor(rtf: string, maxChars: number) {
    this.#rtf = rtf;
    this.#maxChars = maxChars;
  }

  read(): { readonly text: string; readonly truncated: boolean } {
    let state: GroupState = { hidden: false, skipAfterUnicode: 1, font: null, isFontTable: false, rtfOnly: false };
    const stack: GroupState[] = [];
    const rtf = this.#rtf;
    while (this.#at < rtf.length && this.#length <= this.#maxChars) {
      const char = rtf[this.#at];
      if (char === '{') {
        this.#at++;
        if (stack.length < maxDepth) stack.push({ ...state });
      } else if (char === '}') {
        this.#at++;
        this.#flush();
        state = stack.pop() ?? state;
      } else if (char === '\\') this.#control(state);
      else if (char === '\r' || char === '\n') this.#at++;
      else {
        plainRun.lastIndex = this.#at;
        const run = plainRun.exec(rtf)?.[0] ?? '';
        this.#at += Math.max(1, run.length);
        this.#plain(run, state);
      }
    }
    this.#flush();
    const text = this.#out.join('');
    return { text: text.slice(0, this.#maxChars).toWellFormed(), truncated: text.length > this.#maxChars };
  }

  #plain(run: string, state: GroupState): void {
    const skipped = Math.min(this.#toSkip, run.length);
    this.#toSkip -= skipped;
    if (skipped === run.length) return;
    // The file was read byte by byte: what is beyond ASCII is in the code page of the font.
    for (const char of run.slice(skipped)) {
      if (char > '\u007F') this.#byte(char.charCodeAt(0), state);
      else this.#emit(char, state);
    }
  }

  #control(state: GroupState): void {
    control.lastIndex = this.#at;
    const found = control.exec(this.#rtf);
    if (found === null) {
      this.#at++;
      return;
    }
    this.#at += found[0].length;
    const [, word, parameter, hex, star, symbol] = found;
    if (hex !== undefined) {
      if (this.#toSkip > 0) this.#toSkip--;
      else this.#byte(Number.parseInt(hex, 16), state);
    } else if (star !== undefined) state.hidden = true;
    else if (word !== undefined) this.#word(word, parameter === undefined ? null : Number(parameter), state);
    else if (symbol !== undefined) this.#symbol(symbol, state);
  }

  #symbol(symbol: string, state: GroupState): void {
    if (symbol === '\\' || symbol === '{' || symbol === '}') this.#emit(symbol, state);
    else if (symbol === '~') this.#emit('\u00A0', state);
    else if (symbol === '_') this.#emit('-', state);
    else if (symbol === '\n' || symbol === '\r') this.#emit('\n', state);
  }

  #word(word: string, parameter: number | null, state: GroupState): void {
    if (hiddenDestinations.has(word)) {
      state.hidden = true;
      state.isFontTable = word === 'fonttbl';
      return;
    }
    const text = symbols.get(word);
    if (text !== undefined) {
      this.#emit(text, state);
      return;
    }
    switch (word) {
      case 'u':
        this.#flush();
        if (parameter !== null) this.#emit(String.fromCharCode(parameter & 0xffff), state);
        this.#toSkip = state.skipAfterUnicode;
        return;
      case 'uc':
        state.skipAfterUnicode = Math.min(Math.max(parameter ?? 1, 0), 100);
        return;
      case 'ansicpg':
        if (parameter !== null && parameter > 0) this.#codePage = charsetOfCodePage(parameter);
        return;
      case 'f':
        this.#flush();
        state.font = parameter;
        return;
      case 'fcharset':
        if (state.isFontTable && state.font !== null && parameter !== null) {
          const page = codePageOfCharset.get(parameter);
          if (page !== undefined) this.#fonts.set(state.font, charsetOfCodePage(page));
        }
        return;
      case 'htmlrtf':
        state.rtfOnly = parameter !== 0;
        return;
      case 'bin':
        this.#at += Math.max(0, parameter ?? 0);
        return;
      default:
    }
  }

  #byte(byte: number, state: GroupState): void {
    if (state.hidden || state.rtfOnly) return;
    const charset = (state.font === null ? undefined : this.#fonts.get(state.font)) ?? this.#codePage;
    if (charset !== this.#bytesCharset) this.#flush();
    this.#bytesCharset = charset;
    this.#bytes.push(byte);
  }

  #emit(text: string, state: GroupState): void {
    if (state.hidden || state.rtfOnly) return;
    // The second byte of a double-byte character may be ASCII that stands as it is.
    if (this.#bytes.length > 0 && text.length === 1 && this.#isHalf()) {
      this.#bytes.push(text.charCodeAt(0));
      return;
    }
    this.#flush();
    this.#out.push(text);
    this.#length += text.length;
  }

  #isHalf(): boolean {
    if (!/^(?:shift_jis|gbk|big5|euc-kr)$/u.test(this.#bytesCharset)) return false;
    return this.#decode().endsWith('\uFFFD');
  }

  #decode(): string {
    try {
      return new TextDecoder(this.#bytesCharset).decode(Uint8Array.from(this.#bytes));
    } catch {
      return new TextDecoder('windows-1252').decode(Uint8Array.from(this.#bytes));
    }
  }

  #flush(): void {
    if (this.#bytes.length === 0) return;
    const text = this.#decode();
    this.#bytes = [];
    this.#out.push(text);
    this.#length += text.length;
  }
}

export const rtfToPlain = (
  bytes: Uint8Array,
  maxChars: number,
): { readonly text: string; readonly truncated: boolean } =>
  new RtfReader(Buffer.from(bytes).toString('latin1'), maxChars).read();
