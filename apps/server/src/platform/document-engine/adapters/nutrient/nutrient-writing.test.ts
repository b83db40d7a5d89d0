import { inspect } from 'node:util';
import { attachmentId } from '@casebound/pdf';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { comment, highlight, note, redaction, samplePng, sticker } from '../../testing/sample-annotations.ts';
import { buildPdf, samplePdf } from '../../testing/sample-pdf.ts';
import { startNutrientServer, type NutrientServer } from '../../testing/nutrient-server.ts';
import { errorOf, failFirstOf, noBreaker, nutrientId, openNutrient } from '../../testing/open-nutrient.ts';

const canary = 'CANARYWORD';
const pdf = samplePdf([['Pay the SECRET amount today', 'to Jane Doe'], ['Nothing on the second page']]);
const secretBox: [number, number, number, number] = [107, 86, 58, 18];

let server: NutrientServer;
let last = 0;
const newId = (): ReturnType<typeof nutrientId> => nutrientId((last += 1));

beforeAll(async () => {
  server = await startNutrientServer();
});
afterAll(async () => {
  await server.stop();
});
beforeEach(() => {
  server.reset();
});

describe('a PDF that needs a password', () => {
  it('is refused, and nothing of it is kept', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    const key = '(0123456789abcdef0123456789abcdef)';
    const locked = buildPdf(
      [
        '<</Type/Catalog/Pages 2 0 R>>',
        '<</Type/Pages/Kids[3 0 R]/Count 1>>',
        '<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>',
      ],
      `/ID[(a)(a)]/Encrypt<</Filter/Standard/V 1/R 2/Length 40/O${key}/U${key}/P -4>>`,
    );
    expect((await errorOf(engine.putDocument(id, locked))).code).toBe('pdf_encrypted');
    expect(server.documents.has(id)).toBe(false);
    await engine.close();
  });
});

