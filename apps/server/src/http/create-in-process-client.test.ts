import type { Actor } from '@casebound/contract';
import { describe, expect, it } from 'vitest';
import { createInProcessClient } from './create-in-process-client.ts';
import { handlersOf, testOperations } from './testing/start-test-server.ts';

const readiness = { report: async () => ({ ready: true, checks: [] }), beginShutdown: () => undefined };
const clientOf = (actor: Actor) => createInProcessClient(testOperations, handlersOf(readiness, {}), actor);
const client = clientOf({ kind: 'system', reason: 'test' });

describe('the client in process', () => {
  it('answers as the one over HTTP does', async () => {
    expect(await client.createItem({ body: { name: 'ab', tags: [{ key: 'k' }] } })).toEqual({
      id: 1,
      name: 'ab',
      tags: ['k'],
    });
    expect(await client.getItem({ params: { itemId: 'abc' }, query: { depth: '1' } })).toEqual({
      id: 3,
      name: 'abc',
      tags: ['1'],
    });
    expect(await client.getItem({ params: { itemId: 'abc' } })).toEqual({ id: 3, name: 'abc', tags: [] });
    expect(await client.readText()).toBe('text\u{1F4DA}');
    expect(await client.deleteItem({ params: { itemId: 'x' } })).toBeUndefined();
  });

  it('fails as the one over HTTP does', async () => {
    await expect(client.createItem({ body: { name: '' } })).rejects.toMatchObject({
      code: 'validation_failed',
      errors: [{ path: '$.name' }],
    });
    await expect(client.createItem({ body: { name: 'taken' } })).rejects.toMatchObject({ code: 'case_name_taken' });
  });

  it('asks for permission as the one over HTTP does', async () => {
    await expect(clientOf({ kind: 'anonymous' }).readText()).rejects.toMatchObject({ code: 'forbidden' });
    expect(await clientOf({ kind: 'anonymous' }).ping()).toEqual({ ready: true });
  });
});
