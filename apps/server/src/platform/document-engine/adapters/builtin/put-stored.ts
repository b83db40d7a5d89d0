/**
 * Puts PDFs that lie in the object store, many at once: four transactions and one flush, whatever their number.
 *
 * - Each is opened before it is taken, as with a single put. The bytes do not pass through this process a second time: the engine's object is a
 *   copy within the store, which is a link where that has links.
 */
import { type Actor, CaseboundError, type CaseId } from '@casebound/contract';
import type { Each } from '../../../object-store/Port.ts';
import { eachConcurrently } from '../../each-concurrently.ts';
import type { MeasuredPdf } from '../../pdf-workers/pdf-tasks.ts';
import { type EngineDocumentId, type PageSize, parseDocumentId, type PutEach, type StoredPdf } from '../../Port.ts';
import { isOfDocument } from '../../put-each.ts';
import type { BuiltinDependencies, CaseQueries } from './dependencies.ts';
import {
  announceObjects,
  claimObjects,
  deleteDocuments,
  describeRow,
  type DocumentRow,
  findDocuments,
  insertDocuments,
  loosen,
  type NewPdf,
} from './document-rows.ts';
import { newKey, sweepLoose } from './pdf-objects.ts';
import { readPageSizes, sizesOf } from './put-document.ts';

/** PDFs that are opened together: as many, or as much, whichever comes first. */
const groupLength = 64;
const groupBytes = 4 * 1024 * 1024;
const groupsAtOnce = 2;

const groupsOf = (pdfs: readonly StoredPdf[]): readonly (readonly StoredPdf[])[] => {
  const groups: StoredPdf[][] = [];
  let bytes = 0;
  for (const pdf of pdfs) {
    const last = groups.at(-1);
    bytes += pdf.size;
    if (last !== undefined && last.length < groupLength && bytes <= groupBytes) last.push(pdf);
    else {
      groups.push([pdf]);
      bytes = pdf.size;
    }
  }
  return groups;
};

interface Caller {
  readonly caseId: CaseId;
  readonly actor: Actor;
  readonly by: string;
  readonly signal: AbortSignal | undefined;
}

interface Opened extends NewPdf {
  readonly id: EngineDocumentId;
  readonly from: StoredPdf;
}

const valueOf = <T>(answer: Each<T> | undefined): T => {
  if (answer === undefined) throw new CaseboundError('internal', 'The object store says nothing of an object.');
  if (!answer.ok) throw answer.error;
  return answer.value;
};

class Putting {
  readonly #dependencies: BuiltinDependencies;
  readonly #caller: Caller;
  readonly outcomes = new Map<EngineDocumentId, PutEach>();

  constructor(dependencies: BuiltinDependencies, caller: Caller) {
    this.#dependencies = dependencies;
    this.#caller = caller;
  }

