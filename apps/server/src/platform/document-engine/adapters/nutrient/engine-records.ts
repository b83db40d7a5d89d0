/**
 * Records of one layer of one document, as the engine's API has them.
 *
 * - Lists come as NDJSON: as JSON the engine cuts them at 1,000.
 * - What creates is not repeated blindly: when its outcome is unknown, what is there is read, and only what is missing is sent again.
 * - The engine takes some of a batch and refuses others. Those taken are taken back before the refusal is reported.
 */
import { CaseboundError, hasCode } from '@casebound/contract';
import type { Attachment } from '@casebound/pdf';
import { isJson, isPartOfPdf, type Json, readRecord, type RawRecord } from './annotation-records.ts';
import { type AnswerContext, garbage, readRefusal } from './classify-answer.ts';
import type { EngineClient, EngineRequest, Signal } from './engine-client.ts';
import { jsonBody, multipartBody, type RequestBody } from './multipart-body.ts';

/** Where records are: the default layer, or a named one. */
export interface Place {
  readonly document: string;
  readonly layer?: string;
}

export interface RecordToWrite {
  readonly id: string;
  readonly content: Json;
  /** Id of who did it. */
  readonly by: string;
}

/** Binaries that records refer to, by their SHA-256. */
export type Binaries = ReadonlyMap<string, Attachment>;

const noBinaries: Binaries = new Map();

/** Records and bytes of binaries a request: it stays well below the engine's limit of bodies. */
const batchSize = 500;
const batchBytes = 32 * 1024 * 1024;

export const pathOf = ({ document, layer }: Place): string =>
  `/api/documents/${encodeURIComponent(document)}${layer === undefined ? '' : `/layers/${encodeURIComponent(layer)}`}`;

const binaryIdOf = ({ content }: { readonly content: Json }): string | undefined => {
  const id = content['imageAttachmentId'];
  return typeof id === 'string' ? id : undefined;
};

interface Batch<T> {
  readonly items: readonly T[];
  /** Of the first among all. */
  readonly offset: number;
}

const inBatches = <T>(items: readonly T[], bytesOf: (item: T) => number = () => 0): readonly Batch<T>[] => {
  const batches: Batch<T>[] = [];
  let own: T[] = [];
  let bytes = 0;
  items.forEach((item, at) => {
    const size = bytesOf(item);
    if (own.length >= batchSize || (own.length > 0 && bytes + size > batchBytes)) {
      batches.push({ items: own, offset: at - own.length });
      own = [];
      bytes = 0;
    }
    own.push(item);
    bytes += size;
  });
  if (own.length > 0) batches.push({ items: own, offset: items.length - own.length });
  return batches;
};

const binaryBytes =
  (binaries: Binaries) =>
  (record: RecordToWrite): number =>
    binaries.get(binaryIdOf(record) ?? '')?.bytes.length ?? 0;

export interface EngineRecords {
  /** Annotations that are not part of the PDF itself. */
  list(place: Place, signal: Signal, pageIndex?: number): Promise<readonly RawRecord[]>;
  /** Those of these ids that are there. */
  find(place: Place, ids: readonly string[], signal: Signal): Promise<ReadonlyMap<string, RawRecord>>;
  /** All of them or none; those that are there already are left as they are. Throws `annotation_invalid`. */
  create(place: Place, records: readonly RecordToWrite[], binaries: Binaries, signal: Signal): Promise<void>;
  /** All of them or none, `before` being what they are now. */
  update(
    place: Place,
    records: readonly RecordToWrite[],
    before: ReadonlyMap<string, RawRecord>,
    binaries: Binaries,
    signal: Signal,
  ): Promise<void>;
  /** Those that are not there are success. Comments on them go too. */
  remove(place: Place, ids: readonly string[], signal: Signal): Promise<void>;
  comments(place: Place, rootId: string, signal: Signal): Promise<readonly RawRecord[]>;
  /** Ids of the annotations that have comments. */
  commented(place: Place, signal: Signal): Promise<readonly string[]>;
  /** Adds those that are not there. */
  comment(place: Place, rootId: string, comments: readonly RecordToWrite[], signal: Signal): Promise<void>;
}

const fewIds = 8;

