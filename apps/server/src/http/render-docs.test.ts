import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createDocuments } from './documents.ts';
import { renderDocs } from './render-docs.ts';
import { startTestServer, testOperations } from './testing/start-test-server.ts';
import type { TestServer } from './testing/start-test-server.ts';

let t: TestServer;
beforeAll(async () => {
  t = await startTestServer();
});
afterAll(async () => t.server.close());

describe('/docs', () => {
  it('shows every operation with method, path, permission and errors', async () => {
    const answer = await t.fetch('/docs');
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const html = await answer.text();
    for (const [name, { method, path }] of Object.entries(testOperations)) {
      expect(html).toContain(`<article id="${name}">`);
      expect(html).toContain(`<span class="method">${method}</span><code>${path}</code>`);
    }
    expect(html).toContain('permission <code>case.manage</code>');
    expect(html).toContain('<code>conflict_retries_exhausted</code>');
  });

  it('loads nothing and runs nothing, and its policy allows its own style alone', async () => {
    const answer = await t.fetch('/docs');
    const html = await answer.text();
    expect(html).not.toMatch(/<script|<link|<img|@import|url\(|https?:\/\/| on\w+=/);
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; base-uri 'none'; form-action 'none'/,
    );
    const style = /<style>([^]*?)<\/style>/.exec(html)?.[1] ?? '';
    const digest = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(style))).toString('base64');
    expect(policy).toContain(`'sha256-${digest}'`);
  });

  it('escapes all that the registry says', () => {
    const evil = '"><script>alert(1)</script>`<b>`\'';
    const map = {
      evil: {
        ...testOperations.createItem,
        summary: evil,
        description: evil,
        tag: evil,
        query: z.strictObject({ [evil]: z.string().describe(evil).optional() }),
      },
    };
    const html = renderDocs(map, evil);
    expect(html).not.toContain('<script');
    expect(html).not.toContain('<b>');
    expect(html.match(/&lt;script&gt;/g)?.length).toBeGreaterThan(5);
  });
});

describe('/openapi.json', () => {
  it('is the document of the operations', async () => {
    const answer = await t.fetch('/openapi.json');
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    const document = z
      .object({ openapi: z.string(), paths: z.record(z.string(), z.unknown()) })
      .parse(await answer.json());
    expect(Object.keys(document.paths).toSorted()).toEqual(
      [...new Set(Object.values(testOperations).map(({ path }) => path))].toSorted(),
    );
    expect(createDocuments(testOperations, '9.9.9')[0]?.path).toBe('/openapi.json');
  });
});
