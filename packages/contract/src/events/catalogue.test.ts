import fc from 'fast-check';
import { expect, expectTypeOf, test } from 'vitest';
import { hasCode } from '../casebound-error.ts';
import { jobCatalogue } from '../jobs/catalogue.ts';
import { caseEvents } from './case-events.ts';
import { eventCatalogue, isEventType } from './catalogue.ts';
import type { EventOf } from './catalogue.ts';
import type { EventDeclaration } from './declare-event.ts';
import { exchangeEvents } from './exchange-events.ts';
import { importEvents } from './import-events.ts';
import { messagingEvents } from './messaging-events.ts';
import { parseEvent, parseEventOf } from './parse-event.ts';
import { renderEvents } from './render-events.ts';

const uploaded = {
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  source: 'exchange.uploader',
  jobId: '01890a5d-ac96-774b-bcce-b302099a8058',
  caseId: 4,
  batchId: 7,
  documentId: 99,
  eventType: 'DOCUMENT_UPLOADED',
  version: 1,
  status: 'SUCCESS',
  eventDetail: { documents: 1, pages: 3 },
  timestamp: '2026-01-02T03:04:05.678Z',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};

test('names are unique over all parts of the catalogue', () => {
  const names = [exchangeEvents, importEvents, caseEvents, messagingEvents].flatMap((part) => Object.keys(part));
  expect(new Set(names).size).toBe(names.length);
  expect(names).toHaveLength(Object.keys(eventCatalogue).length);
});

test.each(Object.entries(eventCatalogue) as [string, EventDeclaration][])(
  '%s is a complete declaration',
  (name, event) => {
    expect(name).toMatch(/^[A-Z][A-Z_]*$/);
    expect(event.sentence).toMatch(/^[A-Z].*\.$/s);
    expect(event.producer).not.toBe('');
    expect(event.consumers.length).toBeGreaterThan(0);
  },
);

test('the failure event of a job is an event about a job', () => {
  const events = Object.values(jobCatalogue).flatMap(({ failureEvent }) => failureEvent ?? []);
  expect(events.map((name) => eventCatalogue[name].scope)).toEqual(events.map(() => 'job'));
});

test('a valid event is parsed to its own type', () => {
  const event = parseEventOf(['DOCUMENT_UPLOADED', 'EXCHANGER_FINISHED'], uploaded);
  expect(event).toEqual(uploaded);
  if (event.eventType === 'DOCUMENT_UPLOADED' && event.status === 'SUCCESS') {
    expectTypeOf(event.eventDetail.pages).toEqualTypeOf<number>();
  }
  expectTypeOf<
    Extract<EventOf<'DOCUMENT_UPLOADED'>, { status: 'ERROR' }>['eventDetail']['code']
  >().toEqualTypeOf<string>();
});

test.each([
  ['no type', { ...uploaded, eventType: undefined }, '$.eventType'],
  ['an unknown type', { ...uploaded, eventType: 'DOCUMENT_LOST' }, 'DOCUMENT_LOST'],
  ['a name of Object.prototype', { ...uploaded, eventType: 'constructor' }, 'constructor'],
  ['another version', { ...uploaded, version: 2 }, 'version 2'],
  ['no case', { ...uploaded, caseId: undefined }, '$.caseId'],
  ['an unknown member of the envelope', { ...uploaded, tenant: 1 }, '$'],
  ['an unknown member of the detail', { ...uploaded, eventDetail: { ...uploaded.eventDetail, extra: 1 } }, '$'],
  ['a detail of another shape', { ...uploaded, eventDetail: { documents: 1, pages: -1 } }, '$.pages'],
  ['an error without its detail', { ...uploaded, status: 'ERROR' }, 'status ERROR'],
  ['a time that is none', { ...uploaded, timestamp: 'yesterday' }, '$.timestamp'],
  ['text', 'DOCUMENT_UPLOADED', '$'],
  ['nothing', null, '$'],
])('%s is refused with the place of the fault', (_what, value, place) => {
  const attempt = () => parseEvent(value);
  expect(attempt).toThrow(expect.objectContaining({ code: 'event_invalid', message: expect.stringContaining(place) }));
});

test('every status has its detail', () => {
  const failed = {
    ...uploaded,
    status: 'ERROR',
    eventDetail: { code: 'object_corrupt', message: 'The hash differs.' },
  };
  expect(parseEvent(failed)).toEqual(failed);
  const cancelled = { ...uploaded, status: 'CANCELLED', eventDetail: { reason: 'The operator cancelled.' } };
  expect(parseEvent(cancelled)).toEqual(cancelled);
});

test('an event that is not expected is refused', () => {
  expect(() => parseEventOf(['EXCHANGER_FINISHED'], uploaded)).toThrow(/only EXCHANGER_FINISHED/);
});

test('any JSON value is either an event of the catalogue or refused with the code', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(uploaded)), (value, member) => {
      try {
        const event = parseEvent({ ...uploaded, [member]: value });
        return isEventType(event.eventType);
      } catch (error) {
        return hasCode(error, 'event_invalid');
      }
    }),
    { numRuns: 300 },
  );
});

test('the rendered page names every event, and every member of its detail', () => {
  const page = renderEvents();
  for (const [name, event] of Object.entries(eventCatalogue)) {
    const section = page.split(`### ${name}\n`)[1]?.split('\n### ')[0] ?? '';
    for (const member of Object.keys(event.detail.shape)) expect(section).toContain(`| \`${member}\``);
  }
});
