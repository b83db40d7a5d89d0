import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { watchForLeaks } from './leak-check.ts';
import { spawnScript } from './spawn-script.ts';
import { createTemporaryFolder } from './temporary-folder.ts';

const check = async (watch: ReturnType<typeof watchForLeaks>): Promise<string> =>
  watch.expectNone().then(() => 'none', String);

describe('watchForLeaks', () => {
  it('names a server that was left open, and is content once it is closed', async () => {
    const watch = watchForLeaks({ graceMs: 100 });
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    expect(await check(watch)).toContain('1 TCPServerWrap');
    server.close();
    expect(await check(watch)).toBe('none');
  });

  it('names a child process, a timer and a count', async () => {
    await using folder = await createTemporaryFolder();
    const script = path.join(folder.path, 'wait.ts');
    await writeFile(script, 'setInterval(() => undefined, 1000);');
    let open = 2;
    const watch = watchForLeaks({ graceMs: 100, counts: { 'pool connections': () => open } });
    const child = spawnScript(script);
    const timer = setInterval(() => undefined, 1000);
    const found = await check(watch);
    expect(found).toContain('1 ProcessWrap');
    expect(found).toContain('2 pool connections');
    expect(found).toMatch(/\d Timeout/);
    await child.kill();
    clearInterval(timer);
    open = 0;
    expect(await check(watch)).toBe('none');
  });

  it('names a file that was left in the temporary folder', async () => {
    await using folder = await createTemporaryFolder();
    const watch = watchForLeaks({ files: true, temporaryFolder: folder.path, graceMs: 50 });
    await writeFile(path.join(folder.path, 'casebound-left'), '');
    expect(await check(watch)).toContain('the file casebound-left');
  });
});
