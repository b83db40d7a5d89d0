/**
 * A process of its own for a test: puts and gets a stream of 200 MB and prints by how many bytes its memory grew at most.
 *
 * Arguments: the configuration of a store as JSON, and `known` or `unknown` for whether the put is told size and hash.
 */
import { createHash } from 'node:crypto';
import { objectStoreConfigSchema } from '../config.ts';
import { createObjectStore } from '../create-object-store.ts';
import { objectKey } from '../Port.ts';
import { testDependencies } from './test-dependencies.ts';

const chunkBytes = 64 * 1024;
const chunks = 3_200;

const [, , configText = '', knowledge = ''] = process.argv;

/** Bytes that differ from chunk to chunk, made in one buffer. */
async function* produce(): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(chunkBytes, 'abcdefghij');
  for (let i = 0; i < chunks; i += 1) {
    buffer.writeUInt32BE(i);
    yield buffer;
  }
}

const config = objectStoreConfigSchema.parse(JSON.parse(configText));
const store = await createObjectStore(config, {
  ...testDependencies(),
  defaultRoot: '',
  s3Credentials: async () => ({ accessKeyId: 'key', secretAccessKey: 'secret' }),
});
const hash = createHash('sha256');
for await (const chunk of produce()) hash.update(chunk);
const expected = { size: chunkBytes * chunks, sha256: hash.digest('hex') };

// What is loaded and allocated once does not count.
await store.put(objectKey('case_1/small'), Buffer.from('x'));
(await store.get(objectKey('case_1/small'))).body.destroy();
const before = process.memoryUsage.rss();
let most = 0;
const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5);
const key = objectKey('case_1/large');
const stored = await store.put(key, produce(), knowledge === 'known' ? { expected } : {});
if (stored.sha256 !== expected.sha256) throw new Error('The hash differs.');
let seen = 0;
for await (const chunk of (await store.get(key)).body) seen += Buffer.isBuffer(chunk) ? chunk.byteLength : 0;
if (seen !== expected.size) throw new Error('The size differs.');
clearInterval(timer);
await store.close();
process.stdout.write(`${most - before}\n`);
