import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesOfBuffer, bytesOfSpan } from '../random-bytes.ts';
import { defaultSourceLimits } from '../source-model.ts';
import { readAll, readText } from '../testing/expand-files.ts';
import { decodeHeaderText, parseStructuredValue } from './header-block.ts';
import { parseMailDate } from './mail-date.ts';
import { conversationTopic, hashMessageId, readMessageId, readReferences } from './message-id.ts';
import { scanMimeStructure } from './mime-structure.ts';
import { splitMbox, unquoteFromLines } from './split-mbox.ts';
import { decodeTransfer, measureTransfer } from './transfer-decoding.ts';

/** A stream of the bytes in chunks of the given sizes, in turn. */
const chunked = (bytes: Buffer, sizes: readonly number[]): Readable => {
  const chunks = function* (): Generator<Buffer> {
    for (let start = 0, index = 0; start < bytes.length; index++) {
      const size = sizes[index % sizes.length] ?? 1;
      yield bytes.subarray(start, start + size);
      start += size;
    }
  };
  return Readable.from(chunks(), { objectMode: false });
};
const chunkSizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

test('the hash of a Message-ID is the one that EDRM publishes', () => {
  expect(hashMessageId('<CALckR-a8UDkRjO4xJyjd_s0GPxQWw@mail.gmail.com>')).toBe('1de319c276884bd0c9e2f1621ada26cc');
});

test.each([
  [' <a@b> ', '<a@b>'],
  ['comment <a@b> more', '<a@b>'],
  ['a@b', 'a@b'],
  ['', null],
])('the Message-ID of %j is %j', (value, id) => {
  expect(readMessageId(value)).toBe(id);
});

test('references are Message-IDs in order, and topics have no prefixes of replies', () => {
  expect(readReferences('<1@a>\t<2@a> junk <3@a>')).toEqual(['<1@a>', '<2@a>', '<3@a>']);
  expect(conversationTopic('RE: Fwd: AW: Re[2]: Budget: final')).toBe('Budget: final');
  expect(conversationTopic('Re:')).toBeNull();
});

test.each([
  ['Fri, 7 Jan 2000 23:29:00 -0800 (PST)', '2000-01-08T07:29:00.000Z', -480],
  ['7 Jan 00 23:29 EST', '2000-01-08T04:29:00.000Z', -300],
  ['Thu, 1 Jan 1970 00:00:00 GMT', '1970-01-01T00:00:00.000Z', 0],
  ['Mon, 2 Feb 2015 10:11:12 -0000', '2015-02-02T10:11:12.000Z', null],
  ['Mon Feb  2 10:11:12 2015', '2015-02-02T10:11:12.000Z', null],
  ['2015-02-02T10:11:12+05:30', '2015-02-02T04:41:12.000Z', 330],
  ['Wednesday, 29-Feb-2012 1:02:03 +0100', '2012-02-29T00:02:03.000Z', 60],
])('the date %j is %s', (text, utc, offsetMinutes) => {
  expect(parseMailDate(text)).toEqual({ utc, offsetMinutes });
});

test.each([
  '30 Feb 2015 10:00:00 +0000',
  '1 Foo 2015 10:00:00 +0000',
  '1 Jan 2015 25:00:00',
  'yesterday',
  '',
  '1 Jan 2015 10:00 +9900',
])('%j is no date', (text) => {
  expect(parseMailDate(text)).toBeNull();
});

test('headers are decoded as mail writes them, and keep no line break', () => {
  expect(decodeHeaderText('=?utf-8?q?na=C3=AFve?= =?iso-8859-1?B?4Q==?=')).toBe('naïveá');
  expect(decodeHeaderText('=?utf-8?q?a=0D=0ABcc:_x?=')).toBe('a  Bcc: x');
  const value = parseStructuredValue(
    'attachment; filename*0*=utf-8\'\'%e2%82%ac; filename*1=" rates"; filename*2*=%2etxt; size=12',
  );
  expect(value.value).toBe('attachment');
  expect(value.parameters.get('filename')).toBe('€ rates.txt');
  expect(parseStructuredValue('text/plain; charset="utf-8"; name="=?utf-8?B?w6QudHh0?="').parameters.get('name')).toBe(
    'ä.txt',
  );
  expect(parseStructuredValue('a/b; name=two words.doc; x=1').parameters.get('name')).toBe('two words.doc');
  expect(parseStructuredValue('a/b; name="not closed').parameters.get('name')).toBe('not closed');
});

