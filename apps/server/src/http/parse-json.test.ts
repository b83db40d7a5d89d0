/** What a body may be is shown over a socket in hostile-input.test.ts; here the laws of the parser. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from './parse-json.ts';

const parse = (text: string): unknown => parseJson(Buffer.from(text), 64);

/** Objects without a member twice, with and without white space. */
const jsonText = fc
  .tuple(fc.jsonValue({ maxDepth: 8, noUnicodeString: false }), fc.constantFrom(0, 1, 4))
  .filter(([value]) => !JSON.stringify(value).includes('__proto__'))
  .map(([value, indent]) => JSON.stringify(value, undefined, indent));

const escaped = (name: string): string =>
  [...Array(name.length).keys()]
    .map((at) => String.raw`\u` + name.charCodeAt(at).toString(16).padStart(4, '0'))
    .join('');

describe('bodies of JSON', () => {
  it('are read as JSON.parse reads them', () => {
    fc.assert(
      fc.property(jsonText, (text) => {
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('with a member twice are refused, at any place and however the name is escaped', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), fc.jsonValue(), fc.nat({ max: 5 }), (name, before, value, depth) => {
        const inner = JSON.stringify(value);
        const doubled = `{"x${escaped(name)}":${inner},${JSON.stringify(`x${name}`)}:1}`;
        const text = `${'[{"a":'.repeat(depth)}[${JSON.stringify(before)},${doubled}]${'}]'.repeat(depth)}`;
        fc.pre(!text.includes('__proto__'));
        expect(() => parse(text)).toThrow(/twice in one object|nested deeper/);
      }),
    );
  });

  it('may use one name in several objects, and braces and quotes in text', () => {
    const value = { a: [{ a: { a: '{"a":1,"a":2}' } }, { a: String.raw`\"` }], b: '\\', c: '"' };
    expect(parse(JSON.stringify(value))).toEqual(value);
  });

  it('may be as deep as the limit, and no deeper', () => {
    expect(() => parse('['.repeat(64) + ']'.repeat(64))).not.toThrow();
    expect(() => parse('['.repeat(65) + ']'.repeat(65))).toThrow('The body is nested deeper than 64 levels.');
  });

  it('of a megabyte are checked in well under a second', () => {
    const text = JSON.stringify(
      Array.from({ length: 20_000 }, (_, index) => ({ name: `"${index}\\`, value: index, deep: [[]] })),
    );
    const started = process.cpuUsage();
    parse(text);
    // Backslashes before a quote, which a careless scan reads again and again.
    parse(`"${'\\\\'.repeat(500_000)}"`);
    // Of the processor, which others use, too.
    const { user, system } = process.cpuUsage(started);
    expect(user + system).toBeLessThan(1_000_000);
  });
});
