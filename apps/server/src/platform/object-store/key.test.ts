import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  flatLayout,
  folderName,
  mirroredLayout,
  objectName,
  pathOfKey,
  segmentOfFolder,
  tailOfObject,
  type Layout,
} from './adapters/filesystem/object-path.ts';
import { formatRecord, parseRecord, recordBytes } from './adapters/filesystem/object-record.ts';
import { casePrefix } from './Port.ts';
import { CaseId } from '@casebound/contract';
import { maxKeyBytes, maxSegmentBytes, ObjectKey, objectKey, objectPrefix } from './key.ts';

const segment = fc
  .stringMatching(/^[A-Za-z0-9._=@+,-]{1,200}$/)
  .filter((text) => text !== '.' && text !== '..' && text.length <= maxSegmentBytes);
const key = fc
  .array(segment, { minLength: 1, maxLength: 8 })
  .map((segments) => segments.join('/'))
  .filter((text) => text.length <= maxKeyBytes);

const path = (text: string, layout: Layout): string => {
  const { folders, name } = pathOfKey(objectKey(text), layout);
  return [...folders, name].join('/');
};

describe('object keys', () => {
  it('takes the keys that the product uses', () => {
    for (const text of [
      'case_7/processed-files/3/txt/41/attachments/1/content.txt',
      'case_7/exhibit_12_custom_fields.v3.json',
      'a',
      '.hidden',
      '...',
      'a'.repeat(200),
      Array.from({ length: 8 }, () => 'b'.repeat(127)).join('/'),
    ]) {
      expect(objectKey(text)).toBe(text);
    }
  });

  it('refuses everything that could leave the store, be ambiguous, or hold text of documents', () => {
    const bad = [
      ['', 'empty'],
      ['/a', 'relative'],
      ['a//b', 'empty segment'],
      ['a/', 'empty segment'],
      ['.', 'segment "."'],
      ['a/../b', 'segment ".."'],
      ['..', 'segment ".."'],
      ['a\\b', 'character'],
      ['a\0b', 'character'],
      ['a\nb', 'character'],
      ['C:', 'character'],
      ['a b', 'character'],
      ['a%2e', 'character'],
      ['é', 'character'],
      ['e\u0301', 'character'],
      ['\u202etxt', 'character'],
      ['a'.repeat(201), '200 bytes'],
      [Array.from({ length: 8 }, () => 'b'.repeat(128)).join('/'), '1024 bytes'],
    ];
    for (const [text = '', why = ''] of bad) {
      expect(() => objectKey(text)).toThrow(
        expect.objectContaining({ code: 'object_key_invalid', message: expect.stringContaining(why) }),
      );
      expect(ObjectKey.safeParse(text).success).toBe(false);
    }
    expect(() => objectKey('secret text of a document\u0000')).toThrow(/secret\?text\?of/);
    for (const text of ['', '/', 'case_1', '/case_1/', '../', 'case_1//']) {
      expect(() => objectPrefix(text)).toThrow(expect.objectContaining({ code: 'object_key_invalid' }));
    }
    expect(objectPrefix('case_1/')).toBe('case_1/');
    expect(casePrefix(CaseId.parse(7))).toBe('case_7/');
  });

  it('takes exactly what its rules allow, however it is found out', () => {
    const part = fc.oneof(segment, fc.constantFrom('', '.', '..', '...', '.a', 'a.', 'é', 'a b', 'x'.repeat(201), '%'));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const text = parts.join('/');
        const isSound =
          text !== '' &&
          text.length <= maxKeyBytes &&
          parts.every((one) => /^[A-Za-z0-9._=@+,-]{1,200}$/.test(one) && one !== '.' && one !== '..');
        expect(ObjectKey.safeParse(text).success).toBe(isSound);
      }),
      { numRuns: 500 },
    );
  });

  it('gives every key a path of its own, also where letter case does not count', () => {
    fc.assert(
      fc.property(segment, (text) => {
        for (const name of [folderName(text), objectName(text)]) {
          expect(name).toBe(name.toLowerCase());
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
        }
        expect(segmentOfFolder(folderName(text))).toBe(text);
        expect(tailOfObject(objectName(text))).toBe(text);
        expect(tailOfObject(folderName(text))).toBeUndefined();
        expect(segmentOfFolder(objectName(text))).toBeUndefined();
      }),
    );
    fc.assert(
      fc.property(key, key, (a, b) => {
        for (const layout of [flatLayout, mirroredLayout]) {
          expect(path(a, layout) === path(b, layout)).toBe(a === b);
          for (const name of path(a, layout).split('/')) expect(name.length).toBeLessThanOrEqual(255);
        }
      }),
    );
    expect(objectName('Report.PDF')).toBe('report.pdf%183');
    expect(folderName('Export')).toBe('export%%1');
    expect(path('case_7/processed-files/3/txt/Aa/attachments/1/content.txt', flatLayout)).toBe(
      'case_7/processed-files/3/txt/aa~attachments~1~content.txt%1',
    );
    expect(path('case_7/processed-files/3/txt/Aa/attachments/1/content.txt', mirroredLayout)).toBe(
      'case_7/processed-files/3/txt/aa%%1/attachments/1/content.txt%',
    );
    for (const name of ['a', 'a%10', 'A%', 'a%%', 'a%%0', '%', '..%', '.', 'b%f', '%tmp']) {
      expect(tailOfObject(name)).toBeUndefined();
    }
  });
});

describe('object record', () => {
  it('comes back as it was written, and is found damaged when any byte of it changes', () => {
    const contentType = fc.stringMatching(/^[!-~]([ -~]{0,97}[!-~])?$/);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        fc.stringMatching(/^[0-9a-f]{64}$/),
        contentType,
        fc.integer({ min: 0, max: recordBytes - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (size, sha256, type, at, change) => {
          const bytes = formatRecord({ size, sha256, contentType: type });
          expect(bytes).toHaveLength(recordBytes);
          expect(parseRecord(bytes)).toEqual({ size, sha256, contentType: type });
          bytes[at] = (bytes[at] ?? 0) ^ change;
          expect(parseRecord(bytes)).toBeUndefined();
        },
      ),
    );
  });
});
