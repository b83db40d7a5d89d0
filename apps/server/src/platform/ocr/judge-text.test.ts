import { describe, expect, it } from 'vitest';
import { judgeText } from './judge-text.ts';

const letter =
  'Dear Ms Doe,\nplease find enclosed the agreement of 12 March 2024 (EUR 1,250.00), which is to be signed by both parties.';
const german = 'Sehr geehrte Damen und Herren, für die Übersendung der Verträge über Größe und Maß danken wir höflich.';

describe('the text of a page is', () => {
  it.each([
    ['a letter', letter],
    ['German', german],
    ['Japanese', '契約書の写しを同封いたしますので、ご確認のうえ署名をお願い申し上げます。'],
    ['a table of figures', '1,250.00 12.5% 2024-03-12 | 77 | 19 | 3.50 (4) 1,250.00 12.5% 2024-03-13 | 78'],
    ['French with quotes', '« Été à Évian », a-t-il répondu, « où l’âme s’élève » : déjà vu, ça et là.'],
  ])('good: %s', (_name, text) => expect(judgeText(text)).toBe('good'));

  it.each([
    ['none: an empty page', '', 'none'],
    ['none: a page number on a scan', '  - 12 -\n', 'none'],
    ['unmapped: glyphs without a mapping', '\uFFFD\uFFFD\uFFFD \uFFFD\uFFFD on \uFFFD\uFFFD and more', 'unmapped'],
    [
      'unmapped: private use',
      letter.replaceAll(/./g, (char) => String.fromCodePoint(0xf000 + char.charCodeAt(0))),
      'unmapped',
    ],
    ['unmapped: names of glyphs', '(cid:12)(cid:45)(cid:3)(cid:88)(cid:12) (cid:7)(cid:9)(cid:1)', 'unmapped'],
    [
      'mojibake: UTF-8 read as Windows-1252',
      new TextDecoder('windows-1252').decode(Buffer.from(german, 'utf8')),
      'mojibake',
    ],
    [
      'noise: signs where letters should be',
      '!#$%& &%$#! ##!! %%&& $$## !!%% #&#& $!$! %#%# &!&! ##$$ %%!! &&##',
      'noise',
    ],
  ])('%s', (_name, text, quality) => expect(judgeText(text)).toBe(quality));
});
