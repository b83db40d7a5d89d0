import { posix, win32 } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveLoadPath } from './resolve-load-path.ts';

describe('resolveLoadPath', () => {
  it.each([
    ['.\\VOL01\\NATIVES\\NATIVE00001\\EDRM-Sample1.pdf', ['VOL01', 'NATIVES', 'NATIVE00001', 'EDRM-Sample1.pdf']],
    ['VOL01/TEXT/1.txt', ['VOL01', 'TEXT', '1.txt']],
    ['VOL01\\\\TEXT//.//1.txt', ['VOL01', 'TEXT', '1.txt']],
    [' VOL01\\100%25 of %2e%2e\\a.txt ', ['VOL01', '100%25 of %2e%2e', 'a.txt']],
    ['..foo/a...b/.hidden', ['..foo', 'a...b', '.hidden']],
    ['Größe/日本.doc', ['Größe', '日本.doc']],
    ['console/com10.txt/nullable', ['console', 'com10.txt', 'nullable']],
  ])('takes %j', (path, segments) => {
    expect(resolveLoadPath(path)).toEqual({ ok: true, segments });
  });

  it.each([
    ['', 'empty'],
    ['.\\', 'empty'],
    ['..\\x', 'parent-segment'],
    ['a/../../etc/passwd', 'parent-segment'],
    ['a/.. /b', 'parent-segment'],
    ['a/.../b', 'parent-segment'],
    ['/etc/passwd', 'absolute'],
    ['\\Windows\\x', 'absolute'],
    ['C:\\x\\y', 'drive-letter'],
    ['c:x', 'drive-letter'],
    ['\\\\server\\share\\x', 'unc'],
    ['//server/share', 'unc'],
    ['\\\\?\\C:\\x', 'unc'],
    ['\\\\.\\PhysicalDrive0', 'unc'],
    ['file:///etc/passwd', 'url'],
    ['https://host/x', 'url'],
    ['a\0b', 'nul'],
    ['a\u0007b', 'control-character'],
    ['a\nb', 'control-character'],
    ['a\uD800', 'control-character'],
    ['a/CON', 'reserved-name'],
    ['nul.txt/x', 'reserved-name'],
    ['LPT1.doc', 'reserved-name'],
    ['a/file.txt:stream', 'stream'],
    ['a/file.txt.', 'trailing-dot-or-space'],
    ['folder /x', 'trailing-dot-or-space'],
    ['x'.repeat(5000), 'too-long'],
    [`a/${'日'.repeat(100)}`, 'too-long'],
  ])('refuses %j as %s', (path, reason) => {
    expect(resolveLoadPath(path)).toMatchObject({ ok: false, reason });
  });

  it('strips a drive or a root where the caller wants that, and nothing else', () => {
    const strip = { rooted: 'strip' } as const;
    expect(resolveLoadPath('D:\\VOL01\\1.tif', strip)).toEqual({ ok: true, segments: ['VOL01', '1.tif'] });
    expect(resolveLoadPath('/VOL01/1.tif', strip)).toEqual({ ok: true, segments: ['VOL01', '1.tif'] });
    expect(resolveLoadPath('D:\\..\\1.tif', strip)).toMatchObject({ reason: 'parent-segment' });
    expect(resolveLoadPath('\\\\host\\x', strip)).toMatchObject({ reason: 'unc' });
    expect(resolveLoadPath('D:E:\\x', strip)).toMatchObject({ reason: 'stream' });
  });

  it('never leaves the root on any platform, for any text', () => {
    const unit = fc.oneof(
      fc.constantFrom('..', '.', '/', '\\', ':', 'C:', ' ', 'con', 'a', '%2e', '\0', '~', '//', '\\\\?\\'),
      fc.string({ unit: 'binary', maxLength: 2 }),
    );
    fc.assert(
      fc.property(
        fc.array(unit, { maxLength: 10 }),
        fc.constantFrom('refuse' as const, 'strip' as const),
        (units, rooted) => {
          const result = resolveLoadPath(units.join(''), { rooted });
          const segments = result.ok ? result.segments : ['refused'];
          expect(posix.resolve('/root/import', ...segments)).toBe(`/root/import/${segments.join('/')}`);
          expect(win32.resolve('Q:\\root', ...segments)).toBe(`Q:\\root\\${segments.join('\\')}`);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
