import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { acceptLocalToken } from './local-token.ts';
import { createToken, hashToken, isToken } from './token.ts';

describe('tokens', () => {
  it('have the shape that is documented, and no two are the same', () => {
    const tokens = Array.from({ length: 1000 }, createToken);
    expect(tokens.filter((token) => !/^cb_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/.test(token))).toEqual([]);
    expect(tokens.every(isToken)).toBe(true);
    expect(new Set(tokens).size).toBe(1000);
  });

  it('keep their checksum across versions', () => {
    // CRC-32 of the first 46 characters is 3,070,679,100; computed apart from this code.
    expect(isToken(`cb_${'A'.repeat(43)}3LoFuG`)).toBe(true);
  });

  it('are told from mistyped ones: any one changed character is noticed', () => {
    const token = createToken();
    fc.assert(
      fc.property(fc.nat({ max: token.length - 1 }), fc.constantFrom('a', 'Z', '0', '9', '_', '-'), (at, character) => {
        fc.pre(token[at] !== character);
        return !isToken(token.slice(0, at) + character + token.slice(at + 1));
      }),
    );
  });

  it('are told from anything else', () => {
    for (const text of ['', 'cb_', 'cb_x', `${createToken()} `, createToken().toUpperCase(), 'x'.repeat(52)]) {
      expect(isToken(text)).toBe(false);
    }
  });

  it('hash to 32 bytes of SHA-256', () => {
    expect(hashToken('abc').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});

describe('the local token', () => {
  it('stands for Casebound itself; others are for somebody else to judge', async () => {
    const token = createToken();
    const asked: string[] = [];
    const authenticate = acceptLocalToken(token, async (other) => {
      asked.push(other);
      return undefined;
    });
    expect(await authenticate(token)).toEqual({ kind: 'system', reason: 'command line' });
    expect(await authenticate(`${token}x`)).toBeUndefined();
    expect(asked).toEqual([`${token}x`]);
  });
});
