/** What a registry of operations must keep that its types cannot say. A server refuses to start on one that does not. */
import type { z } from 'zod';
import { permissions } from './actor.ts';
import { isErrorCode } from './problem.ts';
import { sharedErrorCodes } from './operation.ts';
import type { Operation, OperationMap } from './operation.ts';
import { isRequired, jsonSchemaOf } from './openapi/json-schema.ts';

const methods: readonly string[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const pathShape = /^(\/([a-z0-9][a-z0-9.-]*|\{[a-z][A-Za-z0-9]*\}))+$/;
/** Served beside the operations. */
const reservedPaths: readonly string[] = ['/docs', '/openapi.json'];

/** Names of the parameters in a path, in order. */
export const pathParameters = (path: string): string[] =>
  [...path.matchAll(/\{([^}]*)\}/g)].map((match) => match[1] ?? '');

/** Paths, within the schema, of the objects that would take in members they do not name. */
const openObjects = (schema: unknown, at: string): string[] => {
  if (typeof schema !== 'object' || schema === null) return [];
  const open = 'properties' in schema && !('additionalProperties' in schema) ? [at] : [];
  return [...open, ...Object.entries(schema).flatMap(([key, member]) => openObjects(member, `${at}/${key}`))];
};

const schemaProblems = (part: string, schema: z.ZodType, io: 'input' | 'output'): string[] => {
  try {
    const json = jsonSchemaOf(schema, io);
    const open = io === 'input' ? openObjects(json, '#') : [];
    return open.map((at) => `its ${part} takes in unknown members at ${at}; use z.strictObject`);
  } catch (error) {
    return [`its ${part} cannot be stated as JSON Schema: ${error instanceof Error ? error.message : 'unknown cause'}`];
  }
};

const parameterProblems = (operation: Operation): string[] => {
  const inPath = pathParameters(operation.path);
  const declared = Object.keys(operation.params?.shape ?? {});
  return [
    ...inPath.filter((name) => !declared.includes(name)).map((name) => `its path has {${name}}, its params do not`),
    ...declared.filter((name) => !inPath.includes(name)).map((name) => `its params have ${name}, its path does not`),
    ...inPath.filter((name, at) => inPath.indexOf(name) !== at).map((name) => `its path has {${name}} twice`),
    ...Object.entries(operation.params?.shape ?? {})
      .filter(([, schema]) => !isRequired(schema))
      .map(([name]) => `its path parameter ${name} must not be optional`),
  ];
};

const errorProblems = (operation: Operation): string[] => {
  const shared: readonly string[] = sharedErrorCodes;
  const codes: readonly string[] = operation.errors;
  return codes.flatMap((code, at) => {
    if (!isErrorCode(code)) return [`its error code ${code} is not in the error table`];
    if (shared.includes(code)) return [`its error code ${code} is one that every operation has`];
    if (codes.indexOf(code) !== at) return [`it names the error code ${code} twice`];
    return [];
  });
};

const successProblems = (operation: Operation): string[] => {
  const { success } = operation;
  if ('body' in success) return schemaProblems('success body', success.body, 'output');
  if ('contentType' in success && !/^[a-z]+\/\S/.test(success.contentType)) return ['its content type is not one'];
  return [];
};

const operationProblems = (name: string, operation: Operation): string[] => {
  const known: readonly string[] = permissions;
  return [
    ...(/^[a-z][A-Za-z0-9]*$/.test(name) ? [] : ['its name is not in lowerCamelCase']),
    ...(known.includes(operation.permission) ? [] : ['it names no permission; state who may call it']),
    ...(methods.includes(operation.method)
      ? []
      : [`its method ${operation.method} is not one of ${methods.join(', ')}`]),
    ...(pathShape.test(operation.path) ? [] : [`its path ${operation.path} is not well-formed`]),
    ...(reservedPaths.includes(operation.path) ? [`its path ${operation.path} is reserved`] : []),
    ...(operation.summary.trim() === '' ? ['it has no summary'] : []),
    ...(operation.tag.trim() === '' ? ['it has no tag'] : []),
    ...(operation.method === 'GET' && operation.body !== undefined ? ['it is a GET with a body'] : []),
    ...parameterProblems(operation),
    ...(['params', 'query', 'body'] as const).flatMap((part) => {
      const schema = operation[part];
      return schema === undefined ? [] : schemaProblems(part, schema, 'input');
    }),
    ...successProblems(operation),
    ...errorProblems(operation),
  ];
};

/** All that is wrong with the operations, one sentence each; empty when they are sound. */
export const checkRegistry = (operations: OperationMap): string[] => {
  const problems = Object.entries(operations).flatMap(([name, operation]) =>
    operationProblems(name, operation).map((problem) => `Operation ${name}: ${problem}.`),
  );
  const routes = new Map<string, string>();
  for (const [name, operation] of Object.entries(operations)) {
    const route = `${operation.method} ${operation.path.replaceAll(/\{[^}]*\}/g, '{}')}`;
    const other = routes.get(route);
    if (other === undefined) routes.set(route, name);
    else problems.push(`Operations ${other} and ${name}: both are ${route}.`);
  }
  return problems;
};
