import { describe, expectTypeOf, it } from 'vitest';
import { createClient } from './create-client.ts';
import type { Client, Fetch } from './create-client.ts';
import type { Case } from '../operations/cases.ts';

describe('the types of the client', () => {
  it('takes the global fetch and AbortSignal.timeout as they are', () => {
    expectTypeOf(fetch).toExtend<Fetch>();
    createClient({ baseUrl: 'http://127.0.0.1:1', fetch, timeoutSignal: AbortSignal.timeout });
  });

  it('asks for what an operation needs, and for no more', () => {
    expectTypeOf<Parameters<Client['listCases']>[0]>().toExtend<{ query?: unknown } | undefined>();
    expectTypeOf<[]>().toExtend<Parameters<Client['healthLive']>>();
    expectTypeOf<[]>().toExtend<Parameters<Client['listCases']>>();
    expectTypeOf<[]>().not.toExtend<Parameters<Client['createCase']>>();
    expectTypeOf<[]>().not.toExtend<Parameters<Client['getCase']>>();
    expectTypeOf<[{ params: { caseId: number } }]>().toExtend<Parameters<Client['getCase']>>();
    expectTypeOf<[{ params: { caseId: boolean } }]>().not.toExtend<Parameters<Client['getCase']>>();
  });

  it('answers what the operation declares', () => {
    expectTypeOf<ReturnType<Client['getCase']>>().resolves.toEqualTypeOf<Case>();
    expectTypeOf<ReturnType<Client['deleteCase']>>().resolves.toEqualTypeOf<void>();
    expectTypeOf<ReturnType<Client['getMetrics']>>().resolves.toEqualTypeOf<string>();
  });
});
