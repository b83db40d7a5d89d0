import { CaseboundError, Problem } from '@casebound/contract';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCredentials } from './authenticate-request.ts';
import { adminToken, readerToken, startTestServer } from './testing/start-test-server.ts';
import type { TestServer } from './testing/start-test-server.ts';

const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

describe('who may call', () => {
  let t: TestServer;
  beforeAll(async () => {
    t = await startTestServer();
  });
  afterAll(async () => t.server.close());
  const status = async (path: string, authorization: string | undefined, method = 'GET') => {
    const answer = await t.fetch(path, {
      token: null,
      method,
      headers: authorization === undefined ? {} : { authorization },
    });
    await answer.arrayBuffer();
    return { status: answer.status, challenge: answer.headers.get('www-authenticate') };
  };

  it.each([
    ['none', undefined],
    ['empty', 'Bearer'],
    ['wrong', 'Bearer wrong'],
    ['nearly right', `Bearer ${adminToken}x`],
    ['shorter', `Bearer ${adminToken.slice(0, -1)}`],
    ['two', `Bearer ${adminToken} ${adminToken}`],
    ['of an unknown scheme', `Digest ${adminToken}`],
    ['bare', adminToken],
    ['in Basic, where that is not taken', basic('x', adminToken)],
    ['with odd characters', 'Bearer töken'.replace('ö', 'o"')],
    ['too long', `Bearer ${'x'.repeat(2000)}`],
  ])('a token that is %s is 401 with a challenge', async (_name, authorization) => {
    const answer = await status('/v1/text', authorization);
    expect(answer.status).toBe(401);
    expect(answer.challenge).toMatch(/^Bearer realm="casebound"/);
  });

  it('a token that was sent but is not valid is called so', async () => {
    expect((await status('/v1/text', undefined)).challenge).not.toContain('error=');
    expect((await status('/v1/text', 'Bearer wrong')).challenge).toContain('error="invalid_token"');
  });

  it('the scheme may be written in any case', async () => {
    expect((await status('/v1/text', `bEARER ${adminToken}`)).status).toBe(200);
  });

  it('public operations ask for no token and mind no wrong one', async () => {
    expect((await status('/ping', undefined)).status).toBe(200);
    expect((await status('/ping', 'Bearer wrong')).status).toBe(200);
  });

  it('an account without the permission is 403, before its input is looked at', async () => {
    const answer = await t.fetch('/v1/items', {
      method: 'POST',
      token: readerToken,
      body: '{',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(403);
    expect(Problem.parse(await answer.json())).toMatchObject({
      code: 'forbidden',
      detail: 'The operation createItem needs the permission case.manage, which this account does not have.',
    });
    expect((await status('/v1/items/a', `Bearer ${readerToken}`)).status).toBe(200);
  });

  it('unknown addresses are not told to strangers', async () => {
    expect((await status('/v1/nothing', undefined)).status).toBe(401);
    expect((await status('/v1/nothing', `Bearer ${readerToken}`)).status).toBe(404);
  });

  it.each(['/docs', '/openapi.json'])('%s takes any account, from a browser too', async (path) => {
    const stranger = await status(path, undefined);
    expect(stranger.status).toBe(401);
    expect(stranger.challenge).toMatch(/^Basic realm="casebound", charset="UTF-8", Bearer/);
    expect((await status(path, `Bearer ${readerToken}`)).status).toBe(200);
    expect((await status(path, basic('anyone', readerToken))).status).toBe(200);
    expect((await status(path, basic('', readerToken))).status).toBe(200);
    expect((await status(path, basic(readerToken, ''))).status).toBe(401);
    expect((await status(path, basic('anyone', 'wrong'))).status).toBe(401);
    expect((await status(path, 'Basic !!!')).status).toBe(401);
    expect((await status(path, `Basic ${Buffer.from('nocolon').toString('base64')}`)).status).toBe(401);
  });
});

describe('when it cannot be found out who calls', () => {
  it('the answer is why, not 401', async () => {
    const t = await startTestServer({
      authenticate: async () => {
        throw new CaseboundError('database_unreachable', 'The database does not answer.');
      },
    });
    const answer = await t.fetch('/v1/text');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(Problem.parse(await answer.json()).code).toBe('database_unreachable');
    await t.server.close();
  });

  it('and it may not take for ever', async () => {
    const t = await startTestServer({
      config: { requestTimeoutMs: 100 },
      authenticate: async () => new Promise(() => undefined),
    });
    const answer = await t.fetch('/v1/text');
    expect(Problem.parse(await answer.json()).code).toBe('operation_timeout');
    await t.server.close(0);
  });
});

describe('reading the header', () => {
  it('finds the token of Bearer and the password of Basic, colons included', () => {
    expect(readCredentials('Bearer abc', false).token).toBe('abc');
    expect(readCredentials(basic('u', 'abc'), true).token).toBe('abc');
    expect(readCredentials(basic('u', 'a:b'), true).token).toBeUndefined();
    expect(readCredentials(basic('u', 'abc'), false).token).toBeUndefined();
  });
});