test('base64 comes back whatever its chunks, and its size is measured', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 500 }),
      chunkSizes,
      fc.integer({ min: 1, max: 80 }),
      async (data, sizes, width) => {
        const text = Buffer.from(data)
          .toString('base64')
          .replaceAll(new RegExp(`.{${width}}`, 'gu'), '$&\r\n');
        const decoded = await readAll(decodeTransfer(chunked(Buffer.from(text), sizes), 'base64'));
        expect(decoded.equals(Buffer.from(data))).toBe(true);
        const measured = await measureTransfer(chunked(Buffer.from(text), sizes), 'base64');
        expect(measured).toEqual({ size: data.length, flaws: [] });
      },
    ),
  );
});

test('quoted-printable comes back whatever its chunks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), chunkSizes, async (data, sizes) => {
      let text = '';
      for (const [index, byte] of data.entries()) {
        text +=
          byte > 32 && byte < 127 && byte !== 61
            ? String.fromCharCode(byte)
            : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
        if (index % 10 === 9) text += index % 20 === 9 ? '=\r\n' : '= \t\n';
      }
      const decoded = await readAll(decodeTransfer(chunked(Buffer.from(text), sizes), 'quoted-printable'));
      expect(decoded.equals(Buffer.from(data))).toBe(true);
    }),
  );
});

test.each([
  ['base64', 'aGVs!!bG8=', 'hello', 'corrupt'],
  ['base64', 'aGVsbG8', 'hello', undefined],
  ['base64', 'aGVsb', 'hel', 'truncated'],
  ['base64', 'aGk=aGk=', 'hihi', undefined],
  ['quoted-printable', 'a=ZZb', 'a=ZZb', 'corrupt'],
  ['quoted-printable', 'a=', 'a', undefined],
  ['x-uuencode', 'begin', 'begin', 'mime_broken'],
])('%s of %j gives what is good, and tells the rest', async (encoding, text, decoded, code) => {
  expect(await readText(decodeTransfer(chunked(Buffer.from(text), [3]), encoding))).toBe(decoded);
  const { flaws } = await measureTransfer(chunked(Buffer.from(text), [3]), encoding);
  expect(flaws[0]?.code).toBe(code);
});

test('a mailbox splits into what was joined, quoting undone', async () => {
  const line = fc.oneof(
    fc.constantFrom('', 'From me on 1 May at 10:00', '>From x', '>>From y', 'From: a@b', '>', 'From ', 'text'),
    fc.stringMatching(/^[ -~]{0,20}$/u),
  );
  const message = fc
    .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'))
    .map(([lines, eol]) => ['Subject: x', '', ...lines, ''].join(eol));
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 6 }), async (messages) => {
      const mailbox = messages
        .map((text) => `From a@b Mon Jan  1 10:00:00 2001\n${text.replaceAll(/^(>*From )/gmu, '>$1')}\n`)
        .join('');
      const bytes = bytesOfBuffer(Buffer.from(mailbox));
      const found: string[] = [];
      for await (const { span, hasQuotedLines } of splitMbox(bytes)) {
        const stream = await bytesOfSpan(bytes, span).open();
        found.push(await readText(hasQuotedLines ? unquoteFromLines(stream) : stream));
      }
      expect(found).toEqual(messages);
    }),
  );
});

test('quoted lines are found whatever the chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('>From a', '>>From b', 'x', '>', '>Fro', '\r')),
      chunkSizes,
      async (lines, sizes) => {
        const text = lines.join('\n');
        const unquoted = await readText(unquoteFromLines(chunked(Buffer.from(text), sizes)));
        expect(unquoted).toBe(text.replaceAll(/^>(>*From )/gmu, '$1'));
      },
    ),
  );
});