describe('writing', () => {
  const lost = async (match: RegExp, method: string, work: () => Promise<unknown>): Promise<void> => {
    failFirstOf(server, 1, { kind: 'loseAnswer' }, (path, own) => own === method && match.test(path));
    await work();
  };

  it('happens once when the answer is lost', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    await lost(/documents$/, 'POST', async () =>
      expect(await engine.putDocument(id, pdf)).toMatchObject({ created: true, pageCount: 2 }),
    );
    await lost(/annotations$/, 'POST', async () =>
      expect(await engine.createAnnotations(id, [highlight('h'), note('n')])).toHaveLength(2),
    );
    await lost(/comments$/, 'POST', async () => engine.addComments(id, [comment('c', 'h'), comment('d', 'h')]));
    await lost(/annotations$/, 'POST', async () => engine.createAnnotations(id, [redaction('r', secretBox)]));
    expect((await engine.listAnnotations(id)).map(({ value }) => value.id)).toEqual(['h', 'n', 'r']);
    expect(await engine.listComments(id)).toHaveLength(2);
    await lost(/redact$/, 'POST', async () => expect((await engine.applyRedactions(id)).applied).toBe(1));
    expect((await engine.listAnnotations(id)).map(({ value }) => value.id)).toEqual(['h', 'n']);
    expect(await engine.listComments(id)).toHaveLength(2);
    await engine.close();
  });

  it('of a batch is all or nothing, and names what was refused without quoting it', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    server.refuseAnnotation = (annotation) => (annotation === 'b' ? `${canary} is not allowed` : undefined);
    const error = await errorOf(
      engine.createAnnotations(id, [note('a', canary), note('b', canary), note('c', canary)]),
    );
    expect(error.code).toBe('annotation_invalid');
    expect(error.message).toContain('`b`');
    expect(error.errors).toEqual([{ path: '$[1]', message: 'was refused by the engine' }]);
    expect(inspect(error, { depth: 9 })).not.toContain(canary);
    expect(await engine.listAnnotations(id)).toEqual([]);

    const many = Array.from({ length: 1_200 }, (_, at) => highlight(`m${at}`, at % 2));
    server.refuseAnnotation = (annotation) => (annotation === 'm1100' ? 'no' : undefined);
    expect((await errorOf(engine.createAnnotations(id, many))).errors[0]?.path).toBe('$[1100]');
    expect(await engine.listAnnotations(id)).toEqual([]);

    server.refuseAnnotation = () => undefined;
    const made = await engine.createAnnotations(id, [note('a', 'one'), note('b', 'two')]);
    server.refuseAnnotation = (annotation) => (annotation === 'b' ? 'no' : undefined);
    const changes = made.map(({ value, version }) => ({ value: note(value.id, 'changed'), version }));
    expect((await errorOf(engine.updateAnnotations(id, changes))).code).toBe('annotation_invalid');
    server.refuseAnnotation = () => undefined;
    const texts = (await engine.listAnnotations(id)).map(({ value }) => 'text' in value && value.text);
    expect(texts).toEqual([note('a', 'one'), note('b', 'two')].map((one) => 'text' in one && one.text));
    await engine.close();
  });

  it('upon a version that somebody else overwrote at the same time is a conflict', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    const [made] = await engine.createAnnotations(id, [note('n', 'one')]);
    const version = made?.version ?? '';
    // Another process has looked at the same time and writes right after us.
    const records = server.documents.get(id)?.layers.get('')?.annotations;
    const theirs = { ...records?.get('n')?.content, text: { format: 'plain', value: 'theirs' } };
    let puts = 0;
    server.fault = ({ method }) => {
      const record = records?.get('n');
      if (puts > 0 && record !== undefined) record.content = theirs;
      if (method === 'PUT') puts += 1;
      return undefined;
    };
    const error = await errorOf(engine.updateAnnotations(id, [{ value: note('n', 'ours'), version }]));
    expect(error.code).toBe('annotation_conflict');
    await engine.close();
  });

  it('of binaries is divided by their size', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    const binaries = [1, 2, 3].map((mark) =>
      Uint8Array.from({ length: 13 * 1024 * 1024 }, (_, at) => (at === 0 ? mark : 0)),
    );
    const attachments = new Map(binaries.map((bytes) => [attachmentId(bytes), { bytes, contentType: 'image/png' }]));
    server.requests.length = 0;
    await engine.importInstantJson(id, {
      annotations: [...attachments.keys()].map((one, at) => sticker(`s${at}`, one)),
      comments: [],
      attachments,
    });
    const posts = server.requests.filter(({ method }) => method === 'POST');
    expect(posts).toHaveLength(2);
    for (const { body } of posts) expect(body.length).toBeLessThan(33 * 1024 * 1024);
    expect((await engine.exportInstantJson(id)).attachments.size).toBe(3);
    await engine.close();
  });

  it('reads lists as newline-delimited JSON: as JSON they are cut at 1,000', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    await engine.createAnnotations(
      id,
      Array.from({ length: 1_500 }, (_, at) => highlight(`m${at}`)),
    );
    const response = await fetch(`${server.url}/api/documents/${id}/annotations`, {
      headers: { authorization: 'Token token=secret-token', accept: 'application/json' },
    });
    expect(await response.json()).toMatchObject({ data: { truncated: true } });
    expect(await engine.listAnnotations(id)).toHaveLength(1_500);
    await engine.close();
  });
});

