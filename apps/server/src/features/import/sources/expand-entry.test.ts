import { Readable } from 'node:stream';
import { randomBytes } from 'node:crypto';
import { appendFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createTemporaryFolder } from '@casebound/test-kit';
import { expect, test } from 'vitest';
import { extractText } from '../text/extract-text.ts';
import { expandEntry } from './expand-entry.ts';
import { digestBytes } from './hash-bytes.ts';
import { openImportRoot } from './open-import-root.ts';
import { buildZip } from './testing/build-zip.ts';
import { codesOf, expandAll, expandFiles } from './testing/expand-files.ts';

const lines = (...all: readonly string[]): string => all.join('\r\n');
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABXvMqOgAAAABJRU5ErkJggg==',
  'base64',
);

const inner = lines('From: Inner <i@x>', 'Subject: inner', 'Message-ID: <inner@x>', '', 'inner text');

const rich = lines(
  'Received: from a by b; Tue, 2 Jan 2001 10:00:05 +0100',
  'From: =?utf-8?q?J=C3=BCrgen?= <j@x.de>',
  'To: "Doe, Jane" <jane@x>, team: a@x, b@x;',
  'Cc: c@x',
  'Subject: =?utf-8?B?R3LDvMOfZQ==?=',
  'Date: Tue, 2 Jan 2001 10:00:00 +0100',
  'Message-ID: <CALckR-a8UDkRjO4xJyjd_s0GPxQWw@mail.gmail.com>',
  'In-Reply-To: <p@x>',
  'References: <r@x> <p@x>',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=outer',
  '',
  '--outer',
  'Content-Type: multipart/alternative; boundary=alt',
  '',
  '--alt',
  'Content-Type: text/plain; charset=iso-8859-1',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'Gr=FC=DFe aus Wien',
  '--alt',
  'Content-Type: multipart/related; boundary=rel',
  '',
  '--rel',
  'Content-Type: text/html; charset=utf-8',
  '',
  '<p>Gruesse</p><img src="cid:logo@x">',
  '--rel',
  'Content-Type: image/png; name=logo.png',
  'Content-ID: <logo@x>',
  'Content-Transfer-Encoding: base64',
  '',
  png.toString('base64'),
  '--rel--',
  '--alt--',
  '--outer',
  'Content-Type: application/octet-stream',
  'Content-Disposition: attachment; filename="C:\\\\temp\\\\../re:port.txt"',
  'Content-Transfer-Encoding: base64',
  '',
  Buffer.from('the report').toString('base64'),
  '--outer',
  'Content-Type: message/rfc822',
  '',
  inner,
  '--outer',
  'Content-Type: message/rfc822; name=coded.eml',
  'Content-Transfer-Encoding: base64',
  '',
  Buffer.from(inner).toString('base64'),
  '--outer--',
  '',
);

test('a message is taken apart into itself, inline images, attachments and messages within it', async () => {
  let text = '';
  const { items, problems } = await expandFiles({ 'x.eml': rich }, {}, async (item, root) => {
    if (item.depth === 0) text = (await extractText(item, root.workspace)).pages.join('\n');
  });
  expect(problems).toEqual([]);
  expect(items.map((item) => [item.path, item.kind, item.parentPath, item.attachment?.disposition])).toEqual([
    ['x.eml', 'message', null, undefined],
    ['x.eml/attachments/1-logo.png', 'document', 'x.eml', 'inline'],
    ['x.eml/attachments/2-re:port.txt', 'document', 'x.eml', 'attachment'],
    ['x.eml/attachments/3-message-3.eml', 'message', 'x.eml', 'attachment'],
    ['x.eml/attachments/4-coded.eml', 'message', 'x.eml', 'attachment'],
  ]);
  const [message, logo, report, nested, coded] = items;
  expect(message?.mail).toMatchObject({
    messageId: '<CALckR-a8UDkRjO4xJyjd_s0GPxQWw@mail.gmail.com>',
    messageIdHash: '1de319c276884bd0c9e2f1621ada26cc',
    inReplyTo: '<p@x>',
    references: ['<r@x>', '<p@x>'],
    conversation: { topic: 'Grüße', rootId: '<r@x>', index: null },
    from: [{ name: 'Jürgen', address: 'j@x.de' }],
    to: [
      { name: 'Doe, Jane', address: 'jane@x' },
      { name: '', address: 'a@x' },
      { name: '', address: 'b@x' },
    ],
    cc: [{ name: '', address: 'c@x' }],
    subject: 'Grüße',
    sentAt: { utc: '2001-01-02T09:00:00.000Z', offsetMinutes: 60 },
    receivedAt: { utc: '2001-01-02T09:00:05.000Z', offsetMinutes: 60 },
    hasAttachments: true,
  });
  expect(message?.content?.equals(Buffer.from(rich))).toBe(true);
  expect(logo?.content?.equals(png)).toBe(true);
  expect(logo).toMatchObject({ size: png.length, mime: 'image/png' });
  expect(report?.content?.toString()).toBe('the report');
  expect(report?.size).toBe(10);
  expect(nested?.content?.toString()).toBe(inner);
  expect(nested?.mail?.subject).toBe('inner');
  expect(coded?.mail?.messageId).toBe('<inner@x>');
  expect(text).toContain('From: Jürgen <j@x.de>\nTo: Doe, Jane <jane@x>; a@x; b@x\n');
  expect(text).toContain('Grüße aus Wien');
  expect(text).not.toContain('Gruesse');
});

