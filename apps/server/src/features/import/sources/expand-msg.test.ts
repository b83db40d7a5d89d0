import { expect, test } from 'vitest';
import { extractText } from '../text/extract-text.ts';
import { decompressRtf } from './mail/decompress-rtf.ts';
import { buildMsg } from './testing/build-msg.ts';
import { codesOf, expandFiles } from './testing/expand-files.ts';

/** The example of MS-OXRTFCP, 4.1. */
const compressedExample = Buffer.from(
  '2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0',
  'hex',
);

const rtfOf = (text: string): Buffer => {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(text.length + 12, 0);
  header.writeUInt32LE(text.length, 4);
  header.writeUInt32LE(0x414c454d, 8);
  return Buffer.concat([header, Buffer.from(text, 'latin1')]);
};

test('a message of Outlook is taken apart, with messages within it', async () => {
  const texts = new Map<string, string>();
  const msg = buildMsg({
    subject: 'Größe',
    body: 'plain words',
    html: Buffer.from('<p>words <img src="cid:logo"></p>', 'latin1'),
    codePage: 1252,
    headers: 'Message-ID: <m@x>\r\nReferences: <r@x>\r\nDate: Tue, 2 Jan 2001 10:00:00 +0100\r\n',
    messageId: '<m@x>',
    sentAt: new Date('2001-01-02T09:00:00Z'),
    sender: { name: 'Sender', address: 's@x' },
    recipients: [
      { kind: 1, name: 'To One', address: 't@x' },
      { kind: 2, name: 'Copy', address: 'c@x' },
      { kind: 3, name: 'Blind', address: 'b@x' },
    ],
    attachments: [
      { fileName: 'logo.png', content: Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), contentId: 'logo' },
      { fileName: '..\\..\\report.txt', content: Buffer.from('the report'), mime: 'text/plain' },
      {
        fileName: 'Inner: message',
        content: {
          subject: 'inner',
          rtf: rtfOf('{\\rtf1 inner words}'),
          attachments: [{ fileName: 'deep.txt', content: Buffer.from('deep') }],
        },
      },
    ],
  });
  const { items, problems } = await expandFiles({ 'x.msg': msg }, {}, async (item, root) => {
    if (item.mail !== null) texts.set(item.path, (await extractText(item, root.workspace)).pages.join(''));
  });
  expect(problems).toEqual([]);
  expect(items.map((item) => [item.path, item.kind, item.parentPath, item.attachment?.disposition])).toEqual([
    ['x.msg', 'message', null, undefined],
    ['x.msg/attachments/1-logo.png', 'document', 'x.msg', 'inline'],
    ['x.msg/attachments/2-.._.._report.txt', 'document', 'x.msg', 'attachment'],
    ['x.msg/attachments/3-Inner: message.msg', 'message', 'x.msg', 'attachment'],
    [
      'x.msg/attachments/3-Inner: message.msg/attachments/1-deep.txt',
      'document',
      'x.msg/attachments/3-Inner: message.msg',
      'attachment',
    ],
  ]);
  const [message, , report, inner, deep] = items;
  expect(message?.mail).toMatchObject({
    messageId: '<m@x>',
    references: ['<r@x>'],
    subject: 'Größe',
    from: [{ name: 'Sender', address: 's@x' }],
    to: [{ name: 'To One', address: 't@x' }],
    cc: [{ name: 'Copy', address: 'c@x' }],
    bcc: [{ name: 'Blind', address: 'b@x' }],
    sentAt: { utc: '2001-01-02T09:00:00.000Z', offsetMinutes: 60 },
    hasAttachments: true,
  });
  expect(report?.content?.toString()).toBe('the report');
  expect(inner?.mail?.subject).toBe('inner');
  expect(deep?.content?.toString()).toBe('deep');
  expect(texts.get('x.msg')).toContain('plain words');
  expect(texts.get('x.msg/attachments/3-Inner: message.msg')).toContain('inner words');
});

test('a message of Outlook that is broken anywhere leaves an item, and ends', async () => {
  const msg = buildMsg({
    subject: 's',
    body: 'b'.repeat(100),
    attachments: [{ fileName: 'a.txt', content: Buffer.from('x'.repeat(6000)) }],
  });
  const files: Record<string, Buffer> = {};
  for (let cut = 64; cut < msg.length; cut += 1009) files[`cut-${cut}.msg`] = msg.subarray(0, cut);
  for (let at = 0; at < 40; at++) {
    const damaged = Buffer.from(msg);
    for (let step = 20 + at; step < damaged.length; step += 131) damaged[step] = 0xff;
    files[`damaged-${at}.msg`] = damaged;
  }
  const { items } = await expandFiles(files, { parseTimeoutMs: 5000, workerHeapMegabytes: 128 });
  const entries = items.filter(({ depth }) => depth === 0).map(({ path: at }) => at);
  expect(new Set(entries)).toEqual(new Set(Object.keys(files)));
}, 120_000);

test('a message larger than may be held whole is kept whole, and that is told', async () => {
  const msg = buildMsg({ subject: 's', body: 'b' });
  const { items, problems } = await expandFiles({ 'x.msg': msg }, { maxWholeFileBytes: 100 });
  expect(items.map(({ kind }) => kind)).toEqual(['document']);
  expect(codesOf(problems)).toEqual(['limit_exceeded']);
});

test('compressed RTF unpacks as its specification shows', () => {
  expect(Buffer.from(decompressRtf(compressedExample) ?? []).toString('latin1')).toBe(
    '{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n',
  );
  expect(decompressRtf(Buffer.alloc(4))).toBeNull();
  expect(decompressRtf(Buffer.alloc(40))).toBeNull();
});
