/**
 * `/docs`: all operations on one page, from the registry, to be read without scripts and without the network.
 *
 * All text passes `escapeHtml`, including what the registry says.
 */
import { errorTable, isRequired, jsonSchemaOf, sharedErrorCodes, successKind } from '@casebound/contract';
import type { ErrorCode, JsonSchema, Operation, OperationMap } from '@casebound/contract';
import type { z } from 'zod';
import { escapeHtml } from './escape-html.ts';

export const docsStyle = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; text-transform: capitalize; }
article { border: 1px solid var(--line); border-radius: 6px; margin: 1.2rem 0; padding: .8rem 1.2rem; }
article h3 { margin: 0 0 .3rem; font-size: 1.05rem; } h4 { margin: 1rem 0 .2rem; font-size: .9rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; } pre { background: var(--soft); padding: .7rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
.method { display: inline-block; min-width: 4rem; font-weight: 600; } .quiet { opacity: .75; font-size: .92rem; }
nav ul { columns: 2; padding-left: 1.2rem; }
`;

const code = (text: string): string => `<code>${escapeHtml(text)}</code>`;

/** Text of the registry, in which backquotes mark code. */
const prose = (text: string): string => escapeHtml(text).replaceAll(/`([^`]*)`/g, '<code>$1</code>');

const rangeText = (schema: JsonSchema): string => {
  const least = schema.minimum ?? schema.minLength;
  const most = schema.maximum ?? schema.maxLength;
  if (most === Number.MAX_SAFE_INTEGER) return least === undefined ? '' : ` from ${least}`;
  if (least !== undefined && most !== undefined) return `, ${least} to ${most}`;
  if (least !== undefined) return ` from ${least}`;
  return most === undefined ? '' : ` up to ${most}`;
};

const typeText = (schema: JsonSchema): string => {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const type = Array.isArray(schema.type) ? schema.type.join(' or ') : (schema.type ?? 'any');
  const fallback = schema.default === undefined ? '' : `, ${JSON.stringify(schema.default)} if left out`;
  return `${type}${schema.format === undefined ? '' : ` (${schema.format})`}${rangeText(schema)}${fallback}`;
};

const memberRow = (name: string, schema: z.core.$ZodType, place: string): string => {
  const json = jsonSchemaOf(schema, 'output');
  const required = isRequired(schema) ? ', required' : '';
  return `<tr><td>${code(name)}</td><td>${place}${required}</td><td>${code(typeText(json))}</td><td>${prose(json.description ?? '')}</td></tr>`;
};

const parameterTable = (operation: Operation): string => {
  const rows = [
    ...Object.entries(operation.params?.shape ?? {}).map(([name, schema]) => memberRow(name, schema, 'path')),
    ...Object.entries(operation.query?.shape ?? {}).map(([name, schema]) => memberRow(name, schema, 'query')),
  ];
  if (rows.length === 0) return '';
  return `<h4>Parameters</h4><table><tr><th>name</th><th>where</th><th>type</th><th></th></tr>${rows.join('')}</table>`;
};

const schemaBlock = (title: string, schema: z.ZodType, io: 'input' | 'output'): string => {
  const { $schema: _dialect, ...json } = jsonSchemaOf(schema, io);
  return `<h4>${escapeHtml(title)}</h4><pre>${escapeHtml(JSON.stringify(json, undefined, 2))}</pre>`;
};

const successBlock = (operation: Operation): string => {
  const answer = successKind(operation.success);
  switch (answer.kind) {
    case 'json':
      return schemaBlock(`${answer.success.status}: JSON`, answer.success.body, 'output');
    case 'text':
      return `<h4>${answer.success.status}: ${code(answer.success.contentType)}</h4>`;
    case 'binary':
      return '<h4>200: the file; 206: the part that <code>Range</code> asks for</h4>';
    case 'empty':
      return `<h4>${answer.success.status}, without a body</h4>`;
  }
};

const errorRows = (codes: readonly ErrorCode[]): string =>
  codes
    .map((name) => {
      const { status, title, remedy } = errorTable[name];
      return `<tr><td>${status}</td><td>${code(name)}</td><td>${prose(title)} ${prose(remedy)}</td></tr>`;
    })
    .join('');

const errorTableOf = (codes: readonly ErrorCode[]): string =>
  codes.length === 0 ? '' : `<h4>Errors of its own</h4><table>${errorRows(codes)}</table>`;

const operationArticle = (name: string, operation: Operation): string => `<article id="${escapeHtml(name)}">
<h3><span class="method">${escapeHtml(operation.method)}</span>${code(operation.path)}</h3>
<div>${prose(operation.summary)}${operation.description === undefined ? '' : `. ${prose(operation.description)}`}</div>
<div class="quiet">${code(name)}, ${operation.permission === 'public' ? 'needs no token' : `permission ${code(operation.permission)}`}</div>
${parameterTable(operation)}${operation.body === undefined ? '' : schemaBlock('Body: JSON', operation.body, 'input')}
${successBlock(operation)}${errorTableOf(operation.errors)}
</article>`;

export const renderDocs = (operations: OperationMap, version: string): string => {
  const entries = Object.entries(operations);
  const tags = [...new Set(entries.map(([, operation]) => operation.tag))];
  const links = entries.map(
    ([name, { method, path }]) => `<li><a href="#${escapeHtml(name)}">${escapeHtml(`${method} ${path}`)}</a></li>`,
  );
  const sections = tags.map((tag) => {
    const articles = entries
      .filter(([, operation]) => operation.tag === tag)
      .map(([name, o]) => operationArticle(name, o));
    return `<section><h2>${escapeHtml(tag)}</h2>${articles.join('\n')}</section>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Casebound operations</title><style>${docsStyle}</style></head><body>
<h1>Casebound</h1><p class="quiet">Version ${escapeHtml(version)}. For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<p>Send <code>Authorization: Bearer &lt;token&gt;</code>. Bodies are JSON; a member that an operation does not know is refused.
Every answer has an <code>X-Request-Id</code>; errors are problem documents (RFC 9457) with a <code>code</code>.</p>
<nav><ul>${links.join('')}</ul></nav>
${sections.join('\n')}
<section><h2>Errors of every operation</h2><table>${errorRows(sharedErrorCodes)}</table></section>
</body></html>
`;
};
