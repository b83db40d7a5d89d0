import fc from 'fast-check';
import { expect, test } from 'vitest';
import { contentDisposition, fileAnswer, safeFileName } from './file-answer.ts';

test.each([
  ['report.pdf', 'attachment; filename="report.pdf"'],
  ['../../etc/passwd', 'attachment; filename="passwd"'],
  ['C:\\Users\\x\\mail.msg', 'attachment; filename="mail.msg"'],
  [
    'a"; filename="evil.exe',
    'attachment; filename="a__ filename=_evil.exe"; filename*=UTF-8\'\'a_%3B%20filename%3D_evil.exe',
  ],
  ['x\r\nSet-Cookie: a=b', 'attachment; filename="xSet-Cookie_ a=b"'],
  ['Übersicht 2026.xlsx', 'attachment; filename="_bersicht 2026.xlsx"; filename*=UTF-8\'\'%C3%9Cbersicht%202026.xlsx'],
  ['100%.txt', 'attachment; filename="100_.txt"; filename*=UTF-8\'\'100%25.txt'],
  // A mark that turns the direction of text would show this as `invoiceexe.pdf`.
  ['invoice\u202efdp.exe', 'attachment; filename="invoicefdp.exe"'],
  ['', 'attachment; filename="file"'],
  ['..', 'attachment; filename="file"'],
])('the name %j becomes a safe attachment', (name, header) => {
  expect(contentDisposition(name)).toBe(header);
});

test('any name makes a header of printable ASCII that ends nowhere early', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (name) => {
      const header = contentDisposition(name);
      const [, quoted = ''] = /^attachment; filename="([^"]*)"/.exec(header) ?? [];
      return (
        /^[\x20-\x7e]+$/.test(header) && quoted !== '' && !/[\\/]/.test(quoted) && safeFileName(name).length <= 200
      );
    }),
    { numRuns: 1_000 },
  );
});

test('what a browser would run goes as bytes, and a broken type too', () => {
  const typeOf = (contentType: string) =>
    fileAnswer({ contentType, fileName: 'x', size: 1, sha256: '', body: (async function* () {})() }).contentType;
  expect(typeOf('application/pdf')).toBe('application/pdf');
  expect(typeOf('text/plain; charset=utf-16')).toBe('text/plain');
  for (const type of ['text/html', 'image/svg+xml', 'text/javascript', 'x\r\ny: z', '', 'no type'])
    expect(typeOf(type)).toBe('application/octet-stream');
});
