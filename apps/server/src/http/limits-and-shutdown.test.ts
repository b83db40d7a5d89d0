import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { Problem } from '@casebound/contract';
import { describe, expect, it } from 'vitest';
import { rawRequest } from './testing/raw-request.ts';
import { adminToken, startTestServer } from './testing/start-test-server.ts';
import type { TestServer, TestServerOptions } from './testing/start-test-server.ts';

/** A scenario that runs until it is let go or aborted, and tells which. */
const createGate = () => {
  const state = { started: 0, aborted: [] as unknown[], release: (): void => undefined };
  const opened = new Promise<void>((resolve) => {
    state.release = resolve;
  });
  const run = async (signal: AbortSignal): Promise<{ done: boolean }> => {
    state.started += 1;
    await Promise.race([
      opened,
      new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          state.aborted.push(signal.reason);
          reject(new Error('stopped'));
        });
      }),
    ]);
    return { done: true };
  };
  return { state, run };
};

const until = async (condition: () => boolean): Promise<void> => {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries > 500) throw new Error('It did not come about.');
    await wait(10);
  }
};

const withServer = async (options: TestServerOptions, body: (t: TestServer) => Promise<void>): Promise<void> => {
  const t = await startTestServer(options);
  try {
    await body(t);
  } finally {
    await t.server.close(0);
  }
};

const codeOf = async (answer: Response): Promise<string> => Problem.parse(await answer.json()).code;
const call = async (t: TestServer, scenario: string, init: RequestInit = {}): Promise<Response> =>
  t.fetch(`/v1/scenarios/${scenario}`, { method: 'POST', ...init });

describe('time', () => {
  it('an operation that takes too long is told to stop and answered 503', async () => {
    const gate = createGate();
    await withServer({ config: { requestTimeoutMs: 120 }, scenarios: { gate: gate.run } }, async (t) => {
      const answer = await call(t, 'gate');
      expect([answer.status, await codeOf(answer)]).toEqual([503, 'operation_timeout']);
      expect(gate.state.aborted).toMatchObject([{ code: 'operation_timeout' }]);
    });
  });

  it('an operation that does not listen is answered for, and counts as long as it runs', async () => {
    const { promise, resolve: finish } = Promise.withResolvers<{ done: boolean }>();
    const deaf = async (): Promise<{ done: boolean }> => promise;
    await withServer({ config: { requestTimeoutMs: 120 }, scenarios: { deaf } }, async (t) => {
      expect(await codeOf(await call(t, 'deaf'))).toBe('operation_timeout');
      expect(await t.metrics()).toContain('casebound_http_requests_in_flight 1');
      finish({ done: true });
      await expect.poll(async () => t.metrics(), { timeout: 5000 }).toContain('casebound_http_requests_in_flight 0');
    });
  });

  it('an operation whose client hangs up is told to stop', async () => {
    const gate = createGate();
    await withServer({ scenarios: { gate: gate.run } }, async (t) => {
      const controller = new AbortController();
      const answer = call(t, 'gate', { signal: controller.signal });
      await until(() => gate.state.started === 1);
      controller.abort();
      await expect(answer).rejects.toThrow(/abort/i);
      await until(() => gate.state.aborted.length === 1);
      expect(gate.state.aborted).toMatchObject([{ code: 'request_aborted' }]);
      await until(() => t.log.some(({ status }) => status === 499));
      expect(t.log.filter(({ level }) => level === 'error')).toEqual([]);
    });
  });

  it('a silent connection ends, with a word when a request was begun', async () => {
    await withServer({ config: { headersTimeoutMs: 150, keepAliveTimeoutMs: 100 } }, async (t) => {
      const silent = await rawRequest(t.port, '');
      expect(silent.milliseconds).toBeLessThan(8000);
      const begun = await rawRequest(t.port, 'GET /ping HT');
      expect(begun.status).toBe(408);
    });
  });
});

describe('numbers', () => {
  it('more requests than allowed are answered 503 with Retry-After; health checks are not counted out', async () => {
    const gate = createGate();
    await withServer({ config: { maxConcurrentRequests: 2 }, scenarios: { gate: gate.run } }, async (t) => {
      const running = [call(t, 'gate'), call(t, 'gate')];
      await until(() => gate.state.started === 2);
      const refused = await t.fetch('/v1/text');
      expect([refused.status, refused.headers.get('retry-after'), await codeOf(refused)]).toEqual([
        503,
        '1',
        'overloaded',
      ]);
      expect((await t.fetch('/ping')).status).toBe(200);
      gate.state.release();
      expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200]);
      expect((await t.fetch('/v1/text')).status).toBe(200);
    });
  });

  it('more connections than allowed are not taken', async () => {
    await withServer({ config: { maxConnections: 1 } }, async (t) => {
      const { connect } = await import('node:net');
      const first = connect(t.port, '127.0.0.1');
      await new Promise((resolve) => {
        first.once('connect', resolve);
      });
      await wait(20);
      const second = await rawRequest(t.port, 'GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      expect(second.text).toBe('');
      first.destroy();
    });
  });
});

