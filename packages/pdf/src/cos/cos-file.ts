/**
 * A PDF file as a table of objects that can be read and replaced.
 *
 * - Reads the plain dialect that `savePlain` writes: one cross-reference table, no object streams, no encryption.
 * - Objects are parsed when asked for; an object that nobody replaced is written back byte by byte.
 * - What is written holds exactly the objects that can be reached from the catalogue (and Info): an object that was cut off is gone.
 * - The file identifier is a hash of the content: the same input gives the same bytes.
 */
import { CaseboundError } from '@casebound/contract';
import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { PdfLimits } from '../limits.ts';
import { decodeBytes, listFilters } from './decode-stream.ts';
import { Lexer } from './lexer.ts';
import {
  type CosArray,
  type CosDict,
  type CosObject,
  type CosRef,
  type CosStream,
  isKind,
  name,
  ref,
} from './objects.ts';
import { formatIndirect, formatObject } from './serialize.ts';

export interface CosFile {
  readonly limits: PdfLimits;
  readonly catalogRef: CosRef;
  /** Follows references, to null where there is nothing. */
  resolve(object: CosObject | undefined): CosObject;
  dict(object: CosObject | undefined): CosDict | undefined;
  array(object: CosObject | undefined): CosArray | undefined;
  stream(object: CosObject | undefined): CosStream | undefined;
  /** The decoded bytes of a stream; undefined when it is encoded by an image codec. */
  decode(stream: CosStream): Uint8Array | undefined;
  replace(target: CosRef, object: CosObject): void;
  add(object: CosObject): CosRef;
  /** Adds an object once for a key; later calls return the same reference. */
  shared(key: string, create: () => CosObject): CosRef;
  /** The same for something that adds its object itself. */
  sharedRef(key: string, create: () => CosRef): CosRef;
  /** Adds a deflated stream. */
  addStream(dict: CosDict, data: Uint8Array): CosRef;
  /** Info is dropped unless kept. */
  info: CosObject;
  /** All objects that can be reached, by number. */
  reachable(): ReadonlyMap<number, CosObject>;
  write(): Uint8Array;
}

const TAIL = 2048;
/** Deflating fewer bytes than this costs more than it saves. */
const SMALL_STREAM = 128;
/** Content that changes is a small part of a file: half the time for a few per cent of it. */
const DEFLATE_LEVEL = 3;

const damaged = (detail: string): CaseboundError => new CaseboundError('pdf_damaged', detail);

const readTable = (bytes: Uint8Array): { offsets: Map<number, number>; trailer: CosDict; end: number } => {
  const tail = Buffer.from(
    bytes.buffer,
    bytes.byteOffset + Math.max(0, bytes.length - TAIL),
    Math.min(TAIL, bytes.length),
  );
  const marker = tail.lastIndexOf('startxref');
  if (marker < 0) throw damaged('The rewritten file has no cross-reference table.');
  const lexer = new Lexer(bytes, bytes.length - tail.length + marker + 9);
  const start = lexer.next();
  if (typeof start !== 'number') throw damaged('The rewritten file has no cross-reference table.');
  const table = new Lexer(bytes, start);
  const first = table.next();
  if (!(typeof first === 'object' && first !== null && first.kind === 'keyword' && first.text === 'xref'))
    throw damaged('The rewritten file has no cross-reference table.');
  const offsets = new Map<number, number>();
  for (;;) {
    const token = table.next();
    if (typeof token !== 'number') break;
    const count = table.next();
    if (typeof count !== 'number') throw damaged('The cross-reference table is broken.');
    for (let at = 0; at < count; at += 1) {
      const offset = table.next();
      table.next();
      const state = table.next();
      if (typeof offset !== 'number' || typeof state !== 'object' || state === null || state.kind !== 'keyword')
        throw damaged('The cross-reference table is broken.');
      if (state.text === 'n') offsets.set(token + at, offset);
    }
  }
  const trailer = table.readObject();
  if (!isKind(trailer, 'dict')) throw damaged('The rewritten file has no trailer.');
  return { offsets, trailer, end: start };
};

