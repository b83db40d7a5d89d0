import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { CaseboundError, hasCode } from '@casebound/contract';
import { createCircuitBreaker } from '@casebound/messaging';
import { attachmentId } from '@casebound/pdf';
import { createFakeClock } from '@casebound/test-kit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics } from '../../../metrics/create-metrics.ts';
import { comment, highlight, note, redaction, samplePng, sticker } from '../../testing/sample-annotations.ts';
import { samplePdf } from '../../testing/sample-pdf.ts';
import { startNutrientServer, type NutrientFault, type NutrientServer } from '../../testing/nutrient-server.ts';
import {
  errorOf,
  type FailFirst,
  failFirstOf,
  noBreaker,
  nutrientCase,
  nutrientId,
  openNutrient,
} from '../../testing/open-nutrient.ts';

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

const failFirst = (...own: FailFirst): void => failFirstOf(server, ...own);

describe('the token', () => {
  it('is looked up once by calls that come at once, and sent as the engine wants it', async () => {
    const { engine, lookUps } = openNutrient(server);
    await Promise.all(Array.from({ length: 10 }, async () => engine.findDocument(newId())));
    expect(lookUps).toEqual({ all: 1, anew: 0 });
    expect(server.requests[0]?.headers.authorization).toBe('Token token="secret-token"');
    await engine.close();
  });

  it('that was refused is looked up anew once for all calls that it was refused for', async () => {
    server.tokens = ['new-token'];
    const { engine, lookUps } = openNutrient(server, { tokens: ['old-token', 'new-token'] });
    const found = await Promise.all(Array.from({ length: 8 }, async () => engine.findDocument(newId())));
    expect(found).toEqual(Array.from({ length: 8 }, () => undefined));
    expect(lookUps).toEqual({ all: 2, anew: 1 });
    await engine.close();
  });

  it('that is refused even so is a matter of configuration', async () => {
    server.tokens = ['another'];
    const { engine } = openNutrient(server, { tokens: ['old-token', 'new-token'] });
    const error = await errorOf(engine.findDocument(newId()));
    expect(error.code).toBe('document_engine_denied');
    expect(error.family).toBe('permanent');
    expect(server.requests).toHaveLength(2);
    await engine.close();
  });
});

describe('an engine that fails for a while', () => {
  const kinds: readonly [string, NutrientFault][] = [
    ['500, as when it is overloaded', { kind: 'status', status: 500 }],
    ['503', { kind: 'status', status: 503 }],
    ['429', { kind: 'status', status: 429 }],
    ['a dropped connection', { kind: 'drop' }],
    ['a lost answer', { kind: 'loseAnswer' }],
    ['a connection cut within the body', { kind: 'cut', after: 5 }],
    ['a body that ends too early', { kind: 'shorten', after: 5 }],
  ];
  it.each(kinds)('is asked again: %s', async (_name, fault) => {
    const { engine, pauses } = openNutrient(server, { settings: { maxAttempts: 3 } });
    const id = newId();
    await engine.putDocument(id, pdf);
    failFirst(2, fault);
    expect((await engine.pageSizes(id)).length).toBe(2);
    expect(pauses).toHaveLength(2);
    failFirst(3, fault);
    const error = await errorOf(engine.pageSizes(id));
    expect(error.code).toBe('document_engine_unavailable');
    expect(error.family).toBe('recoverable');
    await engine.close();
  });

  it('is waited for as long as it says, and not in this process when that is long', async () => {
    const { engine, pauses } = openNutrient(server);
    failFirst(1, { kind: 'status', status: 429, retryAfter: '2' });
    await engine.findDocument(newId());
    expect(pauses[0]).toBeGreaterThanOrEqual(2_000);
    failFirst(1, { kind: 'status', status: 503, retryAfter: '60' });
    const error = await errorOf(engine.findDocument(newId()));
    expect(error.retryAfterSeconds).toBe(60);
    expect(pauses).toHaveLength(1);
    await engine.close();
  });

  it('is asked again after pauses that differ', async () => {
    const { engine, pauses } = openNutrient(server, { settings: { maxAttempts: 4, breakerThreshold: 1_000 } });
    server.fault = () => ({ kind: 'status', status: 503 });
    await Promise.allSettled(Array.from({ length: 1 }, async () => engine.findDocument(newId())));
    await errorOf(engine.probe());
    expect(new Set(pauses).size).toBe(pauses.length);
    for (const pause of pauses) expect(pause).toBeLessThan(10_000);
    await engine.close();
  });

  it('that says nothing is given up in time', async () => {
    const { engine } = openNutrient(server, { settings: { requestTimeoutMs: 100, maxAttempts: 1 } });
    server.fault = () => ({ kind: 'hang' });
    const error = await errorOf(engine.probe());
    expect(error.code).toBe('document_engine_unavailable');
    expect(error.message).toContain('100 ms');
    await engine.close();
  });

  it('that cannot be reached in time is given up before', async () => {
    // Takes the connection and never begins TLS.
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { engine } = openNutrient(server, {
      settings: { url: `https://127.0.0.1:${port}`, connectTimeoutMs: 100, requestTimeoutMs: 5_000, maxAttempts: 1 },
    });
    const error = await errorOf(engine.probe());
    expect(error.message).toContain('could not be reached within 100 ms');
    await engine.close();
    silent.close();
  });

  it('is not asked by more at once than it may be', async () => {
    const { engine } = openNutrient(server, { settings: { maxConnections: 3 } });
    server.fault = () => ({ kind: 'slow', ms: 10 });
    await Promise.all(Array.from({ length: 12 }, async () => engine.findDocument(newId())));
    expect(server.mostOpen).toBe(3);
    await engine.close();
  });
});