test('any way to break a message leaves an item, and no error of ours', async () => {
  const source = Buffer.from(rich);
  const broken: Record<string, Buffer> = {};
  for (let cut = 0; cut < source.length; cut += 97) broken[`cut-${cut}.eml`] = source.subarray(0, cut);
  for (let at = 0; at < 60; at++) {
    const damaged = Buffer.from(source);
    for (let step = at; step < damaged.length; step += 61) damaged[step] = (damaged[step] ?? 0) ^ (1 << (at % 8));
    broken[`damaged-${at}.eml`] = damaged;
  }
  broken['random.eml'] = randomBytes(5000);
  const { items } = await expandFiles(broken, {}, async (item, root) => {
    await extractText(item, root.workspace);
  });
  const entries = new Set(items.filter(({ depth }) => depth === 0).map(({ path: at }) => at));
  expect(entries).toEqual(new Set(Object.keys(broken)));
});

test('what is wrong with a message is told, with its place', async () => {
  const { problems } = await expandFiles({
    'unclosed.eml': lines('Subject: x', 'Content-Type: multipart/mixed; boundary=b', '', '--b', '', 'text'),
    'no-boundary.eml': lines('Subject: x', 'Content-Type: multipart/mixed', '', '--found', '', 'text', '--found--'),
    'date.eml': lines('Subject: x', 'Date: 30 Feb 2001 10:00:00 +0000', '', 'text'),
    'charset.eml': lines('Subject: =?x-nonsense?q?a?=', 'From: a@b', '', 'text'),
    'base64.eml': lines(
      'Subject: x',
      'Content-Type: application/pdf; name=a.bin',
      'Content-Transfer-Encoding: base64',
      '',
      'aGVs!bG8=',
    ),
    'tnef.eml': lines(
      'Subject: x',
      'Content-Type: application/ms-tnef; name=winmail.dat',
      'Content-Transfer-Encoding: base64',
      '',
      Buffer.from([0x78, 0x9f, 0x3e, 0x22, 1, 2]).toString('base64'),
    ),
    'smime.eml': lines(
      'Subject: x',
      'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m',
      'Content-Transfer-Encoding: base64',
      '',
      'AAAA',
    ),
    'external.eml': lines(
      'Subject: x',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      'Content-Type: message/external-body; access-type=local-file',
      '',
      'x',
      '--b--',
    ),
    'junk.eml': lines('junk before', 'From: a@b', 'Subject: x', 'and within', '', 'text'),
    'fine.eml': lines('Subject: x', 'From: a@b', '', 'text'),
  });
  const told = problems.map(({ path: at, code }) => `${at.split('/')[0]} ${code}`);
  expect(told).toEqual(
    [
      'base64.eml corrupt',
      'base64.eml content_mismatch',
      'charset.eml charset_unknown',
      'date.eml date_invalid',
      'external.eml external_body',
      'junk.eml mime_broken',
      'no-boundary.eml mime_broken',
      'smime.eml encrypted',
      'tnef.eml tnef',
      'unclosed.eml truncated',
    ].filter((line) => line !== 'base64.eml content_mismatch'),
  );
});