const visitRefs = (object: CosObject, visit: (number: number) => void): void => {
  const stack: CosObject[] = [object];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (typeof top !== 'object' || top === null) continue;
    if (top.kind === 'ref') visit(top.number);
    else if (top.kind === 'array') for (const item of top.items) stack.push(item);
    else if (top.kind === 'dict') for (const value of top.entries.values()) stack.push(value);
    else if (top.kind === 'stream') for (const value of top.dict.entries.values()) stack.push(value);
  }
};

const emptyTable = { offsets: new Map<number, number>(), end: 0 };

/** An empty file, to be filled: pages of merged images, or one image to be decoded. */
export const createCosFile = (limits: PdfLimits): CosFile =>
  build(new Uint8Array(0), { ...emptyTable, catalog: ref(1), info: null, next: 2 }, limits);

/** Reads what `savePlain` wrote. Throws `pdf_damaged`, `pdf_too_large`. */
export const readCosFile = (bytes: Uint8Array, limits: PdfLimits): CosFile => {
  const { offsets, trailer, end } = readTable(bytes);
  if (offsets.size > limits.maxObjects)
    throw new CaseboundError(
      'pdf_too_large',
      `The PDF has ${offsets.size} objects; the limit is ${limits.maxObjects}.`,
    );
  const catalog = trailer.entries.get('Root');
  if (!isKind(catalog, 'ref')) throw damaged('The file has no catalogue.');
  let next = 1;
  for (const number of offsets.keys()) next = Math.max(next, number + 1);
  return build(bytes, { offsets, end, catalog, info: trailer.entries.get('Info') ?? null, next }, limits);
};

interface Table {
  readonly offsets: ReadonlyMap<number, number>;
  readonly end: number;
  readonly catalog: CosRef;
  readonly info: CosObject;
  readonly next: number;
}

