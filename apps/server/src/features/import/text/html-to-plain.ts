/** HTML as text. Runs in the parser thread. Nothing is loaded: scripts, styles, images and links are text or nothing. */
import { compile } from 'html-to-text';

const maxInputFactor = 4;

/** What stands for markup that was passed over because it is nested too deeply. No text holds it: U+0000 is not let through by HTML. */
const passedOver = '\u0000passed over\u0000';

const convert = compile({
  wordwrap: false,
  limits: { maxDepth: 200, maxChildNodes: 1_000_000, maxInputLength: 256 * 1024 * 1024, ellipsis: passedOver },
  selectors: [
    { selector: 'a', options: { ignoreHref: true } },
    { selector: 'img', format: 'skip' },
    { selector: 'table', format: 'dataTable', options: { uppercaseHeaderCells: false, maxColumnWidth: 200 } },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
  ],
});

/**
 * Throws when a part would be passed over: then the words of all of it are kept in another way.
 * `truncated` when more than `maxChars` of text, or four times that of HTML, had to be left out.
 */
export const htmlToPlain = (html: string, maxChars: number): { readonly text: string; readonly truncated: boolean } => {
  const cut = html.length > maxChars * maxInputFactor;
  const text = convert(cut ? html.slice(0, maxChars * maxInputFactor) : html);
  if (text.includes(passedOver)) throw new Error('The markup is nested too deeply to be laid out.');
  return text.length > maxChars ? { text: text.slice(0, maxChars), truncated: true } : { text, truncated: cut };
};