describe('closing', () => {
  it('ends what runs and refuses what comes', async () => {
    const { engine } = openNutrient(server);
    server.fault = () => ({ kind: 'hang' });
    const running = errorOf(engine.probe());
    await expect.poll(() => server.requests.length, { timeout: 10_000 }).toBe(1);
    await engine.close();
    expect((await running).family).toBe('recoverable');
    expect((await errorOf(engine.probe())).code).toBe('shutting_down');
  });
});

describe('the breaker', () => {
  it('opens after five failures, rejects at once, and lets one trial through when its time has come', async () => {
    const clock = createFakeClock();
    const breaker = createCircuitBreaker({ name: 'document-engine', clock });
    const { engine } = openNutrient(server, { settings: { maxAttempts: 1 }, dependencies: { breaker } });
    server.fault = () => ({ kind: 'status', status: 500 });
    for (let at = 0; at < 5; at += 1) expect((await errorOf(engine.probe())).code).toBe('document_engine_unavailable');
    expect(server.requests).toHaveLength(5);
    const rejected = await errorOf(engine.probe());
    expect(rejected.code).toBe('circuit_open');
    expect(rejected.retryAfterSeconds).toBe(30);
    expect(server.requests).toHaveLength(5);
    await clock.advance(30_000);
    server.fault = () => ({ kind: 'slow', ms: 20 });
    const outcomes = await Promise.allSettled([engine.probe(), engine.probe(), engine.probe()]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(server.requests).toHaveLength(6);
    await engine.probe();
    expect(breaker.state).toBe('closed');
    await engine.close();
  });

  it('is not moved by documents that are not there, refusals, or callers that leave', async () => {
    const breaker = createCircuitBreaker({ name: 'document-engine', clock: createFakeClock(), threshold: 2 });
    const { engine } = openNutrient(server, { dependencies: { breaker } });
    const id = newId();
    for (let at = 0; at < 4; at += 1) expect((await errorOf(engine.getPdf(id))).code).toBe('engine_document_not_found');
    server.fault = () => ({ kind: 'slow', ms: 200 });
    for (let at = 0; at < 4; at += 1) {
      const leaving = new AbortController();
      const reason = new Error('has left');
      setTimeout(() => leaving.abort(reason), 20);
      await expect(engine.getPdf(id, { signal: leaving.signal })).rejects.toBe(reason);
    }
    expect(breaker.state).toBe('closed');
    await engine.close();
  });
});

describe('answers that are none', () => {
  it.each<[string, NutrientFault]>([
    ['the page of a proxy', { kind: 'page' }],
    ['text', { kind: 'body', text: `${canary} is no answer` }],
    ['a line that is no record', { kind: 'body', text: `{"id":"a"}\n` }],
    ['a broken line before others', { kind: 'body', text: `{"id":"a","content":{"t":"${canary}\n{}\n` }],
  ])('are refused for good: %s', async (_name, fault) => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    server.fault = ({ path }) => (path.endsWith('/annotations') ? fault : undefined);
    const error = await errorOf(engine.listAnnotations(id));
    expect(error.code).toBe('document_engine_refused');
    expect(inspect(error)).not.toContain(canary);
    await engine.close();
  });

  it('are asked for again when the last line of a list breaks off', async () => {
    const { engine } = openNutrient(server);
    const id = newId();
    await engine.putDocument(id, pdf);
    await engine.createAnnotations(id, [note('a'), note('b'), note('c')]);
    failFirst(1, { kind: 'shorten', after: 700 }, (path) => path.endsWith('/annotations'));
    expect(await engine.listAnnotations(id)).toHaveLength(3);
    await engine.close();
  });

  it('are not read beyond their bounds', async () => {
    const { engine } = openNutrient(server, { dependencies: { limits: { pdf: 100, line: 50 } } });
    const id = newId();
    await engine.putDocument(id, pdf);
    expect((await errorOf(engine.getPdf(id))).message).toContain('100 bytes');
    await engine.createAnnotations(id, []);
    failFirst(1, { kind: 'body', text: 'x'.repeat(10_000) }, (path) => path.endsWith('/annotations'));
    expect((await errorOf(engine.listAnnotations(id))).message).toContain('50 bytes');
    await engine.close();
  });
});

