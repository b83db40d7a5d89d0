/** Annotations over HTTP and from the command line, against the real server: what clients are answered, and who may do what. */
import { randomInt, randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { createTemporaryFolder, type SpawnedScript, type TemporaryFolder } from '@casebound/test-kit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import {
  highlight,
  note,
  redaction,
  samplePng,
} from '../../apps/server/src/platform/document-engine/testing/sample-annotations.ts';
import { samplePdf } from '../../apps/server/src/platform/document-engine/testing/sample-pdf.ts';
import { runJson, startCasebound } from './run-casebound.ts';

// Each command is a process of its own, which starts while others compute.
vi.setConfig({ testTimeout: 120_000 });

let folder: TemporaryFolder;
let data: string;
let server: SpawnedScript;
let address: string;
let writer: string;
let reader: string;
let base: string;

interface Exhibit {
  readonly exhibitId: number;
  readonly controlNumber: string;
  readonly fileName: string;
}

const casebound = async (...args: string[]) => runJson([...args, '--data', data], { cwd: folder.path });

const account = async (name: string, ...permissions: string[]): Promise<string> =>
  String((await casebound('account', 'create', name, '--permission', ...permissions)).document['token']);

const send = async (
  token: string,
  method: string,
  at: string,
  body?: unknown,
  exhibit = base,
): Promise<{ status: number; body: Record<string, unknown> & { code?: string } }> => {
  const response = await fetch(`${exhibit}${at}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
};

/** The answer to a body that is announced and too large: it comes before the body is sent. */
const announce = async (at: string, bytes: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const asked = request(`${base}${at}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${writer}`, 'content-type': 'application/json', 'content-length': bytes },
    });
    asked.on('response', (response) => {
      resolve(response.statusCode ?? 0);
      asked.destroy();
    });
    asked.on('error', reject);
    asked.write('{');
  });

beforeAll(async () => {
  folder = await createTemporaryFolder();
  data = path.join(folder.path, 'data');
  server = startCasebound(['up', '--data', data, '--port', '0'], { timeoutMs: 240_000 });
  address = /http:\/\/\S+/.exec(await server.waitForLine(/^ {2}address/, 60_000))?.[0] ?? '';
  await mkdir(path.join(folder.path, 'files'));
  await writeFile(
    path.join(folder.path, 'files', 'letter.pdf'),
    samplePdf([['Pay the SECRET amount today'], ['SECRET']]),
  );
  await writeFile(path.join(folder.path, 'files', 'words.txt'), 'no pages');
  await casebound('case', 'create', 'Meridian');
  const imported = await casebound('import', 'files', '--case', 'Meridian', '--prefix', 'DOC');
  expect(imported.exitCode, imported.stderr).toBe(0);
  writer = await account('writer', 'case.read', 'case.write');
  reader = await account('reader', 'case.read');
  const { document } = await casebound('exhibit', 'list', '--case', 'Meridian');
  const exhibits = document['exhibits'] as Exhibit[];
  const letter = exhibits.find(({ fileName }) => fileName === 'letter.pdf');
  controlNumber = letter?.controlNumber ?? '';
  withoutPdf = exhibits.find(({ fileName }) => fileName === 'words.txt')?.exhibitId ?? 0;
  base = `${address}/v1/cases/1/exhibits/${letter?.exhibitId}`;
}, 180_000);
let controlNumber = '';
let withoutPdf = 0;

afterAll(async () => {
  server.signal('SIGTERM');
  const { exitCode, stderr, stdout } = await server.ended;
  expect(exitCode, stderr).toBe(0);
  expect(stdout + stderr).not.toContain('does not declare');
  await folder.remove();
});

test('who reads may look; who writes may change', async () => {
  expect(await send(reader, 'GET', '/annotations')).toEqual({ status: 200, body: { annotations: [] } });
  expect((await send(reader, 'POST', '/annotations', { annotations: [note('n')] })).status).toBe(403);
  expect((await send(reader, 'POST', '/redactions/apply', { confirm: controlNumber })).status).toBe(403);
  expect((await send('cb_nobody', 'GET', '/annotations')).status).toBe(401);
  expect((await send(reader, 'POST', '/pdf/searches', { query: 'secret' })).body).toMatchObject({
    matches: [{ pageIndex: 0 }, { pageIndex: 1 }],
  });
  expect((await send(reader, 'GET', '/pdf/pages')).body).toMatchObject({ pages: [{ width: 400, height: 300 }, {}] });
  const picture = await fetch(`${base}/pdf/pages/0/picture?dpi=50`, { headers: { authorization: `Bearer ${reader}` } });
  expect(picture.status).toBe(200);
  expect(picture.headers.get('content-type')).toBe('image/png');
  expect(
    Buffer.from(await picture.arrayBuffer())
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG');
});

test('statuses say what happened', async () => {
  const made = await send(writer, 'POST', '/annotations', {
    annotations: [note('n'), { ...highlight('h'), isCommentThreadRoot: true }],
  });
  expect(made.status).toBe(201);
  const [{ version }] = made.body['annotations'] as [{ version: string }];
  const changed = await send(writer, 'PUT', '/annotations/n', { version, annotation: note('n', 'other') });
  expect(changed.status).toBe(200);
  const lost = await send(writer, 'PUT', '/annotations/n', { version, annotation: note('n', 'third') });
  expect(lost).toMatchObject({ status: 409, body: { code: 'annotation_conflict' } });
  expect(JSON.stringify(lost.body['errors'])).toContain('other');
  expect((await send(writer, 'DELETE', '/annotations/n')).status).toBe(400);
  expect((await send(writer, 'DELETE', `/annotations/n?version=${version}`)).status).toBe(409);
  expect((await send(writer, 'DELETE', `/annotations/n?version=${String(changed.body['version'])}`)).status).toBe(204);
  expect((await send(writer, 'GET', '/annotations/n')).status).toBe(404);
  const stamp = { ...note('b'), type: 'pspdfkit/text', customData: { type: 'bates_stamp' } };
  expect(await send(writer, 'POST', '/annotations', { annotations: [stamp] })).toMatchObject({
    status: 403,
    body: { code: 'annotation_read_only' },
  });
  const thread = await send(writer, 'POST', '/comments', { comments: [{ rootId: 'h', pageIndex: 0, text: 'why?' }] });
  expect(thread.status).toBe(201);
  const [comment] = thread.body['comments'] as [{ version: string; comment: { id: string } }];
  const at = `/comments/${comment.comment.id}`;
  expect((await send(writer, 'PUT', at, { version: comment.version, comment: { text: 'because' } })).status).toBe(200);
  expect((await send(writer, 'PUT', at, { version: comment.version, comment: { text: 'no' } })).status).toBe(409);
  const png = Buffer.from(samplePng(5)).toString('base64');
  const put = await send(writer, 'POST', '/attachments', { contentType: 'image/png', binary: png });
  expect(put.status).toBe(201);
  const file = await fetch(`${base}/attachments/${String(put.body['attachmentId'])}`, {
    headers: { authorization: `Bearer ${reader}` },
  });
  expect(Buffer.from(await file.arrayBuffer()).toString('base64')).toBe(png);
  expect((await send(writer, 'POST', '/attachments', { contentType: 'image/svg+xml', binary: png })).status).toBe(400);
});

test('what is hostile is refused with its own status', async () => {
  const add = async (annotation: unknown) => send(writer, 'POST', '/annotations', { annotations: [annotation] });
  expect(await add({ ...note('x'), type: 'pspdfkit/ink' })).toMatchObject({ status: 422 });
  expect(await add({ ...note('x'), bbox: [9_999, 0, 5, 5] })).toMatchObject({ status: 400 });
  expect(await add({ ...note('x'), pageIndex: 7 })).toMatchObject({
    status: 400,
    body: { code: 'pdf_page_out_of_range' },
  });
  expect(await add('text')).toMatchObject({ status: 400, body: { code: 'validation_failed' } });
  expect((await send(writer, 'POST', '/annotations', '{"annotations":[{"id":"x","bbox":[NaN,0,1,1]}]}')).status).toBe(
    400,
  );
  expect((await send(writer, 'POST', '/annotations', '{"annotations":[{"id":"x","bbox":[1e999,0,1,1]}]}')).status).toBe(
    422,
  );
  expect((await send(writer, 'POST', '/annotations', '{"annotations":[{"__proto__":{}}]}')).status).toBe(400);
  expect(await add({ ...note('y'), bbox: [1e308, 1e308, 1e308, 1e308] })).toMatchObject({ status: 400 });
  const many = Array.from({ length: 100_000 }, (_, each) => note(`n${each}`));
  expect(await announce('/annotations', 17 * 1024 * 1024)).toBe(413);
  expect(await send(writer, 'POST', '/annotations', { annotations: many.slice(0, 1_001) })).toMatchObject({
    status: 400,
  });
  expect(await send(writer, 'POST', '/instant-json', { document: { annotations: many } })).toMatchObject({
    status: 413,
    body: { code: 'too_many_annotations' },
  });
  expect(await announce('/attachments', 13 * 1024 * 1024)).toBe(413);
  const look = async (at: string) => send(writer, 'GET', '/annotations', undefined, `${address}/v1/cases/${at}`);
  expect(await look(`1/exhibits/${withoutPdf}`)).toMatchObject({
    status: 409,
    body: { code: 'exhibit_without_pdf' },
  });
  expect(await look('1/exhibits/999999')).toMatchObject({ status: 404, body: { code: 'exhibit_not_found' } });
  expect((await look('1/exhibits/-1')).status).toBe(400);
  expect(await look('77/exhibits/1')).toMatchObject({ status: 404, body: { code: 'case_not_found' } });
});

test('from the command line: a search is redacted, listed, carried, and applied for good', async () => {
  // A letter of its own: what is applied for good cannot be searched again.
  const files = `files-${randomUUID()}`;
  await mkdir(path.join(folder.path, files));
  await writeFile(
    path.join(folder.path, files, `${files}.pdf`),
    samplePdf([['Pay the SECRET amount today'], ['SECRET'], [files]]),
  );
  const imported = await casebound('import', files, '--case', 'Meridian', '--prefix', `OWN${randomInt(1_000_000)}-`);
  expect(imported.exitCode, imported.stderr).toBe(0);
  const listed = (await casebound('exhibit', 'list', '--case', 'Meridian')).document['exhibits'] as Exhibit[];
  const own = listed.find(({ fileName }) => fileName === `${files}.pdf`);
  const exhibit = `${address}/v1/cases/1/exhibits/${own?.exhibitId}`;
  const of = ['--case', 'Meridian', own?.controlNumber ?? ''];
  const thread = { ...highlight('h'), isCommentThreadRoot: true };
  expect((await send(writer, 'POST', '/annotations', { annotations: [thread] }, exhibit)).status).toBe(201);
  const remark = { comments: [{ rootId: 'h', pageIndex: 0, text: 'why?' }] };
  expect((await send(writer, 'POST', '/comments', remark, exhibit)).status).toBe(201);
  const dry = await casebound('annotation', 'redact', ...of, '--search', 'secret', '--dry-run');
  expect(dry.document['annotations']).toHaveLength(2);
  for (let time = 0; time < 2; time += 1) {
    const marked = await casebound('annotation', 'redact', ...of, '--search', 'secret', '--overlay', 'REDACTED');
    expect(marked.exitCode, marked.stderr).toBe(0);
    expect(marked.document['annotations']).toHaveLength(2);
  }
  const kinds = async () =>
    ((await casebound('annotation', 'list', ...of)).document['annotations'] as { kind: string }[]).map(
      ({ kind }) => kind,
    );
  expect((await kinds()).toSorted((a, b) => a.localeCompare(b))).toEqual(['highlight', 'redaction', 'redaction']);
  expect((await casebound('exhibit', 'show', ...of)).document).toMatchObject({ redacted: true });
  await writeFile(path.join(folder.path, 'more.json'), JSON.stringify([redaction('mine', [5, 5, 9, 9])]));
  expect((await casebound('annotation', 'add', ...of, 'more.json')).document['annotations']).toHaveLength(1);
  expect((await casebound('annotation', 'delete', ...of, 'mine', '--if-version', '0')).exitCode).toBe(4);
  expect((await casebound('annotation', 'delete', ...of, 'mine')).exitCode).toBe(0);
  await casebound('annotation', 'export', ...of, '-o', 'all.json');
  const document = JSON.parse(await readFile(path.join(folder.path, 'all.json'), 'utf8'));
  expect(document.annotations).toHaveLength(3);
  expect((await casebound('annotation', 'import', ...of, 'all.json', '--replace')).document).toMatchObject({
    annotations: 3,
    comments: 1,
  });
  expect((await casebound('annotation', 'apply', ...of, '--confirm', 'yes')).exitCode).toBe(2);
  const applied = await casebound('annotation', 'apply', ...of, '--confirm', own?.controlNumber ?? '');
  expect(applied.document).toMatchObject({ applied: 2 });
  expect((await send(reader, 'POST', '/pdf/searches', { query: 'secret' }, exhibit)).body).toEqual({ matches: [] });
  expect((await casebound('exhibit', 'show', ...of)).document).toMatchObject({ redacted: true });
  const history = await casebound('audit', 'verify', '--case', 'Meridian');
  expect(history.exitCode, history.stderr + history.stdout).toBe(0);
}, 180_000);
