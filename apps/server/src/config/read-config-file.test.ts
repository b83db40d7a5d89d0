import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { CaseboundError } from '@casebound/contract';
import { createTemporaryFolder } from '@casebound/test-kit';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toPlain } from './located-value.ts';
import { readConfigFile } from './read-config-file.ts';

const read = async (name: string, content: string | Uint8Array): Promise<unknown> => {
  await using folder = await createTemporaryFolder();
  const file = join(folder.path, name);
  await writeFile(file, content);
  const located = await readConfigFile(file);
  return located === undefined ? undefined : toPlain(located);
};

const failure = async (name: string, content: string | Uint8Array): Promise<string> => {
  try {
    await read(name, content);
  } catch (error) {
    if (!(error instanceof CaseboundError) || error.code !== 'config_invalid') throw error;
    expect(inspect(error, { depth: 5 })).not.toContain('canary');
    return error.message.replace(/\/\S*\//, '');
  }
  throw new Error('it was read');
};

describe('readConfigFile', () => {
  it('reads YAML and JSON alike', async () => {
    const value = { http: { port: 1, host: 'h', list: [1, true, null, 'x'] } };
    expect(await read('c.yaml', 'http:\n  port: 1\n  host: h\n  list: [1, true, null, x]\n')).toEqual(value);
    expect(await read('c.json', JSON.stringify(value, null, 2))).toEqual(value);
    expect(await read('c.yaml', Buffer.from('\ufeffhttp: {}', 'utf8'))).toEqual({ http: {} });
    expect(await read('c.json', Buffer.from('\ufeff{"http": {}}', 'utf8'))).toEqual({ http: {} });
    expect(await read('c.yaml', 'a: 1\r\nb: 2\r\n')).toEqual({ a: 1, b: 2 });
  });

  it('takes a file of blanks and comments as no file', async () => {
    for (const text of ['', '\n\n', '# nothing yet\n', '---\n']) expect(await read('c.yaml', text)).toBeUndefined();
    expect(await read('c.json', ' \n')).toBeUndefined();
  });

  it('reads any JSON as JSON.parse does, in either format', async () => {
    const key = fc
      .string({ maxLength: 20 })
      .filter((text) => !['__proto__', 'constructor', 'prototype'].includes(text));
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.integer(),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
      ),
    }));
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(key, tree, { maxKeys: 5, noNullPrototype: true }),
        fc.constantFrom('c.json', 'c.yaml'),
        async (value, name) => {
          // DEL and the C1 controls may stand in JSON unescaped, but not in a file that people edit.
          const text = JSON.stringify(value, null, 1).replaceAll(
            /[\u007f-\u009f]/g,
            (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
          );
          expect(await read(name, text)).toEqual(JSON.parse(text));
        },
      ),
      { numRuns: 100 },
    );
  });

  it.each([
    ['c.yaml', 'http:\n  port: 1\n   host: canary\n', /^c\.yaml, line \d, column \d+: .+\.$/],
    ['c.yaml', 'a: "canary\nb: 1\n', /line \d+, column \d+: a quote, bracket, comma or space is missing/],
    ['c.yaml', 'a: [canary, {b: 1\n', /line \d, column \d+: /],
    ['c.yaml', '\ta: canary\n', /line 1, column 1: a tab is used for indentation/],
    ['c.yaml', 'a: 1\nb: 2\na: canary\n', /line 3, column 1: the key stands twice/],
    ['c.yaml', 'a: &x canary\nb: *x\n', /line 2, column 4: aliases .* are not allowed/],
    ['c.yaml', 'a: !!binary Y2FuYXJ5\n', /line 1, column \d+: tags .* are not allowed/],
    ['c.yaml', 'a: !!set {canary: null}\n', /tags .* are not allowed/],
    ['c.yaml', 'a: !canary 1\n', /tags .* are not allowed/],
    ['c.yaml', 'a: 1\n---\nb: canary\n', /line 2, column 1: a second document begins/],
    ['c.yaml', '__proto__: {canary: 1}\n', /line 1, column 1: the key "__proto__" is not allowed/],
    ['c.yaml', 'a:\n  constructor: canary\n', /line 2, column 3: the key "constructor" is not allowed/],
    ['c.yaml', '1: canary\n', /line 1, column 1: a key must be a text/],
    ['c.yaml', '[canary]: 1\n', /line 1, column 1: a key must be a text/],
    ['c.yaml', '- canary\n', /line 1, column 1: expected a mapping/],
    ['c.yaml', 'canary\n', /expected a mapping/],
    ['c.yaml', `a: ${'['.repeat(40)}${']'.repeat(40)}`, /the nesting is deeper than 32 levels/],
    ['c.yaml', 'a: canary\u0000\n', /line 1, column 10: there is a control character/],
    ['c.json', '{"a": 1,}', /line 1, column 9: expected a key in double quotes/],
    ['c.json', '{\n "a": 1\n "b": "canary"}', /line 3, column 2: expected ","/],
    ['c.json', '{"a": canary}', /line 1, column 7: there is a character or word that JSON does not know/],
    ['c.json', '{"a": 1} canary', /line 1, column 10: /],
    ['c.json', '{"a": "canary', /line 1, column 7: a text is not closed/],
    ['c.json', '// canary\n{}', /line 1, column 1: comments are not allowed in JSON/],
    ['c.json', '{"a": 1, "a": 2}', /line 1, column 10: the key stands twice/],
    ['c.json', '{"a": {"__proto__": {"canary": 1}}}', /line 1, column 8: the key "__proto__" is not allowed/],
    ['c.json', `{"a":${'['.repeat(60_000)}`, /the nesting is too deep|expected/],
    ['c.json', '["canary"]', /expected a mapping/],
    ['c.yaml', Buffer.from('a: canary', 'utf16le'), /there is a control character|not UTF-8/],
    [
      'c.yaml',
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('a: canary', 'utf16le')]),
      /is in UTF-16; save it as UTF-8/,
    ],
    ['c.yaml', Buffer.from([0x61, 0x3a, 0x20, 0xe4, 0x0a]), /is not UTF-8 text/],
    ['c.yaml', `a: ${'canary '.repeat(30_000)}`, /is larger than 128 KiB/],
  ])('%s %# says what is wrong and where', async (name, content, expected) => {
    expect(await failure(name, content)).toMatch(expected);
  });

  it('reads the largest file of keys in good time', async () => {
    const lines = Array.from({ length: 11_000 }, (_, i) => `key${i}: 1`).join('\n');
    const start = performance.now();
    expect(Object.keys((await read('c.yaml', lines)) as object)).toHaveLength(11_000);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it('stands any text: it is read, or refused in one sentence', async () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '  ',
      '-',
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
      '#',
      '&x',
      '*x',
      '!',
      '|',
      '>',
      '?',
      ',',
      '%',
      '\t',
      '1',
      '---',
      '...',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 40 }),
        fc.constantFrom('c.yaml', 'c.json'),
        async (pieces, name) => {
          const outcome = await read(name, pieces.join('')).then(
            () => 'read',
            (error: unknown) => (error instanceof CaseboundError ? error.message : 'another error'),
          );
          expect(outcome).toMatch(/^read$|line \d+, column \d+: .+\.$/);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('says what a path is that is no file', async () => {
    await using folder = await createTemporaryFolder();
    await mkdir(join(folder.path, 'd.yaml'));
    await symlink('loop.yaml', join(folder.path, 'loop.yaml'));
    await expect(readConfigFile(join(folder.path, 'd.yaml'))).rejects.toThrow(/is a folder/);
    await expect(readConfigFile(join(folder.path, 'absent.yaml'))).rejects.toThrow(/does not exist/);
    await expect(readConfigFile(join(folder.path, 'loop.yaml'))).rejects.toThrow(/leads in a circle/);
    await expect(readConfigFile('/dev/null')).rejects.toThrow(/is not a regular file/);
  });
});