describe('chaos', () => {
  it('of five failing calls in a hundred changes no result', async () => {
    let state = 12_345;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state / 0x80000000;
    };
    const faults: readonly NutrientFault[] = [
      { kind: 'drop' },
      { kind: 'loseAnswer' },
      { kind: 'cut', after: 1 },
      { kind: 'cut', after: 60 },
      { kind: 'status', status: 500 },
      { kind: 'status', status: 503 },
      { kind: 'status', status: 429, retryAfter: '1' },
      { kind: 'status', status: 502 },
      { kind: 'slow', ms: 15 },
    ];
    let failed = 0;
    server.fault = () => {
      if (random() >= 0.05) return undefined;
      failed += 1;
      return faults[Math.floor(random() * faults.length)];
    };
    const { engine } = openNutrient(server, { settings: { maxAttempts: 6 } });
    const bytes = samplePng(33);
    const round = async (number: number): Promise<void> => {
      const id = newId();
      expect(await engine.putDocument(id, pdf)).toMatchObject({ pageCount: 2 });
      const attached = await engine.putAttachment(id, { bytes, contentType: 'image/png' });
      expect(attached).toBe(attachmentId(bytes));
      const [made] = await engine.createAnnotations(id, [
        highlight('h', 1),
        note('n', `note ${number}`),
        sticker('s', attached),
        redaction('r', secretBox),
      ]);
      await engine.addComments(id, [comment('c1', 'h', 'one', 1), comment('c2', 'h', 'two', 1)]);
      const h = await engine.getAnnotation(id, 'h');
      expect(h.version).toBe(made?.version);
      await engine.updateAnnotations(id, [{ value: highlight('h', 1, [10, 10, 50, 10]), version: h.version }]);
      await engine.deleteComments(id, ['c1']);
      expect((await engine.listComments(id)).map(({ value }) => value.id)).toEqual(['c2']);
      await engine.applyRedactions(id);
      expect((await engine.pageText(id, 0)).text).not.toContain('SECRET');
      const json = await engine.exportInstantJson(id);
      expect(json.annotations.map((one) => one.id).toSorted()).toEqual(['h', 'n', 's']);
      expect(json.comments.map((one) => one.id)).toEqual(['c2']);
      const other = newId();
      await engine.putDocument(other, pdf);
      expect(await engine.importInstantJson(other, json)).toEqual({ annotations: 3, comments: 1 });
      expect((await engine.listAnnotations(other)).map(({ value }) => value)).toEqual(json.annotations);
      await engine.deleteAnnotations(other, [{ id: 'n' }]);
      expect(await engine.searchText(other, 'secret')).toHaveLength(1);
      expect((await engine.renderPage(other, 0, { dpi: 36 })).length).toBeGreaterThan(100);
      await engine.deleteDocument(other);
      await engine.deleteDocument(id);
    };
    for (let number = 0; number < 16; number += 4)
      await Promise.all([0, 1, 2, 3].map(async (at) => round(number + at)));
    expect(failed).toBeGreaterThan(20);
    server.fault = () => undefined;
    const left = [];
    for await (const page of engine.listDocuments(nutrientCase)) left.push(...page);
    for (const id of left) expect(server.documents.has(id)).toBe(true);
    await engine.close();
  }, 60_000);
});