test('text that looks like a separator does not split a message', async () => {
  const mailbox = [
    'From a@b Mon Jan  1 10:00:00 2001',
    'Subject: 1',
    '',
    'From here on at 10:00 it rained.',
    '',
    'From here on at 11:00 it did not.',
    'Not a header line.',
    '',
    'From c@d Mon Jan  1 10:00:00 2001',
    'Subject: 2',
    '',
  ].join('\n');
  const spans = [];
  for await (const found of splitMbox(bytesOfBuffer(Buffer.from(mailbox)))) spans.push(found);
  expect(spans).toHaveLength(2);
});

const scan = (text: string, limits = {}) =>
  scanMimeStructure(bytesOfBuffer(Buffer.from(text, 'latin1')), { ...defaultSourceLimits, ...limits });

test('parts are where a writer put them', async () => {
  const part = fc.stringMatching(/^[ -~\r\n]{0,60}$/u).filter((text) => !text.includes('--') && !text.endsWith('\r'));
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { minLength: 1, maxLength: 6 }),
      fc.constantFrom('\n', '\r\n'),
      async (parts, eol) => {
        const text = [
          'Content-Type: multipart/mixed; boundary="b=1"',
          '',
          'preamble',
          ...parts.flatMap((content, index) => ['--b=1', `X-Number: ${index}`, '', content]),
          '--b=1--',
          'epilogue',
        ].join(eol);
        const { root, flaws } = await scan(text);
        expect(flaws).toEqual([]);
        const bodies = root.children.map(({ body }) => text.slice(body.start, body.end));
        expect(bodies).toEqual(parts);
      },
    ),
  );
});

test('whatever the bytes are, parts lie within them and within each other', async () => {
  const line = fc.constantFrom(
    '--a',
    '--a--',
    '--b',
    '--b--',
    '',
    'Content-Type: multipart/mixed; boundary=a',
    'Content-Type: multipart/mixed; boundary=b',
    'Content-Type: multipart/mixed',
    'text',
    ' folded',
    'no header',
    '--',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 40 }), async (lines) => {
      const text = lines.join('\r\n');
      const { root } = await scan(text);
      const check = (part: typeof root, start: number, end: number): void => {
        expect(part.body.start).toBeGreaterThanOrEqual(start);
        expect(part.body.end).toBeLessThanOrEqual(end);
        expect(part.body.start).toBeLessThanOrEqual(part.body.end);
        for (const child of part.children) check(child, part.body.start, part.body.end);
      };
      check(root, 0, text.length);
    }),
    { numRuns: 500 },
  );
});

test('100,000 parts end at the limit, in time that grows with the bytes', async () => {
  const parts = '--b\r\nContent-Type: text/plain\r\n\r\nx\r\n'.repeat(100_000);
  const started = performance.now();
  const { partCount, flaws } = await scan(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${parts}--b--\r\n`);
  expect(partCount).toBe(defaultSourceLimits.maxMimeParts);
  expect(flaws.map(({ code }) => code)).toEqual(['limit_exceeded']);
  const all = await scan(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${parts}--b--\r\n`, {
    maxMimeParts: 200_000,
  });
  expect(all.partCount).toBe(100_001);
  expect(all.flaws).toEqual([]);
  expect(performance.now() - started).toBeLessThan(15_000);
});

test('parts nested without end are bounded', async () => {
  const nested = Array.from(
    { length: 5000 },
    (_, index) => `Content-Type: multipart/mixed; boundary=b${index}\r\n\r\n--b${index}\r\n`,
  ).join('');
  const { flaws } = await scan(nested);
  expect(flaws.map(({ code }) => code).toSorted()).toEqual(['too_deep', 'truncated']);
});

test('headers without end are cut, and what follows is read', async () => {
  const { root, flaws } = await scan(`Subject: x\r\n${'X-Filler: y\r\n'.repeat(100_000)}\r\nbody`, {
    maxHeaderBytes: 10_000,
  });
  expect(root.headers.get('subject')).toBe('x');
  expect(root.headers.fields.length).toBeLessThan(1000);
  expect(flaws.map(({ code }) => code)).toEqual(['limit_exceeded']);
  expect(root.body.end - root.body.start).toBe(4);
  const long = await scan(`X-Long: ${'y'.repeat(3_000_000)}\r\nSubject: x\r\n\r\nbody`);
  expect(long.root.headers.get('subject')).toBe('x');
  expect(long.root.headers.get('x-long')?.length).toBeLessThan(100_000);
});