  async #within<T>(fn: (tx: CaseQueries) => Promise<T>, readOnly = false): Promise<T> {
    const { caseId, actor, signal } = this.#caller;
    return this.#dependencies.cases.withCase(caseId, actor, fn, {
      readOnly,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Runs a part of the work for one PDF; its error is the PDF's outcome. */
  async #each<T>(id: EngineDocumentId, work: () => Promise<T>): Promise<T | undefined> {
    const { signal } = this.#caller;
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!isOfDocument(error)) throw error;
      this.outcomes.set(id, { id, error });
      return undefined;
    }
  }

  #isThere(row: DocumentRow): void {
    this.outcomes.set(row.id, { id: row.id, put: { ...describeRow(row), created: false } });
  }

  /** Those that are not there yet. */
  async missing(pdfs: readonly StoredPdf[]): Promise<StoredPdf[]> {
    const present = await this.#within(
      async (tx) =>
        findDocuments(
          tx,
          pdfs.map(({ id }) => id),
        ),
      true,
    );
    return pdfs.filter(({ id, sha256 }) => {
      const row = present.get(id);
      if (row?.sha256 !== sha256) return true;
      this.#isThere(row);
      return false;
    });
  }

  /** Those that can be opened, with the sizes of their pages. */
  async open(pdfs: readonly StoredPdf[]): Promise<Opened[]> {
    const opened: Opened[] = [];
    await eachConcurrently(groupsOf(pdfs), groupsAtOnce, async (group) => {
      const read = await this.#read(group);
      const measured = await this.#measure(read.map(({ bytes }) => bytes));
      for (const [at, { from, bytes }] of read.entries()) {
        const { id, size, sha256 } = from;
        await this.#each(id, async () => {
          const found = measured?.[at];
          // Measured together they failed: which of them it was is found one by one.
          const pages = found === undefined ? await this.#measureOne(bytes) : sizesOf(found);
          opened.push({ id, from, key: newKey(id, sha256), size, sha256, pages });
        });
      }
    });
    return opened;
  }

  /** Those that are what they were said to be. What comes of the others stands in their outcomes. */
  async #read(group: readonly StoredPdf[]): Promise<{ readonly from: StoredPdf; readonly bytes: Uint8Array }[]> {
    const { signal } = this.#caller;
    const answers = await this.#dependencies.objects.readAll(
      group.map(({ object }) => object),
      { maxBytes: Math.max(...group.map(({ size }) => size)), ...(signal === undefined ? {} : { signal }) },
    );
    const read: { readonly from: StoredPdf; readonly bytes: Uint8Array }[] = [];
    for (const [at, from] of group.entries()) {
      const bytes = await this.#each(from.id, async () => Promise.resolve(valueOf(answers[at])));
      if (bytes !== undefined) read.push({ from, bytes });
    }
    return read;
  }

  /** Undefined when a PDF among them was too much for the worker. */
  async #measure(all: readonly Uint8Array[]): Promise<readonly MeasuredPdf[] | undefined> {
    if (all.length < 2) return undefined;
    const { signal } = this.#caller;
    let end = 0;
    const ends = all.map(({ byteLength }) => (end += byteLength));
    try {
      return await this.#dependencies.workers.pageSizes(
        { pdf: Buffer.concat(all), ends },
        signal === undefined ? {} : { signal },
      );
    } catch (error) {
      signal?.throwIfAborted();
      if (!isOfDocument(error)) throw error;
      return undefined;
    }
  }

  async #measureOne(bytes: Uint8Array): Promise<readonly PageSize[]> {
    return readPageSizes(this.#dependencies, bytes, this.#caller.signal);
  }

  /** Those whose object is in its place, where it is loose. */
  async copy(opened: readonly Opened[]): Promise<Opened[]> {
    const { objects } = this.#dependencies;
    const copied: Opened[] = [];
    await this.#within(async (tx) =>
      announceObjects(
        tx,
        opened.map(({ key }) => key),
      ),
    );
    const answers = await objects.copyAll(
      opened.map(({ from, key, size, sha256 }) => ({
        source: from.object,
        destination: key,
        expected: { size, sha256 },
      })),
    );
    for (const [at, one] of opened.entries()) {
      const stored = await this.#each(one.id, async () => Promise.resolve(valueOf(answers[at])));
      if (stored !== undefined) copied.push(one);
    }
    await objects.flush();
    return copied;
  }

  /** Makes documents point at their objects. Says whether objects became loose. */
  async place(copied: readonly Opened[]): Promise<boolean> {
    const { same, isLoose } = await this.#within(async (tx) => this.#placeWithin(tx, copied));
    for (const { id, size, sha256, pages } of copied) {
      const row = same.get(id);
      if (row !== undefined) this.#isThere(row);
      else this.outcomes.set(id, { id, put: { id, size, sha256, pageCount: pages.length, created: true } });
    }
    return isLoose;
  }

  async #placeWithin(tx: CaseQueries, copied: readonly Opened[]): Promise<Placing> {
    const same = new Map<EngineDocumentId, DocumentRow>();
    let isLoose = false;
    for (let left = copied; ;) {
      const rows = await findDocuments(
        tx,
        left.map(({ id }) => id),
        'update',
      );
      const [loose, wanted]: [Opened[], Opened[]] = [[], []];
      for (const one of left) {
        const row = rows.get(one.id);
        if (row?.sha256 === one.sha256) {
          same.set(one.id, row);
          loose.push(one);
        } else wanted.push(one);
      }
      const replaced = wanted.flatMap(({ id }) => rows.get(id) ?? []);
      isLoose ||= loose.length + replaced.length > 0;
      await loosen(
        tx,
        loose.map(({ key }) => key),
      );
      await deleteDocuments(tx, replaced);
      const inserted = await insertDocuments(tx, wanted, this.#caller.by);
      await claimObjects(
        tx,
        wanted.filter(({ id }) => inserted.has(id)).map(({ key }) => key),
      );
      // Somebody else may have put one of them since the look: look again.
      left = wanted.filter(({ id }) => !inserted.has(id));
      if (left.length === 0) return { same, isLoose };
    }
  }
}

interface Placing {
  /** Documents that had these bytes already. */
  readonly same: ReadonlyMap<EngineDocumentId, DocumentRow>;
  readonly isLoose: boolean;
}

const caseOf = (pdfs: readonly StoredPdf[]): CaseId | undefined => {
  const [caseId, ...others] = new Set(pdfs.map(({ id }) => parseDocumentId(id).caseId));
  if (others.length > 0) throw new CaseboundError('internal', 'PDFs of several cases are put in one call.');
  return caseId;
};

export const putStored = async (
  dependencies: BuiltinDependencies,
  pdfs: readonly StoredPdf[],
  caller: Omit<Caller, 'caseId'>,
): Promise<readonly PutEach[]> => {
  const caseId = caseOf(pdfs);
  if (caseId === undefined) return [];
  const putting = new Putting(dependencies, { ...caller, caseId });
  const opened = await putting.open(await putting.missing(pdfs));
  const copied = opened.length === 0 ? [] : await putting.copy(opened);
  if (copied.length > 0 && (await putting.place(copied))) await sweepLoose(dependencies, caller.actor, caseId);
  return pdfs.flatMap(({ id }) => putting.outcomes.get(id) ?? []);
};