describe('closing', () => {
  it('says not ready first, then lets what runs finish, then is gone', async () => {
    const gate = createGate();
    const t = await startTestServer({ config: { drainDelayMs: 1500 }, scenarios: { gate: gate.run } });
    const running = call(t, 'gate');
    await until(() => gate.state.started === 1);
    const closed = t.server.close();
    const ready = await t.fetch('/ping');
    expect([ready.status, await codeOf(ready)]).toEqual([503, 'not_ready']);
    // While it drains it still serves.
    expect((await t.fetch('/v1/text')).status).toBe(200);
    await expect
      .poll(async () => t.fetch('/v1/text').then(() => 'served', String), { timeout: 10_000 })
      .toMatch(/fetch failed/);
    gate.state.release();
    const answer = await running;
    expect([answer.status, await answer.json()]).toEqual([200, { done: true }]);
    await closed;
    await expect(fetch(`${t.url}/ping`)).rejects.toThrow('fetch failed');
  });

  it('refuses what comes on a connection that is still open', async () => {
    const gate = createGate();
    const t = await startTestServer({ scenarios: { gate: gate.run } });
    const head = `Host: x\r\nAuthorization: Bearer ${adminToken}\r\n`;
    const pipelined = `POST /v1/scenarios/gate HTTP/1.1\r\n${head}Content-Length: 0\r\n\r\n`;
    const { connect } = await import('node:net');
    const socket = connect(t.port, '127.0.0.1');
    let received = '';
    socket.on('data', (chunk) => (received += chunk.toString()));
    socket.write(pipelined);
    await until(() => gate.state.started === 1);
    const closed = t.server.close();
    await wait(200);
    socket.write(`GET /v1/text HTTP/1.1\r\n${head}\r\n`);
    // Nothing tells when it has come: the answer waits for the one before.
    await wait(500);
    gate.state.release();
    await closed;
    await until(() => socket.closed);
    expect(received).toContain('HTTP/1.1 200 OK');
    expect(received).toContain('HTTP/1.1 503 Service Unavailable');
    expect(received).toContain('"code":"shutting_down"');
  });

  it('gives up what does not finish by the deadline, and says so to its client', async () => {
    const gate = createGate();
    const t = await startTestServer({ scenarios: { gate: gate.run } });
    const running = call(t, 'gate');
    await until(() => gate.state.started === 1);
    const started = performance.now();
    await t.server.close(100);
    expect(performance.now() - started).toBeLessThan(8000);
    const answer = await running;
    expect([answer.status, await codeOf(answer)]).toEqual([503, 'shutting_down']);
    expect(gate.state.aborted).toMatchObject([{ code: 'shutting_down' }]);
    expect(t.log).toContainEqual(expect.objectContaining({ level: 'warn', count: 1 }));
  });

  it('is not held up by an operation that never ends, nor by a client that never sends', async () => {
    const t = await startTestServer({ scenarios: { never: async () => new Promise(() => undefined) } });
    const running = call(t, 'never').catch(() => undefined);
    const silent = rawRequest(t.port, 'GET /ping HT');
    await wait(50);
    const started = performance.now();
    await t.server.close(50);
    expect(performance.now() - started).toBeLessThan(8000);
    await Promise.all([running, silent]);
  });

  it('twice is once', async () => {
    const t = await startTestServer();
    await Promise.all([t.server.close(), t.server.close()]);
    await t.server.close();
    await expect(fetch(`${t.url}/ping`)).rejects.toThrow('fetch failed');
  });
});

describe('listening', () => {
  it('on a port that is taken says which', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => {
      holder.listen(0, '127.0.0.1', resolve);
    });
    const { port } = holder.address() as AddressInfo;
    await expect(startTestServer({ config: { port } })).rejects.toMatchObject({
      code: 'port_in_use',
      message: `Port ${port} of 127.0.0.1 is taken by another program.`,
    });
    await new Promise((resolve) => {
      holder.close(resolve);
    });
  });

  it('on an address that this machine does not have says so', async () => {
    await expect(startTestServer({ config: { host: '192.0.2.1' } })).rejects.toMatchObject({
      code: 'config_invalid',
      message: 'http.host "192.0.2.1": this machine has no such address.',
    });
  });

  it('on all addresses tells one that can be reached', async () => {
    const t = await startTestServer({ config: { host: '0.0.0.0' } });
    expect(t.url).toBe(`http://127.0.0.1:${t.port}`);
    expect(await t.client.ping()).toEqual({ ready: true });
    await t.server.close();
  });
});
