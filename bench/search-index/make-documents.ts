/**
 * Index documents as an import makes them: core fields always, custom fields of every kind in turn, each filled in most exhibits.
 *
 * The same numbers give the same documents.
 */
import { createHash } from 'node:crypto';
import type { FieldValue, IndexDocument } from '../../apps/server/src/platform/search-index/Port.ts';

export interface Shape {
  readonly fields: number;
  readonly pages: number;
  /** Of one page. */
  readonly words: number;
}

const vocabulary = Array.from({ length: 20_000 }, (_, at) => `${(at * 7919).toString(36)}${(at % 17).toString(36)}en`);

/** A small generator of its own (xorshift), so that exhibit n is what it is whatever was made before it. */
const randomOf = (seed: number): ((below: number) => number) => {
  let state = (Math.imul(seed + 1, 2_654_435_761) | 1) >>> 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
};

type Random = ReturnType<typeof randomOf>;

/** Common words come often: the cube of an even choice. */
const words = (random: Random, count: number): string =>
  Array.from({ length: count }, () => {
    const share = random(10_000) / 10_000;
    return vocabulary[Math.floor(share ** 3 * vocabulary.length)] ?? '';
  }).join(' ');

const dateOf = (random: Random): string => new Date(1_550_000_000_000 + random(100_000) * 1_000_000).toISOString();
const digest = (kind: string, text: string): string => createHash(kind).update(text).digest('hex');

const customField = (at: number, random: Random): FieldValue => {
  switch (at % 8) {
    case 0:
      return `Stage ${random(6)}`;
    case 1:
      return dateOf(random);
    case 2:
      return random(100_000) / 100;
    case 3:
      return random(2) === 0 ? 'yes' : 'no';
    case 4:
      return [`Alpha ${random(5)}`, `Gamma ${random(5)}`];
    case 5:
      return `PO-${random(90_000)}`;
    case 6:
      return words(random, 4);
    default:
      return words(random, 12);
  }
};

export const makeDocument = (exhibitId: number, { fields, pages, words: perPage }: Shape): IndexDocument => {
  const random = randomOf(exhibitId);
  const controlNumber = `MH${String(exhibitId).padStart(8, '0')}`;
  const said: Record<string, FieldValue> = {
    controlNumber,
    fileName: `${words(random, 3)}.pdf`,
    fileExtension: 'pdf',
    mimeType: 'application/pdf',
    fileSize: random(10_000_000),
    md5Hash: digest('md5', controlNumber),
    sha256Hash: digest('sha256', controlNumber),
    subject: words(random, 6),
    from: `person${random(400)}@halcyon.example`,
    dateSent: dateOf(random),
    pageCount: pages,
    confidentialityStatus: 0,
    custodian: [`Custodian ${random(10)}`],
    folder: [`Business/Folder ${random(40)}`],
  };
  for (let at = 0; at < fields; at += 1) {
    const value = customField(at, random);
    if (random(10) > 0) said[`Coding Field ${at}`] = value;
  }
  return {
    exhibitId,
    batchId: 1 + Math.floor(exhibitId / 10_000),
    controlNumber,
    fields: said,
    pages: Array.from({ length: pages }, (_, at) => {
      const text = words(random, perPage);
      return { position: at + 1, text, sha256: digest('sha256', text) };
    }),
  };
};
