/**
 * What is left of HTML without its tags, in one linear pass: for pages that no tree can be built of in time. Words are kept, their
 * layout is not. Runs in the parser thread.
 */
const silent = /^(?:script|style|template|noscript)\b/iu;
const breaking = /^\/?(?:p|div|br|li|tr|td|th|table|h[1-6]|ul|ol|blockquote|pre|section|article)\b/iu;
const named: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['nbsp', ' '],
]);

const decodeReference = (whole: string, name: string): string => {
  const known = named.get(name.toLowerCase());
  if (known !== undefined) return known;
  const number = /^#x([0-9a-f]{1,6})$/iu.exec(name);
  const decimal = /^#(\d{1,7})$/u.exec(name);
  const code = number === null ? Number(decimal?.[1] ?? Number.NaN) : Number.parseInt(number[1] ?? '', 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
};

export const stripTags = (html: string, maxChars: number): { readonly text: string; readonly truncated: boolean } => {
  const out: string[] = [];
  let left = maxChars;
  let at = 0;
  const put = (text: string): void => {
    out.push(text);
    left -= text.length;
  };
  while (at < html.length) {
    if (left < 0) break;
    const open = html.indexOf('<', at);
    put(html.slice(at, open < 0 ? html.length : open));
    if (open < 0) break;
    const isComment = html.startsWith('!--', open + 1);
    const close = html.indexOf(isComment ? '-->' : '>', open + 1);
    if (close < 0) break;
    at = close + (isComment ? 3 : 1);
    const tag = html.slice(open + 1, Math.min(close, open + 40));
    const [name] = silent.exec(tag) ?? [];
    if (name !== undefined) {
      const end = new RegExp(`</${name}`, 'giu');
      end.lastIndex = at;
      const found = end.exec(html);
      if (found === null) break;
      at = found.index;
    } else if (breaking.test(tag)) put('\n');
  }
  const text = out
    .join('')
    .replaceAll(/&(#?\w{1,10});/gu, decodeReference)
    .replaceAll(/[ \t]+/gu, ' ')
    .replaceAll(/\s*\n\s*/gu, '\n')
    .trim();
  return { text: text.slice(0, maxChars), truncated: text.length > maxChars };
};
