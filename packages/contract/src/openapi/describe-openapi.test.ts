import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { OperationMap } from '../operation.ts';
import { operations } from '../registry.ts';
import { describeOpenApi } from './describe-openapi.ts';

const info = { title: 'Test', version: '1.2.3', description: 'Of a test.' };

const Tag = z.object({ key: z.string(), weight: z.number().default(1) }).meta({ id: 'Tag' });
/** The same as input and output, but for what it refers to. */
const Labelled = z.strictObject({ label: Tag }).meta({ id: 'Labelled' });
const map = {
  createThing: {
    method: 'POST',
    path: '/v1/things/{thingId}',
    summary: 'Create a thing',
    tag: 'things',
    permission: 'case.manage',
    params: z.strictObject({ thingId: z.int().describe('Its id.') }),
    query: z.strictObject({ limit: z.int().max(10).default(5), state: z.enum(['a', 'b']).optional() }),
    body: z.strictObject({ tags: z.array(Tag), labelled: Labelled }),
    success: { status: 201, body: z.object({ tags: z.array(Tag), labelled: Labelled }) },
    errors: ['case_name_taken', 'conflict_retries_exhausted'],
  },
} as const satisfies OperationMap;

describe('the OpenAPI document', () => {
  it('of Casebound is valid by the schema of OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(JSON.parse(JSON.stringify(describeOpenApi(operations, info))));
    expect(result).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
  });

  it('is the same for the same registry', () => {
    expect(JSON.stringify(describeOpenApi(operations, info))).toBe(JSON.stringify(describeOpenApi(operations, info)));
  });

  it('states parameters, body, success and permission of an operation', () => {
    const { paths } = describeOpenApi(map, info);
    expect(paths['/v1/things/{thingId}']?.['post']).toMatchObject({
      operationId: 'createThing',
      security: [{ bearer: [] }],
      'x-casebound-permission': 'case.manage',
      parameters: [
        { name: 'thingId', in: 'path', required: true, description: 'Its id.', schema: { type: 'integer' } },
        { name: 'limit', in: 'query', required: false, schema: { type: 'integer', maximum: 10, default: 5 } },
        { name: 'state', in: 'query', required: false, schema: { enum: ['a', 'b'] } },
        { $ref: '#/components/parameters/X-Request-Id' },
      ],
      requestBody: { required: true, content: { 'application/json': { schema: { additionalProperties: false } } } },
      responses: { '201': { description: 'Success.' } },
    });
  });

  it('states an answer for each status, with an example of each code', () => {
    const post = z
      .object({ responses: z.record(z.string(), z.unknown()) })
      .parse(describeOpenApi(map, info).paths['/v1/things/{thingId}']?.['post']);
    expect(Object.keys(post.responses)).toEqual([
      '201',
      '400',
      '401',
      '403',
      '408',
      '409',
      '413',
      '414',
      '415',
      '431',
      '500',
      '503',
    ]);
    expect(post.responses['401']).toEqual({ $ref: '#/components/responses/unauthenticated' });
    expect(post.responses['409']).toMatchObject({
      content: {
        'application/problem+json': {
          schema: { $ref: '#/components/schemas/Problem' },
          examples: { case_name_taken: { value: { status: 409, type: 'urn:casebound:error:case_name_taken' } } },
        },
      },
    });
    expect(JSON.stringify(post.responses['503'])).toContain('conflict_retries_exhausted');
  });

  it('leaves answers open to new members, and states a shape that differs as input under its own name', () => {
    const { schemas } = describeOpenApi(map, info).components;
    expect(schemas?.['Tag']).toMatchObject({ required: ['key', 'weight'] });
    expect(schemas?.['Tag']).not.toHaveProperty('additionalProperties');
    expect(schemas?.['TagInput']).toMatchObject({ required: ['key'] });
    expect(JSON.stringify(schemas?.['Labelled'])).toContain('"#/components/schemas/Tag"');
    expect(JSON.stringify(schemas?.['LabelledInput'])).toContain('"#/components/schemas/TagInput"');
  });

  it('refuses two shapes under one id', () => {
    const Other = z.object({ other: z.string() }).meta({ id: 'Tag' });
    const other = { ...map.createThing, path: '/v1/others/{thingId}', success: { status: 200, body: Other } } as const;
    expect(() => describeOpenApi({ ...map, other }, info)).toThrow(/id/i);
  });

  it('asks for no token where none is needed', () => {
    const { paths } = describeOpenApi(operations, info);
    expect(paths['/health/live']?.['get']).toMatchObject({ security: [] });
    expect(JSON.stringify(paths['/health/live'])).not.toContain('unauthenticated');
  });
});
