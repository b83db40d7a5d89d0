/**
 * Reading sources of an import: rate against the same bytes hashed with nothing between, and peak memory as sources grow.
 *
 * Each reading runs in a process of its own, so that its peak memory is its own. Sides are interleaved; medians are shown.
 * `node bench/import-sources/import-sources.ts 5120` reads a zip, a mailbox and a message of 5 GB each.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { ZipFile } from 'yazl';
import { expandEntry } from '../../apps/server/src/features/import/sources/expand-entry.ts';
import { digestBytes } from '../../apps/server/src/features/import/sources/hash-bytes.ts';
import { openImportRoot } from '../../apps/server/src/features/import/sources/open-import-root.ts';

const script = fileURLToPath(import.meta.url);
const mebibyte = 1024 * 1024;

interface Reading {
  readonly seconds: number;
  readonly items: number;
  readonly bytes: number;
  readonly peakMegabytes: number;
}

/** Bytes that do not compress, the same in every run. */
const noise = (length: number, seed: number): Buffer => {
  const chunks: Buffer[] = [];
  for (let block = 0; block * 64 < length; block++) {
    chunks.push(createHash('sha512').update(`${seed} ${block}`).digest());
  }
  return Buffer.concat(chunks).subarray(0, length);
};

const words = 'the parties agree that every document of the production is kept whole and in its order. '.repeat(12_000);

const writeZip = async (file: string, megabytes: number): Promise<void> => {
  const zip = new ZipFile();
  const packed = noise(mebibyte, 1);
  for (let index = 0; index < megabytes; index++) {
    const binary = index % 2 === 0;
    zip.addReadStreamLazy(`${index % 100}/${index}.${binary ? 'bin' : 'txt'}`, { compress: !binary }, (callback) => {
      callback(null, Readable.from([binary ? packed : Buffer.from(words).subarray(0, mebibyte)]));
    });
  }
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(file));
};

const attachment = noise(96 * 1024, 2)
  .toString('base64')
  .replaceAll(/.{76}/gu, '$&\r\n');

const message = (index: number, content: string): string =>
  [
    `Message-ID: <${index}@bench>`,
    'From: a@bench',
    'To: b@bench',
    `Subject: message ${index}`,
    'Date: Mon, 1 Jan 2001 10:00:00 +0000',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    '',
    words.slice(0, 2000),
    '--b',
    'Content-Type: application/octet-stream; name=a.bin',
    'Content-Transfer-Encoding: base64',
    '',
    content,
    '--b--',
    '',
  ].join('\r\n');

const writeMailbox = async (file: string, megabytes: number): Promise<void> => {
  const messages = function* (): Generator<string> {
    let written = 0;
    for (let index = 0; written < megabytes * mebibyte; index++) {
      const text = `From a@bench Mon Jan  1 10:00:00 2001\r\n${message(index, index % 8 === 0 ? attachment : 'AAAA')}\r\n`;
      written += text.length;
      yield text;
    }
  };
  await pipeline(Readable.from(messages()), createWriteStream(file));
};

const writeMessage = async (file: string, megabytes: number): Promise<void> => {
  const [head = '', tail = ''] = message(0, '@').split('@\r\n--b--');
  const parts = function* (): Generator<string> {
    yield head;
    for (let written = 0; written < megabytes * mebibyte; written += attachment.length) yield attachment;
    yield `\r\n--b--${tail}`;
  };
  await pipeline(Readable.from(parts()), createWriteStream(file));
};

const read = async (file: string): Promise<Omit<Reading, 'seconds' | 'peakMegabytes'>> => {
  await using root = await openImportRoot(file);
  let items = 0;
  let bytes = 0;
  for await (const entry of root.list()) {
    for await (const found of expandEntry(root, entry)) {
      if (found.type === 'problem') throw new Error(found.problem.reason);
      items++;
      bytes += (await digestBytes(await found.open())).size;
    }
  }
  return { items, bytes };
};

const floor = async (file: string): Promise<Omit<Reading, 'seconds' | 'peakMegabytes'>> => {
  const { size } = await digestBytes(createReadStream(file, { highWaterMark: 256 * 1024 }));
  return { items: 1, bytes: size };
};

const measured = (side: 'read' | 'floor', file: string): Reading =>
  JSON.parse(execFileSync(process.execPath, [script, side, file], { encoding: 'utf8' })) as Reading;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const compare = async (name: string, file: string, rounds: number): Promise<Record<string, number | string>> => {
  const readings: Reading[] = [];
  const floors: Reading[] = [];
  for (let round = 0; round < rounds; round++) {
    readings.push(measured('read', file));
    floors.push(measured('floor', file));
  }
  const rate = (all: readonly Reading[]): number => median(all.map(({ bytes, seconds }) => bytes / mebibyte / seconds));
  return {
    source: name,
    MB: Math.round((await stat(file)).size / mebibyte),
    items: readings[0]?.items ?? 0,
    'items/s': Math.round(median(readings.map(({ items, seconds }) => items / seconds))),
    'MB/s': Math.round(rate(readings)),
    'of bare hashing': Number((rate(readings) / rate(floors)).toFixed(2)),
    'peak MB': Math.round(Math.max(...readings.map(({ peakMegabytes }) => peakMegabytes))),
    'bare peak MB': Math.round(Math.max(...floors.map(({ peakMegabytes }) => peakMegabytes))),
  };
};

const main = async (megabytes: readonly number[]): Promise<void> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'casebound-bench-'));
  const rows: Record<string, number | string>[] = [];
  try {
    const writers = { 'x.zip': writeZip, 'x.mbox': writeMailbox, 'x.eml': writeMessage };
    for (const size of megabytes) {
      for (const [name, write] of Object.entries(writers)) {
        const file = path.join(folder, name);
        await write(file, size);
        rows.push(await compare(name, file, size > 1000 ? 1 : 3));
        await rm(file);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  console.table(rows);
  const results = path.resolve(path.dirname(script), '..', 'results');
  await mkdir(results, { recursive: true });
  await writeFile(path.join(results, 'import-sources.json'), `${JSON.stringify({ rows }, null, 2)}\n`);
};

const [side, file] = process.argv.slice(2);
if ((side === 'read' || side === 'floor') && file !== undefined) {
  const started = performance.now();
  const result = side === 'read' ? await read(file) : await floor(file);
  const seconds = (performance.now() - started) / 1000;
  console.log(JSON.stringify({ ...result, seconds, peakMegabytes: process.resourceUsage().maxRSS / 1024 }));
} else {
  await main(side === undefined ? [16, 64, 256] : [Number(side)]);
}