describe('what others do in the engine', () => {
  it('is read, refused when it is not known, and left alone when it is part of the PDF', async () => {
    const { engine } = openNutrient(server);
    const [plain, id] = [newId(), newId()];
    await engine.putDocument(plain, pdf);
    await engine.createAnnotations(plain, [highlight('h')]);
    await engine.putDocument(id, await engine.getPdf(plain, { annotations: 'layer' }));
    expect(await engine.listAnnotations(id)).toEqual([]);
    expect(server.documents.get(id)?.base.annotations.size).toBe(1);

    const [made] = await engine.createAnnotations(id, [note('n', 'ours'), redaction('r', secretBox)]);
    const records = server.documents.get(id)?.layers.get('')?.annotations;
    const own = records?.get('n');
    if (own === undefined || records === undefined) throw new Error('not written');
    own.content = { ...own.content, text: { format: 'plain', value: 'theirs' } };
    const foreign = { createdBy: 'jane', updatedBy: 'jane', group: null };
    const { id: _, ...content } = highlight('x', 1);
    records.set('x', { id: 'x', content: { ...content }, ...foreign });
    const listed = await engine.listAnnotations(id);
    expect(listed.map(({ value }) => value.id).toSorted()).toEqual(['n', 'r', 'x']);
    const changed = listed.find(({ value }) => value.id === 'n');
    expect(changed?.value).toMatchObject({ text: { value: 'theirs' } });
    expect(changed?.version).not.toBe(made?.version);
    expect(listed.find(({ value }) => value.id === 'x')?.createdBy).toBe('jane');
    const stale = [{ value: note('n', 'again'), version: made?.version ?? '' }];
    expect((await errorOf(engine.updateAnnotations(id, stale))).code).toBe('annotation_conflict');

    expect((await engine.applyRedactions(id)).applied).toBe(1);
    expect(server.documents.get(id)?.base.annotations.size).toBe(1);
    expect((await engine.listAnnotations(id)).map(({ value }) => value.id).toSorted()).toEqual(['n', 'x']);

    const now = server.documents.get(id)?.layers.get('')?.annotations;
    now?.set('i', {
      id: 'i',
      content: { v: 2, type: 'pspdfkit/ink', pageIndex: 0, bbox: [1, 1, 9, 9], lines: [] },
      ...foreign,
    });
    expect((await errorOf(engine.listAnnotations(id))).code).toBe('annotation_unknown_type');
    await engine.close();
  });

  it('does not matter to how rects of search results are written', async () => {
    for (const order of ['left-top', 'top-left'] as const) {
      server.rectOrder = order;
      const { engine } = openNutrient(server);
      const id = newId();
      await engine.putDocument(id, pdf);
      const [match] = await engine.searchText(id, 'amount');
      expect(match?.text).toBe('amount');
      expect(match?.rects[0]?.left).toBeGreaterThan(150);
      expect(match?.rects[0]?.top).toBeLessThan(110);
      expect(await engine.searchText(id, 'amoun')).toEqual([]);
      expect(await engine.searchText(id, '/am.unt/')).toHaveLength(1);
      await engine.close();
    }
  });
});