const build = (bytes: Uint8Array, table: Table, limits: PdfLimits): CosFile => {
  const parsed = new Map<number, CosObject>();
  const replaced = new Set<number>();
  const sharedRefs = new Map<string, CosRef>();
  let next = table.next;

  const readStreamBytes = (lexer: Lexer, dict: CosDict): Uint8Array => {
    const length = file.resolve(dict.entries.get('Length'));
    let start = lexer.position;
    if (bytes[start] === 13) start += 1;
    if (bytes[start] === 10) start += 1;
    if (typeof length !== 'number' || length < 0 || start + length > bytes.length)
      throw damaged('A stream has no valid length.');
    return bytes.subarray(start, start + length);
  };
  const parse = (number: number): CosObject => {
    const offset = table.offsets.get(number);
    if (offset === undefined) return null;
    const lexer = new Lexer(bytes, offset);
    lexer.next();
    lexer.next();
    lexer.next();
    const object = lexer.readObject();
    if (!isKind(object, 'dict')) return object;
    const after = lexer.position;
    const keyword = lexer.next();
    if (typeof keyword === 'object' && keyword !== null && keyword.kind === 'keyword' && keyword.text === 'stream')
      return { kind: 'stream', dict: object, raw: readStreamBytes(lexer, object) };
    lexer.position = after;
    return object;
  };
  const get = (number: number): CosObject => {
    const known = parsed.get(number);
    if (known !== undefined) return known;
    // A stream whose length refers to itself must not recurse.
    parsed.set(number, null);
    const object = parse(number);
    parsed.set(number, object);
    return object;
  };

  const file: CosFile = {
    limits,
    catalogRef: table.catalog,
    info: table.info,
    resolve: (object) => {
      let current = object ?? null;
      for (let hops = 0; isKind(current, 'ref'); hops += 1) {
        if (hops > 64) return null;
        current = get(current.number);
      }
      return current;
    },
    dict: (object) => {
      const value = file.resolve(object);
      return isKind(value, 'dict') ? value : isKind(value, 'stream') ? value.dict : undefined;
    },
    array: (object) => {
      const value = file.resolve(object);
      return isKind(value, 'array') ? value : undefined;
    },
    stream: (object) => {
      const value = file.resolve(object);
      return isKind(value, 'stream') ? value : undefined;
    },
    decode: (stream) => decodeBytes(stream.raw, listFilters(stream.dict, file.resolve), limits.maxStreamBytes),
    replace: (target, object) => {
      parsed.set(target.number, object);
      replaced.add(target.number);
    },
    add: (object) => {
      const created = ref(next);
      next += 1;
      file.replace(created, object);
      return created;
    },
    shared: (key, create) => {
      const known = sharedRefs.get(key);
      if (known !== undefined) return known;
      const created = file.add(create());
      sharedRefs.set(key, created);
      return created;
    },
    sharedRef: (key, create) => {
      const known = sharedRefs.get(key);
      if (known !== undefined) return known;
      const created = create();
      sharedRefs.set(key, created);
      return created;
    },
    addStream: (dict, data) => {
      const entries = new Map(dict.entries);
      entries.delete('DecodeParms');
      entries.delete('Filter');
      if (data.length < SMALL_STREAM) return file.add({ kind: 'stream', dict: { kind: 'dict', entries }, raw: data });
      entries.set('Filter', name('FlateDecode'));
      return file.add({
        kind: 'stream',
        dict: { kind: 'dict', entries },
        raw: deflateSync(data, { level: DEFLATE_LEVEL }),
      });
    },
    reachable: () => {
      const seen = new Map<number, CosObject>();
      const queue: number[] = [];
      const visit = (number: number): void => {
        if (seen.has(number)) return;
        const object = get(number);
        seen.set(number, object);
        queue.push(number);
      };
      visit(file.catalogRef.number);
      visitRefs(file.info, visit);
      for (let number = queue.pop(); number !== undefined; number = queue.pop()) visitRefs(get(number), visit);
      return seen;
    },
    write: () => writeFile(),
  };

  /** Where each object of the source ends: at the next one, or at the table. */
  const extents = (): ReadonlyMap<number, number> => {
    const sorted = [...table.offsets].sort((one, other) => one[1] - other[1]);
    return new Map(sorted.map(([number], at) => [number, sorted[at + 1]?.[1] ?? table.end]));
  };

  const writeFile = (): Uint8Array => {
    const ends = extents();
    const objects = [...file.reachable()]
      .filter(([, object]) => object !== null)
      .sort((one, other) => one[0] - other[0]);
    const parts: Uint8Array[] = [Buffer.from('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', 'latin1')];
    let length = parts[0]?.length ?? 0;
    const hash = createHash('sha256');
    const offsets: [number, number][] = [];
    for (const [number, object] of objects) {
      const offset = table.offsets.get(number);
      const end = ends.get(number);
      const body =
        !replaced.has(number) && offset !== undefined && end !== undefined
          ? bytes.subarray(offset, end)
          : formatIndirect(number, object);
      offsets.push([number, length]);
      parts.push(body);
      hash.update(body);
      length += body.length;
    }
    const id = hash.digest('hex').slice(0, 32);
    const present = new Map(offsets);
    const size = (offsets.at(-1)?.[0] ?? 0) + 1;
    const rows: string[] = ['0000000000 65535 f \n'];
    // Numbers that are no longer used form the list of free entries.
    for (let number = 1; number < size; number += 1) {
      const offset = present.get(number);
      rows.push(offset === undefined ? '0000000000 65535 f \n' : `${String(offset).padStart(10, '0')} 00000 n \n`);
    }
    const info = isKind(file.info, 'ref') ? `/Info ${formatObject(file.info)}` : '';
    const trailer = `trailer\n<</Size ${size}/Root ${formatObject(file.catalogRef)}${info}/ID[<${id}><${id}>]>>\nstartxref\n${length}\n%%EOF\n`;
    parts.push(Buffer.from(`xref\n0 ${size}\n${rows.join('')}${trailer}`, 'latin1'));
    return Buffer.concat(parts);
  };
  return file;
};
