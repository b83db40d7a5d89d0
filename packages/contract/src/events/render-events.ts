/** Renders `docs/events.md` from the catalogue. */
import { z } from 'zod';
import { eventCatalogue } from './catalogue.ts';
import { CancelledDetail, ErrorDetail } from './declare-event.ts';
import type { EventDeclaration } from './declare-event.ts';
import { EventEnvelope } from './envelope.ts';

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly $ref?: string;
}

const schemaOf = (schema: z.ZodType): JsonSchema => {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'output' });
  // The parsed boundary: zod emits JSON Schema draft 2020-12; only the members above are read.
  return rest as JsonSchema;
};

const typeName = (schema: JsonSchema): string => {
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeName).join(' or ');
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.type === 'array') return `list of ${schema.items === undefined ? 'anything' : typeName(schema.items)}`;
  if (schema.type === 'object' && schema.properties !== undefined) {
    return `{ ${Object.entries(schema.properties)
      .map(([name, member]) => `${name}: ${typeName(member)}`)
      .join('; ')} }`;
  }
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object') {
    return `map of ${typeName(schema.additionalProperties)}`;
  }
  return String(schema.type ?? 'anything');
};

const members = (schema: z.ZodType): string => {
  const { properties = {}, required = [] } = schemaOf(schema);
  const rows = Object.entries(properties).map(
    ([name, member]) =>
      `| \`${name}\`${required.includes(name) ? '' : ' (optional)'} | ${typeName(member).replaceAll('|', '\\|')} | ${member.description ?? ''} |`,
  );
  return ['| member | type | meaning |', '| --- | --- | --- |', ...rows].join('\n');
};

const section = (name: string, event: EventDeclaration): string =>
  [
    `### ${name}`,
    '',
    event.sentence,
    '',
    `Version ${event.version} · ${event.scope} event · from ${event.producer} · to ${event.consumers.join(', ')}`,
    '',
    members(event.detail),
  ].join('\n');

/** The whole page, in the order of the catalogue. */
export const renderEvents = (): string =>
  [
    '# Events',
    '',
    'Generated from the event catalogue in `packages/contract/src/events`; do not edit.',
    '',
    'Events are past-tense facts. They travel in an envelope, and both publisher and consumer check them against their declaration.',
    '',
    '## Envelope',
    '',
    members(EventEnvelope),
    '',
    'Events about a case (*case events*) have no `jobId`, `batchId` or `documentId`.',
    '',
    'Events about the installation itself (*system events*) have no `jobId`, `caseId`, `batchId`, `documentId` or `exhibitIds`.',
    '',
    'With status `SUCCESS` the detail is that of the event, below. With `ERROR` and `CANCELLED` it is the same for all:',
    '',
    '### Detail of status ERROR',
    '',
    members(ErrorDetail),
    '',
    '### Detail of status CANCELLED',
    '',
    members(CancelledDetail),
    '',
    '## Events',
    '',
    Object.entries(eventCatalogue)
      .map(([name, event]) => section(name, event))
      .join('\n\n'),
    '',
  ].join('\n');