test('a mailbox delivers its messages one by one, with attachments below each', async () => {
  const mailbox = [
    'From a@b Mon Jan  1 10:00:00 2001',
    rich.replaceAll('\r\n', '\n'),
    'From a@b Mon Jan  1 10:00:00 2001',
    'Subject: second',
    'From: b@x',
    '',
    '>From the start',
    '',
    '',
  ].join('\n');
  const { items, problems } = await expandFiles({ 'mail.mbox': mailbox });
  expect(problems).toEqual([]);
  expect(items.map((item) => [item.path, item.kind, item.parentPath])).toEqual([
    ['mail.mbox', 'container', null],
    ['mail.mbox/000001', 'message', null],
    ['mail.mbox/000001/attachments/1-logo.png', 'document', 'mail.mbox/000001'],
    ['mail.mbox/000001/attachments/2-re:port.txt', 'document', 'mail.mbox/000001'],
    ['mail.mbox/000001/attachments/3-message-3.eml', 'message', 'mail.mbox/000001'],
    ['mail.mbox/000001/attachments/4-coded.eml', 'message', 'mail.mbox/000001'],
    ['mail.mbox/000002', 'message', null],
  ]);
  expect(items.at(-1)?.content?.toString()).toBe('Subject: second\nFrom: b@x\n\nFrom the start\n');
});

test('zips within zips and mail within zips become families where they belong to one', async () => {
  const zip = buildZip([
    { name: 'in/a.txt', content: 'a' },
    { name: 'deep.zip', content: buildZip([{ name: 'b.txt', content: 'b' }]), method: 0 },
    { name: 'm.eml', content: rich },
  ]);
  const mail = lines(
    'Subject: with zip',
    'Content-Type: application/zip; name=z.zip',
    'Content-Transfer-Encoding: base64',
    '',
    buildZip([{ name: 'c.txt', content: 'c' }]).toString('base64'),
  );
  const { items, problems } = await expandFiles({ 'box.zip': zip, 'mail.eml': mail });
  expect(problems).toEqual([]);
  const rows = items
    .filter(({ path: at }) => !at.startsWith('box.zip/m.eml/'))
    .map((item) => [item.path, item.kind, item.parentPath, item.depth]);
  expect(rows).toEqual([
    ['box.zip', 'container', null, 0],
    ['box.zip/deep.zip', 'container', null, 1],
    ['box.zip/deep.zip/b.txt', 'document', null, 2],
    ['box.zip/in/a.txt', 'document', null, 1],
    ['box.zip/m.eml', 'message', null, 1],
    ['mail.eml', 'message', null, 0],
    ['mail.eml/attachments/1-z.zip', 'container', 'mail.eml', 1],
    ['mail.eml/attachments/1-z.zip/c.txt', 'document', 'mail.eml/attachments/1-z.zip', 2],
  ]);
  expect(items.find(({ path: at }) => at.endsWith('b.txt'))?.content?.toString()).toBe('b');
  expect(new Set(items.map(({ path: at }) => at)).size).toBe(items.length);
});

test('nesting, bombs within archives, and numbers of items are bounded', async () => {
  let nested = buildZip([{ name: 'leaf.txt', content: 'leaf' }]);
  for (let level = 0; level < 20; level++) nested = buildZip([{ name: `${level}.zip`, content: nested }]);
  const deep = await expandFiles({ 'deep.zip': nested }, { maxDepth: 5 });
  expect(codesOf(deep.problems)).toEqual(['too_deep']);
  expect(deep.items).toHaveLength(6);

  let bomb = buildZip([{ name: 'zeros', content: Buffer.alloc(300_000) }]);
  for (let level = 0; level < 3; level++) {
    bomb = buildZip(Array.from({ length: 10 }, (_, index) => ({ name: `${index}.zip`, content: bomb })));
  }
  const { problems } = await expandFiles({ 'bomb.zip': bomb }, { ratioFloorBytes: 1_000_000, maxRatio: 20 });
  expect(problems.every(({ code }) => code === 'bomb')).toBe(true);
  expect(problems.length).toBeGreaterThan(0);

  const many = Array.from(
    { length: 50 },
    (_, index) => `From a Mon Jan  1 10:00:00 2001\nSubject: ${index}\n\nx\n`,
  ).join('\n');
  const bounded = await expandFiles({ 'many.mbox': many }, { maxItemsPerEntry: 10 });
  expect(bounded.items).toHaveLength(10);
  expect(codesOf(bounded.problems)).toEqual(['limit_exceeded']);
});

