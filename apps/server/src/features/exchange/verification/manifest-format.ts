/**
 * The manifest of an exchange: JSON lines, one an item, chained and signed.
 *
 * - Each line holds the SHA-256 of the line before it (`previous`), so a line that was changed, removed or slipped in is named by the first
 *   line that does not follow.
 * - The last line signs the hash of the line before it with Ed25519 (RFC 8032), and so all of them.
 * - Lines hold numbers, keys, hashes and counts: no text of documents and no values of fields.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { ExchangeRequest, exchangeStates } from '@casebound/contract';
import { z } from 'zod';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative();

export const ManifestObject = z.object({ key: z.string(), size: count, sha256 });
export type ManifestObject = z.infer<typeof ManifestObject>;

/** What a later check looks at in the destination again. */
export const ItemFacts = z.object({
  /** Of the canonical JSON of exhibit and document, without etag and time of change. */
  record: sha256,
  /** Of the canonical JSON of the custom-field values; null without values. */
  values: sha256.nullable(),
  /** Variants and page texts, by key. */
  objects: z.array(ManifestObject),
  /** Of the annotations that the document engine holds, in canonical form; null where it holds no document. */
  annotations: sha256.nullable(),
  annotationCounts: z.record(z.string(), count),
  pages: count,
  /** Pages with text. */
  textPages: count,
});
export type ItemFacts = z.infer<typeof ItemFacts>;

export const Exception = z.object({ stage: z.string(), code: z.string(), reason: z.string() });
export type Exception = z.infer<typeof Exception>;

const chained = { line: z.number().int().positive(), previous: sha256 };

export const HeaderLine = z.object({
  ...chained,
  kind: z.literal('header'),
  version: z.literal(1),
  jobId: z.string(),
  sourceCaseId: z.number(),
  destinationCaseId: z.number(),
  batchId: z.number(),
  options: ExchangeRequest,
  operator: z.string(),
  startedAt: z.iso.datetime(),
  verifiedAt: z.iso.datetime(),
});

export const ItemLine = z.object({
  ...chained,
  kind: z.literal('item'),
  ordinal: count,
  source: z.object({
    exhibitId: z.number(),
    documentKey: z.string(),
    controlNumber: z.string(),
    /** Hashes of what the source has, by `type/position`. */
    objects: z.record(z.string(), sha256),
    annotationCounts: z.record(z.string(), count),
  }),
  /** `inserted`, `overlaid`, `skipped`, `duplicate`, `missing`. */
  action: z.string(),
  destination: z
    .object({ exhibitId: z.number(), documentId: z.number(), documentKey: z.string(), controlNumber: z.string() })
    .nullable(),
  facts: ItemFacts.nullable(),
  redaction: z.object({
    /** Removed from the file and proved on the output. */
    verified: count,
    /** Travel as marks: the text beneath travels, too. */
    unapplied: count,
    withheld: z.array(z.string()),
  }),
  stages: z.record(z.string(), z.string()),
  exceptions: z.array(Exception),
});
export type ItemLine = z.infer<typeof ItemLine>;

export const SummaryLine = z.object({
  ...chained,
  kind: z.literal('summary'),
  state: z.enum(exchangeStates),
  counts: z.object({
    items: count,
    inserted: count,
    overlaid: count,
    skipped: count,
    duplicates: count,
    missing: count,
    failed: count,
    objects: count,
    bytes: count,
    redactionsVerified: count,
    redactionsUnapplied: count,
    exceptions: count,
  }),
  records: z.record(z.string(), count),
  /** Comparison of source and destination. */
  comparison: z.object({ differences: count, changedInSource: count, changedInDestination: count }),
});
export type SummaryLine = z.infer<typeof SummaryLine>;

export const SignatureLine = z.object({
  ...chained,
  kind: z.literal('signature'),
  algorithm: z.literal('Ed25519'),
  /** SPKI in base64. */
  publicKey: z.string(),
  signature: z.string(),
});

export const ManifestLine = z.discriminatedUnion('kind', [HeaderLine, ItemLine, SummaryLine, SignatureLine]);
export type ManifestLine = z.infer<typeof ManifestLine>;

type Unchained<L> = L extends unknown ? Omit<L, 'line' | 'previous'> : never;

const hashOf = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');
/** `previous` of the first line. */
export const chainStart = '0'.repeat(64);

/** PKCS #8 of an Ed25519 private key (RFC 8410, section 7) around its 32 bytes. */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The signing key from its 32 bytes in hexadecimal. */
export const signingKey = (seed: string): KeyObject =>
  createPrivateKey({ key: Buffer.concat([pkcs8Prefix, Buffer.from(seed, 'hex')]), format: 'der', type: 'pkcs8' });

export const publicKeyText = (key: KeyObject): string =>
  (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' }).toString('base64');

/** Writes lines one after another. */
export class ManifestWriter {
  #line = 0;
  #previous = chainStart;

  /** The line with its line feed. */
  add(content: Unchained<Exclude<ManifestLine, { kind: 'signature' }>>): string {
    return this.#chain(content);
  }

  /** The last line. */
  sign(key: KeyObject): string {
    const signature = sign(null, Buffer.from(this.#previous, 'hex'), key).toString('base64');
    return this.#chain({ kind: 'signature', algorithm: 'Ed25519', publicKey: publicKeyText(key), signature });
  }

  #chain(content: object): string {
    this.#line += 1;
    const text = JSON.stringify({ line: this.#line, previous: this.#previous, ...content });
    this.#previous = hashOf(text);
    return `${text}\n`;
  }
}

export interface ChainState {
  /** Lines read. */
  readonly line: number;
  /** Hash of the last line read. */
  readonly previous: string;
}

export type ReadLine =
  | { readonly ok: true; readonly line: ManifestLine; readonly state: ChainState }
  | { readonly ok: false; readonly reason: string; readonly state: ChainState };

/** Reads the line that follows `state`. A line that does not follow says that it, or the one before it, was changed. */
export const readLine = (text: string, state: ChainState): ReadLine => {
  const next: ChainState = { line: state.line + 1, previous: hashOf(text) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, reason: 'The line is no JSON.', state: next };
  }
  const parsed = ManifestLine.safeParse(value);
  if (!parsed.success) return { ok: false, reason: 'The line is no line of a manifest.', state: next };
  if (parsed.data.line !== next.line)
    return { ok: false, reason: `Line ${next.line} calls itself line ${parsed.data.line}.`, state: next };
  if (parsed.data.previous !== state.previous) {
    return { ok: false, reason: `Line ${state.line} was changed: line ${next.line} follows another one.`, state: next };
  }
  return { ok: true, line: parsed.data, state: next };
};

/** Whether the signature line signs the chain before it, and with the key that is expected, where one is. */
export const checkSignature = (
  line: z.infer<typeof SignatureLine>,
  expectedPublicKey: string | null,
): string | null => {
  if (expectedPublicKey !== null && line.publicKey !== expectedPublicKey)
    return 'The manifest is signed with another key than this installation’s.';
  try {
    const key = createPublicKey({ key: Buffer.from(line.publicKey, 'base64'), format: 'der', type: 'spki' });
    const isGood = verify(null, Buffer.from(line.previous, 'hex'), key, Buffer.from(line.signature, 'base64'));
    return isGood ? null : 'The signature does not fit the manifest.';
  } catch {
    return 'The public key of the manifest cannot be read.';
  }
};

/** JSON with sorted members, for hashes that do not depend on their order. */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value);
};

export const canonicalHash = (value: unknown): string => hashOf(canonicalJson(value));
