import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ParserThread } from './parser-thread.ts';

const slow = `<html>${'<table><tr><td>x</td></tr>'.repeat(60_000)}`;
const threads = async (): Promise<number> => (await readdir('/proc/self/task')).length;

test('tasks are answered in order, and a task that fails leaves the next one alone', async () => {
  const parser = new ParserThread({ parseTimeoutMs: 20_000, workerHeapMegabytes: 128 });
  const answers = await Promise.all([
    parser.run('html', { html: '<p>1</p>', maxChars: 10 }),
    parser.run('msg', { bytes: new Uint8Array(100) }),
    parser.run('html', { html: '<p>2</p>', maxChars: 10 }),
  ]);
  await parser.close();
  expect(answers[0]).toEqual({ ok: true, value: { text: '1', truncated: false } });
  expect(answers[1]).toMatchObject({ ok: false, code: 'extraction_failed' });
  expect(answers[2]).toEqual({ ok: true, value: { text: '2', truncated: false } });
  expect(await parser.run('html', { html: '', maxChars: 1 })).toMatchObject({ ok: false });
});

test('the event loop goes on while a file is parsed', async () => {
  const parser = new ParserThread({ parseTimeoutMs: 1500, workerHeapMegabytes: 256 });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  await parser.run('html', { html: slow, maxChars: 1_000_000 });
  clearInterval(timer);
  await parser.close();
  expect(ticks).toBeGreaterThan(20);
});

test('a file that needs more memory than allowed ends its thread alone', async () => {
  const parser = new ParserThread({ parseTimeoutMs: 30_000, workerHeapMegabytes: 24 });
  const html = `<html>${'<b><i>x</i></b>'.repeat(400_000)}`;
  const starved = await parser.run('html', { html, maxChars: 10_000_000 });
  expect(starved).toMatchObject({ ok: false, code: 'extraction_failed' });
  expect(await parser.run('html', { html: '<p>fine</p>', maxChars: 10 })).toMatchObject({ ok: true });
  await parser.close();
}, 60_000);

test.skipIf(process.platform !== 'linux')('a thread that was stopped is gone', async () => {
  const before = await threads();
  const parser = new ParserThread({ parseTimeoutMs: 300, workerHeapMegabytes: 256 });
  const stopped = await parser.run('html', { html: slow, maxChars: 1_000_000 });
  expect(stopped).toMatchObject({ ok: false, code: 'extraction_timeout' });
  await expect.poll(threads, { timeout: 15_000 }).toBeLessThanOrEqual(before);
  await parser.close();
});
