import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatSecretReference,
  isSecretName,
  parseSecretReference,
  SecretSetting,
  secretString,
} from './secret-setting.ts';
import { describeShape, generateSecret, hasShape, type SecretShape } from './secret-shape.ts';
import { SecretValue } from './secret-value.ts';

const pem = '-----BEGIN PRIVATE KEY-----\nMIIBVQIBADANBg==\n-----END PRIVATE KEY-----\n';

describe('shapes', () => {
  it.each<readonly [SecretShape, readonly string[], readonly string[]]>([
    [{ kind: 'text' }, ['a', ' a '], ['', ' ', '\n']],
    [{ kind: 'text', minLength: 3, maxLength: 4 }, ['abc', 'abcd'], ['ab', 'abcde']],
    [
      { kind: 'url', protocols: ['postgres:', 'postgresql:'] },
      ['postgres://u:p@h/d', 'postgresql://h'],
      ['mysql://h/d', 'postgres:h', 'h/d', ' postgres://h', ''],
    ],
    [{ kind: 'hex', bytes: 2 }, ['00ff', 'ABcd'], ['00f', '00ff0', 'zzzz', '00ff\n']],
    [{ kind: 'base64', minBytes: 3 }, ['AAAA', 'AA-_AAA', 'AAAAAA=='], ['AAA', 'A+-A', 'AA AA', '']],
    [
      { kind: 'pem', labels: ['PRIVATE KEY'] },
      [pem, pem.replaceAll('\n', '\r\n')],
      [pem.replaceAll('PRIVATE', 'PUBLIC'), pem.slice(0, 40), 'x'],
    ],
  ])('%j', (shape, good, bad) => {
    expect(good.filter((text) => !hasShape(new SecretValue(text), shape))).toEqual([]);
    expect(bad.filter((text) => hasShape(new SecretValue(text), shape))).toEqual([]);
    expect(describeShape(shape)).toMatch(/^[a-z0-9].{5,}$/i);
  });

  it('that can be generated are met by what is generated, which never repeats', () => {
    const shape = fc.oneof(
      fc.record({
        kind: fc.constant('hex' as const),
        bytes: fc.integer({ min: 8, max: 64 }),
        generate: fc.constant(true),
      }),
      fc.record({
        kind: fc.constant('base64' as const),
        minBytes: fc.integer({ min: 8, max: 64 }),
        generate: fc.constant(true),
      }),
      fc.record({
        kind: fc.constant('text' as const),
        minLength: fc.integer({ min: 1, max: 100 }),
        generate: fc.constant(true),
      }),
    );
    fc.assert(
      fc.property(shape, (one) => {
        const [first, second] = [generateSecret(one), generateSecret(one)];
        if (first === undefined || second === undefined) throw new Error('nothing was generated');
        expect(hasShape(first, one)).toBe(true);
        expect(first.equals(second)).toBe(false);
      }),
    );
    expect(generateSecret({ kind: 'hex', bytes: 8 })).toBeUndefined();
  });
});

describe('references', () => {
  const part = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,10}$/);
  const name = fc
    .array(fc.tuple(part, fc.constantFrom('.', '/')), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.map(([text, end], i) => (i === parts.length - 1 ? text : text + end)).join(''));

  it('come back from their text', () => {
    fc.assert(
      fc.property(name, fc.option(fc.stringMatching(/^[A-Za-z0-9_.-]{1,20}$/), { nil: undefined }), (one, field) => {
        const reference = field === undefined ? { name: one } : { name: one, field };
        expect(parseSecretReference(formatSecretReference(reference))).toEqual(reference);
      }),
    );
  });

  it('have names that are safe as paths and variables', () => {
    fc.assert(
      // Few letters and all that separates or escapes, so that names and near misses are both common.
      fc.property(
        fc.string({
          unit: fc.constantFrom('a', 'B', '7', '.', '_', '-', '/', '\\', ' ', '\0', 'ä', ':'),
          maxLength: 8,
        }),
        (text) => {
          if (!isSecretName(text)) return;
          expect(text).toMatch(/^[A-Za-z0-9]/);
          expect(text).not.toMatch(/\.\.|\/\/|\/$|\.$|[^A-Za-z0-9._/-]/);
        },
      ),
    );
    for (const bad of ['', '../a', 'a/../b', '/a', 'a/', '.a', 'a\0', 'a'.repeat(201), 'a b', 'ä'])
      expect(isSecretName(bad)).toBe(false);
  });
});

describe('secretString', () => {
  const schema = secretString({ kind: 'url', protocols: ['postgres:'] });

  it('tells references from literals and checks both', () => {
    expect(schema.parse('secret://db#url').reference).toEqual({ name: 'db', field: 'url' });
    expect(schema.parse('postgres://h').literal?.reveal()).toBe('postgres://h');
    for (const bad of ['secret://', 'secret://a b', 'secret://a#b#c', 'secret://../x', 'mysql://h', '']) {
      expect(schema.safeParse(bad).success).toBe(false);
    }
  });

  it('keeps its mark under every wrapper', () => {
    expect(schema.describe('d').meta()).toMatchObject({ secret: true, description: 'd' });
    expect(schema.optional().unwrap().meta()?.['secret']).toBe(true);
  });

  it('does not name what it does not know', () => {
    expect(() => SecretSetting.named('../x', { kind: 'text' })).toThrow(RangeError);
  });
});
