import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Operation } from './operation.ts';
import { operations } from './registry.ts';
import { checkRegistry } from './registry-check.ts';

const sound: Operation = {
  method: 'POST',
  path: '/v1/things/{thingId}',
  summary: 'Change a thing',
  tag: 'things',
  permission: 'case.read',
  params: z.strictObject({ thingId: z.string() }),
  query: z.strictObject({ limit: z.string().optional() }),
  body: z.strictObject({ name: z.string() }),
  success: { status: 200, body: z.object({ name: z.string() }) },
  errors: ['case_not_found'],
};

const problemsOf = (change: Record<string, unknown>): string[] =>
  // What an untyped or a careless author may write.
  checkRegistry({ change: { ...sound, ...change } });

describe('the check of the registry', () => {
  it('finds nothing wrong with the operations of Casebound', () => {
    expect(checkRegistry(operations)).toEqual([]);
    expect(checkRegistry({ sound })).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no permission', { permission: undefined }, 'it names no permission; state who may call it'],
    ['an unknown permission', { permission: 'root' }, 'it names no permission; state who may call it'],
    ['an unknown method', { method: 'GRAB' }, 'its method GRAB is not one of GET, POST, PUT, PATCH, DELETE'],
    ['a path parameter without schema', { params: undefined }, 'its path has {thingId}, its params do not'],
    [
      'a schema without path parameter',
      { params: z.strictObject({ thingId: z.string(), otherId: z.string() }) },
      'its params have otherId, its path does not',
    ],
    [
      'an optional path parameter',
      { params: z.strictObject({ thingId: z.string().optional() }) },
      'its path parameter thingId must not be optional',
    ],
    ['a path parameter twice', { path: '/v1/{thingId}/{thingId}' }, 'its path has {thingId} twice'],
    ['a path that is none', { path: '/v1/Things/{thingId}/' }, 'its path /v1/Things/{thingId}/ is not well-formed'],
    ['a reserved path', { path: '/docs', params: undefined }, 'its path /docs is reserved'],
    ['no summary', { summary: ' ' }, 'it has no summary'],
    ['no tag', { tag: '' }, 'it has no tag'],
    ['GET with a body', { method: 'GET' }, 'it is a GET with a body'],
    ['an unknown error code', { errors: ['nonsense'] }, 'its error code nonsense is not in the error table'],
    [
      'an error code that all have',
      { errors: ['internal'] },
      'its error code internal is one that every operation has',
    ],
    [
      'an error code twice',
      { errors: ['case_not_found', 'case_not_found'] },
      'it names the error code case_not_found twice',
    ],
    ['a body that drops members', { body: z.object({}) }, 'its body takes in unknown members at #; use z.strictObject'],
    [
      'a nested body that drops members',
      { body: z.strictObject({ items: z.array(z.object({ a: z.string() })) }) },
      'its body takes in unknown members at #/properties/items/items; use z.strictObject',
    ],
    [
      'a query that drops members',
      { query: z.object({}) },
      'its query takes in unknown members at #; use z.strictObject',
    ],
    [
      'a success that JSON cannot say',
      { success: { status: 200, body: z.bigint() } },
      'its success body cannot be stated as JSON Schema: BigInt cannot be represented in JSON Schema',
    ],
    ['a content type that is none', { success: { status: 200, contentType: 'text' } }, 'its content type is not one'],
  ])('finds %s', (_name, change, problem) => {
    expect(problemsOf(change)).toEqual([`Operation change: ${problem}.`]);
  });

  it('finds a name that is no name', () => {
    expect(checkRegistry({ 'Bad name': sound })).toEqual(['Operation Bad name: its name is not in lowerCamelCase.']);
  });

  it('finds two operations for one request, whatever their parameters are called', () => {
    const other = { ...sound, path: '/v1/things/{id}', params: z.strictObject({ id: z.string() }) } as const;
    expect(checkRegistry({ sound, other })).toEqual(['Operations sound and other: both are POST /v1/things/{}.']);
    expect(checkRegistry({ sound, other: { ...other, method: 'PUT' } })).toEqual([]);
  });

  it('lists all that is wrong, of all operations', () => {
    const a = { ...sound, summary: '', tag: '' };
    expect(checkRegistry({ a, b: { ...sound, method: 'PUT', summary: '' } })).toHaveLength(3);
  });
});