export const createEngineRecords = (client: EngineClient): EngineRecords => {
  const context = (doing: string): AnswerContext => ({ doing, missing: 'engine_document_not_found' });

  const list: EngineRecords['list'] = async (place, signal, pageIndex) => {
    const path = `${pathOf(place)}${pageIndex === undefined ? '' : `/pages/${pageIndex}`}/annotations`;
    const records = await client.records({ method: 'GET', path, signal, ...context('list annotations') }, (value) =>
      readRecord(value),
    );
    return records.filter((record) => !isPartOfPdf(record));
  };

  const find: EngineRecords['find'] = async (place, ids, signal) => {
    const found = new Map<string, RawRecord>();
    if (ids.length > fewIds) {
      const wanted = new Set(ids);
      for (const record of await list(place, signal)) if (wanted.has(record.id)) found.set(record.id, record);
      return found;
    }
    for (const id of ids) {
      try {
        const record = readRecord(
          await client.json({
            method: 'GET',
            path: `${pathOf(place)}/annotations/${encodeURIComponent(id)}`,
            signal,
            doing: 'give an annotation',
            missing: 'annotation_not_found',
          }),
        );
        found.set(id, record);
      } catch (error) {
        if (!hasCode(error, 'annotation_not_found')) throw error;
      }
    }
    return found;
  };

  const bodyOf = (records: readonly RecordToWrite[], binaries: Binaries): RequestBody => {
    const json = {
      annotations: records.map(({ id, content, by }) => ({ id, content, user_id: by })),
    };
    const needed = new Map(
      records.flatMap((record) => {
        const id = binaryIdOf(record);
        const binary = id === undefined ? undefined : binaries.get(id);
        return id === undefined || binary === undefined ? [] : [[id, binary] as const];
      }),
    );
    if (needed.size === 0) return jsonBody(json);
    return multipartBody([
      { name: 'annotations', content: JSON.stringify(json), contentType: 'application/json' },
      ...[...needed].map(([name, { bytes, contentType }]) => ({ name, content: bytes, contentType })),
    ]);
  };

  /** Throws when the engine refused any of a batch. The paths count within this call. */
  const requireAll = (answer: unknown, records: readonly RecordToWrite[], offset: number): void => {
    const result = isJson(answer) ? answer['result'] : undefined;
    if (result === 'success') {
      const data = isJson(answer) ? answer['data'] : undefined;
      const own = new Set(records.map(({ id }) => id));
      const kept = Array.isArray(data) && data.every((one: unknown) => isJson(one) && own.has(String(one['id'])));
      if (!kept) throw garbage('it does not keep the ids of annotations');
      return;
    }
    // One record alone may be answered in the short form.
    if (isJson(answer) && isJson(answer['data']) && typeof answer['data']['annotation_id'] === 'string') return;
    if (result !== 'partial_failure' && result !== 'failure') throw garbage('it does not say what became of a batch');
    const { paths, requestId } = readRefusal(answer);
    const errors = paths.map(({ path, message }) => {
      const at = /^\$\.annotations\[(\d+)\](.*)$/.exec(path);
      return at === null ? { path, message } : { path: `$[${Number(at[1]) + offset}]${at[2] ?? ''}`, message };
    });
    const named = /^\$\[(\d+)\]/.exec(errors[0]?.path ?? '')?.[1];
    const first = named === undefined ? undefined : records[Number(named) - offset]?.id;
    throw new CaseboundError(
      'annotation_invalid',
      `The document engine refuses ${paths.length} of ${records.length} annotations${first === undefined ? '' : `, first \`${first}\``}${requestId === undefined ? '' : ` (request ${requestId})`}; none was kept.`,
      { errors },
    );
  };

  const send = async (
    method: 'POST' | 'PUT',
    place: Place,
    records: readonly RecordToWrite[],
    binaries: Binaries,
    offset: number,
    signal: Signal,
  ): Promise<void> => {
    const request: EngineRequest = {
      method,
      path: `${pathOf(place)}/annotations`,
      body: bodyOf(records, binaries),
      // The same content twice is the same content; the same creation twice may not be.
      repeat: method === 'PUT',
      signal,
      ...context(method === 'PUT' ? 'change annotations' : 'take annotations'),
      invalid: 'annotation_invalid',
    };
    requireAll(await client.json(request), records, offset);
  };

  const createBatch = async (
    place: Place,
    batch: readonly RecordToWrite[],
    binaries: Binaries,
    offset: number,
    signal: Signal,
  ): Promise<void> => {
    let missing = batch;
    for (let tries = 1; missing.length > 0; tries += 1) {
      try {
        await send('POST', place, missing, binaries, offset, signal);
        return;
      } catch (error) {
        await client.beforeNextTry(error, tries, signal);
        const ids = missing.map(({ id }) => id);
        const present = await find(place, ids, signal);
        missing = missing.filter(({ id }) => !present.has(id));
      }
    }
  };

  const remove: EngineRecords['remove'] = async (place, ids, signal) => {
    for (const { items } of inBatches(ids)) {
      await client.done({
        method: 'DELETE',
        path: `${pathOf(place)}/annotations`,
        body: jsonBody({ annotationIds: items }),
        signal,
        ...context('delete annotations'),
      });
    }
  };

  /** Undoes what was done before `error`, and says so when that fails too. Without the signal: it may be what ended the work. */
  const takeBack = async (error: unknown, written: number, undo: () => Promise<void>): Promise<never> => {
    if (written === 0 && hasCode(error, 'circuit_open')) throw error;
    try {
      await undo();
    } catch {
      if (error instanceof CaseboundError)
        throw new CaseboundError(
          error.code,
          `${error.message} What had been written before could not be taken back; make the call again.`,
          {
            errors: error.errors,
            ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
          },
        );
    }
    throw error;
  };

  const comments: EngineRecords['comments'] = async (place, rootId, signal) => {
    const answer = await client.json({
      method: 'GET',
      path: `${pathOf(place)}/annotations/${encodeURIComponent(rootId)}/comments`,
      signal,
      doing: 'list comments',
      missing: 'annotation_not_found',
    });
    const data = isJson(answer) ? answer['data'] : undefined;
    const listed = isJson(data) ? data['comments'] : undefined;
    if (!Array.isArray(listed)) throw garbage('a list of comments is none');
    return listed.map(readRecord);
  };

  return {
    list,
    find,
    remove,
    comments,
    async create(place, records, binaries, signal) {
      for (const { items, offset } of inBatches(records, binaryBytes(binaries))) {
        try {
          await createBatch(place, items, binaries, offset, signal);
        } catch (error) {
          await takeBack(error, offset, async () => {
            const begun = records.slice(0, offset + items.length).map(({ id }) => id);
            const present = await find(place, begun, undefined);
            await remove(place, [...present.keys()], undefined);
          });
        }
      }
    },
    async update(place, records, before, binaries, signal) {
      for (const { items, offset } of inBatches(records, binaryBytes(binaries))) {
        try {
          await send('PUT', place, items, binaries, offset, signal);
        } catch (error) {
          await takeBack(error, offset, async () => {
            const old = records.slice(0, offset + items.length).flatMap(({ id, by }) => {
              const record = before.get(id);
              return record === undefined ? [] : [{ id, content: record.content, by: record.updatedBy ?? by }];
            });
            for (const part of inBatches(old)) await send('PUT', place, part.items, noBinaries, 0, undefined);
          });
        }
      }
    },
    async commented(place, signal) {
      const answer = await client.json({
        method: 'GET',
        path: `${pathOf(place)}/document.json`,
        signal,
        ...context('export annotations'),
      });
      if (!isJson(answer)) throw garbage('an export of annotations is none');
      const listed = answer['comments'] ?? [];
      if (!Array.isArray(listed)) throw garbage('an export of annotations is none');
      const roots = listed.flatMap((one: unknown) =>
        isJson(one) && typeof one['rootId'] === 'string' ? [one['rootId']] : [],
      );
      if (roots.length !== listed.length) throw garbage('a comment has no root');
      return [...new Set(roots)];
    },
    async comment(place, rootId, all, signal) {
      let missing = all;
      for (let tries = 1; missing.length > 0; tries += 1) {
        try {
          await client.done({
            method: 'POST',
            path: `${pathOf(place)}/annotations/${encodeURIComponent(rootId)}/comments`,
            body: jsonBody({ comments: missing.map(({ id, content, by }) => ({ id, content, user_id: by })) }),
            repeat: false,
            signal,
            doing: 'take comments',
            missing: 'annotation_not_found',
            invalid: 'annotation_invalid',
          });
          return;
        } catch (error) {
          await client.beforeNextTry(error, tries, signal);
          const present = new Set((await comments(place, rootId, signal)).map(({ id }) => id));
          missing = missing.filter(({ id }) => !present.has(id));
        }
      }
    },
  };
};