describe('metrics', () => {
  it('count tries by what was asked and how they ended', async () => {
    const metrics = createMetrics();
    const { engine } = openNutrient(server, { dependencies: { metrics } });
    failFirst(1, { kind: 'status', status: 503 });
    await engine.findDocument(newId());
    const text = await metrics.render();
    const name = 'casebound_document_engine_request_seconds_count';
    expect(text).toContain(`${name}{operation="describe a document",outcome="document_engine_unavailable"} 1`);
    expect(text).toContain(`${name}{operation="describe a document",outcome="engine_document_not_found"} 1`);
    expect(text).toContain('casebound_document_engine_repeats_total{operation="describe a document"} 1');
    await engine.close();
  });
});

describe('secrets and texts', () => {
  it('are in no error, whatever goes wrong', async () => {
    const { engine } = openNutrient(server, { settings: { maxAttempts: 1 }, dependencies: { breaker: noBreaker } });
    const id = newId();
    await engine.putDocument(id, samplePdf([[canary]]));
    await engine.createAnnotations(id, [note('n', canary), highlight('h')]);
    const faults: readonly NutrientFault[] = [
      ...[400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 301].map((status): NutrientFault => ({
        kind: 'status',
        status,
        quote: `secret-token ${canary}`,
      })),
      { kind: 'page' },
      { kind: 'drop' },
      { kind: 'cut', after: 40 },
      { kind: 'body', text: `secret-token ${canary}` },
      { kind: 'body', text: `{"data":"secret-token ${canary}"}` },
    ];
    const calls: readonly (() => Promise<unknown>)[] = [
      async () => engine.putDocument(newId(), samplePdf([[canary, 'x']])),
      async () => engine.getPdf(id),
      async () => engine.pageText(id, 0),
      async () => engine.renderPage(id, 0),
      async () => engine.searchText(id, canary),
      async () => engine.listAnnotations(id),
      async () => engine.createAnnotations(id, [note('m', canary)]),
      async () => engine.addComments(id, [comment('c', 'h', canary)]),
      async () => engine.applyRedactions(id),
      async () => engine.probe(),
    ];
    let errors = 0;
    for (const fault of faults)
      for (const call of calls)
        for (const skipped of [0, 1, 2]) {
          let left = skipped;
          server.fault = () => ((left -= 1) >= 0 ? undefined : fault);
          const error = await call().then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          if (error === undefined) continue;
          errors += 1;
          expect(error).toBeInstanceOf(CaseboundError);
          const words = `${inspect(error, { depth: 9, showHidden: true })} ${error instanceof Error ? String(error.stack) : ''}`;
          expect(words).not.toContain(canary);
          expect(words).not.toContain('secret-token');
          expect(hasCode(error, 'internal')).toBe(false);
        }
    expect(errors).toBeGreaterThan(300);
    await engine.close();
  }, 60_000);
});
