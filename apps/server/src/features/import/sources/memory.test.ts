/** Memory does not grow with sources. Each is read in a process of its own, whose peak is then known. */
import { execFileSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createTemporaryFolder } from '@casebound/test-kit';
import { expect, test } from 'vitest';
import { ZipFile } from 'yazl';

const script = fileURLToPath(new URL('./testing/read-source.ts', import.meta.url));
const mebibyte = 1024 * 1024;
/** A process that has loaded everything and read little takes about 140 MB. */
const allowedMegabytes = 330;

const block = Buffer.alloc(mebibyte, 'every document of the production is kept whole. ');

const blocks = function* (megabytes: number): Generator<Buffer> {
  for (let index = 0; index < megabytes; index++) yield block;
};

const peakOf = (place: string): { readonly items: number; readonly bytes: number; readonly peakMegabytes: number } =>
  JSON.parse(execFileSync(process.execPath, [script, place], { encoding: 'utf8' })) as ReturnType<typeof peakOf>;

test('a zip with a member of 256 MB, and one that holds a mailbox of 256 MB', async () => {
  await using folder = await createTemporaryFolder();
  const message = function* (): Generator<Buffer> {
    for (let index = 0; index < 256; index++) {
      yield Buffer.from(`From a Mon Jan  1 10:00:00 2001\nSubject: ${index}\n\n`);
      yield block;
      yield Buffer.from('\n\n');
    }
  };
  const zip = new ZipFile();
  zip.addReadStream(Readable.from(blocks(256)), 'big.txt', { compress: false });
  zip.addReadStream(Readable.from(message()), 'mail.mbox', { compress: false });
  zip.end();
  const file = path.join(folder.path, 'x.zip');
  await pipeline(zip.outputStream, createWriteStream(file));
  const { items, bytes, peakMegabytes } = peakOf(file);
  expect(items).toBe(258);
  expect(bytes).toBeGreaterThan(760 * mebibyte);
  expect(peakMegabytes).toBeLessThan(allowedMegabytes);
}, 120_000);

test('a message with an attachment of 190 MB', async () => {
  await using folder = await createTemporaryFolder();
  const file = path.join(folder.path, 'x.eml');
  const encoded = Buffer.from(
    block
      .subarray(0, 57 * 1000)
      .toString('base64')
      .replaceAll(/.{76}/gu, '$&\n'),
  );
  const text = function* (): Generator<Buffer> {
    yield Buffer.from(
      'Subject: x\nContent-Type: application/octet-stream; name=a.bin\nContent-Transfer-Encoding: base64\n\n',
    );
    for (let written = 0; written < 256 * mebibyte; written += encoded.length) yield encoded;
  };
  await pipeline(Readable.from(text()), createWriteStream(file));
  const { items, peakMegabytes } = peakOf(file);
  expect(items).toBe(2);
  expect(peakMegabytes).toBeLessThan(allowedMegabytes);
}, 120_000);