describe('redaction', () => {
  it('leaves nothing in the engine that shows what was redacted', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    const kept = await engine.putAttachment(id, { bytes: samplePng(9), contentType: 'image/png' });
    await engine.createAnnotations(id, [redaction('r', secretBox), sticker('s', kept), highlight('h', 1)]);
    await engine.addComments(id, [comment('c', 'h', 'why?', 1)]);
    await engine.applyRedactions(id);
    for (const document of server.documents.values()) {
      if (document.id !== id) expect(document.id).not.toContain(id);
      else {
        const pdfs = [document.source, ...[document.base, ...document.layers.values()].map(({ bare }) => bare)];
        for (const bytes of pdfs)
          expect(
            server.pdf
              .lines(bytes, 0)
              .map(({ text }) => text)
              .join(' '),
          ).not.toContain('SECRET');
        expect([...document.layers.keys()]).toEqual(['']);
      }
    }
    expect(await engine.listComments(id)).toHaveLength(1);
    expect(Buffer.from((await engine.getAttachment(id, kept)).bytes).equals(samplePng(9))).toBe(true);
    expect(server.requests.some(({ path }) => path.includes('copy'))).toBe(false);
    await engine.close();
  });

  it('changes nothing when it cannot be proved', async () => {
    const { engine } = openNutrient(server, {
      dependencies: {
        workers: {
          verify: async ({ original = new Uint8Array(0), redactions }) =>
            server.pdf.workers.verify({ pdf: Uint8Array.from(original), original, redactions }),
        },
      },
    });
    const id = newId();
    const { sha256 } = await engine.putDocument(id, pdf);
    await engine.createAnnotations(id, [redaction('r', secretBox)]);
    expect((await errorOf(engine.applyRedactions(id))).code).toBe('redaction_unverified');
    expect((await engine.findDocument(id))?.sha256).toBe(sha256);
    expect(await engine.listAnnotations(id)).toHaveLength(1);
    expect([...(server.documents.get(id)?.layers.keys() ?? [])]).toEqual(['']);
    await engine.close();
  });

  const prepare = async (): Promise<ReturnType<typeof nutrientId>> => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    const kept = await engine.putAttachment(id, { bytes: samplePng(9), contentType: 'image/png' });
    await engine.createAnnotations(id, [redaction('r', secretBox), sticker('s', kept), highlight('h', 1)]);
    await engine.addComments(id, [comment('c', 'h', 'why?', 1), comment('d', 'h', 'so', 1)]);
    await engine.close();
    return id;
  };

  /** From the n-th request on nothing reaches the engine any more, as when the process was killed. */
  const killAt = async (
    at: number,
    work: (engine: ReturnType<typeof openNutrient>['engine']) => Promise<unknown>,
  ): Promise<boolean> => {
    const { engine } = openNutrient(server, { settings: { maxAttempts: 1 }, dependencies: { breaker: noBreaker } });
    let seen = 0;
    server.fault = () => ((seen += 1) > at ? { kind: 'drop' } : undefined);
    const ended = await work(engine).then(
      () => true,
      () => false,
    );
    server.fault = () => undefined;
    await engine.close();
    return ended;
  };

  it('is finished by the next call, wherever it was killed', async () => {
    for (let at = 0; ; at += 1) {
      const id = await prepare();
      const ended = await killAt(at, async (engine) => engine.applyRedactions(id));
      const { engine } = openNutrient(server);
      // Who reads meanwhile finds all that shall stay, at any time.
      expect(
        (await engine.exportInstantJson(id)).annotations.map((one) => one.id).filter((one) => one !== 'r'),
      ).toEqual(['s', 'h']);
      await engine.applyRedactions(id);
      expect(
        (await engine.listAnnotations(id)).map(({ value }) => value.id),
        `killed at ${at}`,
      ).toEqual(['s', 'h']);
      expect(
        (await engine.listComments(id)).map(({ value }) => value.id),
        `killed at ${at}`,
      ).toEqual(['c', 'd']);
      expect((await engine.pageText(id, 0)).text).not.toContain('SECRET');
      expect([...server.documents.keys()].filter((name) => name.includes(id))).toEqual([id]);
      await engine.deleteDocument(id);
      await engine.close();
      if (ended) {
        expect(at).toBeGreaterThan(15);
        return;
      }
    }
  }, 60_000);

  it('that was interrupted does not let the PDF from before it come back', async () => {
    const id = await prepare();
    // The engine removes the document that is uploaded over before it has the new one.
    const { engine } = openNutrient(server, { settings: { maxAttempts: 1 }, dependencies: { breaker: noBreaker } });
    let over = false;
    server.fault = ({ method, path, body }) => {
      over ||= method === 'POST' && path === '/api/documents' && body.subarray(0, 400).includes(`\r\n${id}\r\n`);
      if (over) server.documents.delete(id);
      return over ? { kind: 'drop' } : undefined;
    };
    await errorOf(engine.applyRedactions(id));
    server.fault = () => undefined;
    expect(await engine.findDocument(id)).toBeUndefined();
    expect((await errorOf(engine.putDocument(id, pdf))).code).toBe('engine_document_exists');
    expect((await engine.pageText(id, 0)).text).not.toContain('SECRET');
    expect((await engine.listAnnotations(id)).map(({ value }) => value.id)).toEqual(['s', 'h']);
    await engine.deleteDocument(id);
    await engine.close();
  });

  it('of comments: a removal is finished by the next call, wherever it was killed', async () => {
    for (let at = 0; ; at += 1) {
      const id = await prepare();
      const ended = await killAt(at, async (engine) => engine.deleteComments(id, ['c']));
      const { engine } = openNutrient(server);
      const left = (await engine.listComments(id)).map(({ value }) => value.id);
      expect([['c', 'd'], ['d']], `killed at ${at}`).toContainEqual(left);
      await engine.deleteComments(id, ['c']);
      expect((await engine.listComments(id)).map(({ value }) => value.id)).toEqual(['d']);
      expect((await engine.listAnnotations(id)).map(({ value }) => value.id)).toEqual(['r', 's', 'h']);
      await engine.deleteDocument(id);
      await engine.close();
      if (ended) {
        expect(at).toBeGreaterThan(5);
        return;
      }
    }
  }, 60_000);
});