test('files are what they hold, whatever they are called', async () => {
  const encrypted = Buffer.alloc(1536);
  Buffer.from('d0cf11e0a1b11ae1', 'hex').copy(encrypted);
  encrypted.writeUInt16LE(9, 30);
  encrypted.writeUInt32LE(0, 48);
  encrypted.writeUInt32LE(0xffffffff, 76);
  encrypted.write('EncryptedPackage\0', 512, 'utf16le');
  encrypted.writeUInt16LE(34, 512 + 64);
  const { items, problems } = await expandFiles({
    'fake.tif': 'this is text',
    'empty.pdf': '',
    'photo.txt': png,
    noext: lines('From: a@b', 'To: c@d', 'Subject: x', '', 'mail without a name'),
    'not-mail.eml': '\u0000\u0001binary',
    'words.eml': 'just some words\nand more',
    'empty.eml': '',
    'secret.docx': encrypted,
    'cut.pdf': '%PDF-1.4\n1 0 obj\n<<>>\nendobj\n',
    'locked.pdf': '%PDF-1.4\ntrailer\n<< /Encrypt 5 0 R /Root 1 0 R >>\nstartxref\n9\n%%EOF\n',
    'renamed.docx': buildZip([{ name: 'plain.txt', content: 'x' }]),
    'archive.7z': Buffer.from([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4]),
  });
  const told = problems.map(({ path: at, code }) => `${at} ${code}`);
  expect(told.toSorted()).toEqual([
    'archive.7z no_extractor',
    'cut.pdf truncated',
    'empty.eml empty',
    'empty.pdf empty',
    'fake.tif content_mismatch',
    'locked.pdf encrypted',
    'not-mail.eml mime_broken',
    'photo.txt content_mismatch',
    'renamed.docx content_mismatch',
    'secret.docx encrypted',
    'words.eml mime_broken',
  ]);
  const types = Object.fromEntries(items.map((item) => [item.path, item.mime]));
  expect(types).toMatchObject({ 'fake.tif': 'text/plain', 'photo.txt': 'image/png', noext: 'message/rfc822' });
  expect(items.map(({ path: at }) => at)).toContain('renamed.docx/plain.txt');
});

test('large members are spooled within bounds, and nothing of them is left', async () => {
  await using folder = await createTemporaryFolder();
  const big = buildZip([{ name: 'r.bin', content: randomBytes(300_000), method: 0 }]);
  await writeFile(
    path.join(folder.path, 'in.zip'),
    buildZip([
      { name: 'big.zip', content: big },
      { name: 'a.txt', content: 'a' },
    ]),
  );
  const spool = path.join(folder.path, 'spool');
  await writeFile(path.join(folder.path, 'stale'), '');
  for (const [spoolDiskBytes, codes] of [
    [1_000_000, []],
    [100_000, ['limit_exceeded']],
  ] as const) {
    const root = await openImportRoot(path.join(folder.path, 'in.zip'), {
      limits: { spoolMemoryBytes: 1000, spoolDiskBytes },
      temporaryFolder: spool,
    });
    const { items, problems } = await expandAll(root);
    expect(codesOf(problems)).toEqual(codes);
    expect(items.map(({ path: at }) => at)).toContain('a.txt');
    expect(root.workspace.spool.usedBytes).toBe(0);
    await root.close();
    expect(await readdir(spool)).toEqual([]);
  }
});

test('a file that changes while it is walked ends with that, and what came before is kept', async () => {
  await using folder = await createTemporaryFolder();
  const file = path.join(folder.path, 'x.eml');
  await writeFile(file, rich);
  await using root = await openImportRoot(folder.path);
  const found: string[] = [];
  for await (const entry of root.list()) {
    for await (const expansion of expandEntry(root, entry)) {
      found.push(expansion.type === 'item' ? expansion.path : expansion.problem.code);
      if (found.length === 1) await appendFile(file, 'more');
    }
  }
  expect(found).toEqual(['x.eml', 'source_changed']);
});

test('an aborted walk ends with the reason', async () => {
  await using folder = await createTemporaryFolder();
  await writeFile(path.join(folder.path, 'x.eml'), rich);
  await using root = await openImportRoot(folder.path);
  const controller = new AbortController();
  const walk = async (): Promise<void> => {
    for await (const entry of root.list()) {
      for await (const found of expandEntry(root, entry, { signal: controller.signal })) {
        void found;
        controller.abort(new Error('stop'));
      }
    }
  };
  await expect(walk()).rejects.toThrow('stop');
});

test('hashes of one pass are those of the bytes', async () => {
  const digests = await digestBytes(Readable.from([Buffer.from('a'), Buffer.from('bc')]));
  expect(digests).toEqual({
    md5: '900150983cd24fb0d6963f7d28e17f72',
    sha1: 'a9993e364706816aba3e25717850c26c9cd0d89d',
    sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    size: 3,
  });
});
