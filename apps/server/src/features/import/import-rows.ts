/**
 * The rows of an import, chunk by chunk: looked up in the stage, their files stored, then written in a transaction with the checkpoint.
 *
 * - Several chunks are written at once, each in a transaction of its own, and committed in their order: what is committed is always the
 *   rows up to one. Meanwhile the files of the next are stored. Memory is as many chunks and one.
 * - Files of a sequential source can be opened only while their row is at hand, so its rows are looked up in the stage ahead, and those
 *   that are duplicates are not stored.
 */
import { CaseboundError, hasCode } from '@casebound/contract';
import { bulkWrite } from '@casebound/records';
import { chunkOptions, HandedOn, type HeldImport } from './held-import.ts';
import { insertProblems, problem, type RowProblem } from './import-problem.ts';
import { originalPosition, type RowSource, type SourceRow } from './source-row.ts';
import {
  readImageDocuments,
  readStaged,
  readStagedPages,
  readTaken,
  type StagedImage,
  type StagedRow,
} from './store.ts';
import { insertLostDuplicates, isOverwritten, overwritten, overwrittenDuplicate } from './write/changed-files.ts';
import { type ChunkContext, type ChunkRow, documentKeyOf, importChunk } from './write/import-chunk.ts';
import { overlayChunk } from './write/overlay-chunk.ts';
import { type OverlaidFiles, placeTexts } from './write/overlaid-files.ts';
import { requireNew, SharedRecords } from './write/shared-records.ts';
import { workAtOnce } from './work-at-once.ts';
import { hasFiles, type ListedPage, noFiles, storeFiles, type StoredFiles } from './write/store-files.ts';

/** Files that are read at once. */
const filesAtOnce = 8;
const defaultChunkRows = 2_000;
/** Characters of texts and values from which on a chunk is written though it could hold more rows. */
const maxChunkChars = 16_000_000;
const writeAttempts = 5;
/** Chunks that are written at once. */
const defaultWriters = 3;
/** Rows without their parents that are remembered; of more, all rows are asked. */
const maxLate = 10_000;

interface Prepared {
  readonly rows: readonly ChunkRow[];
  /** Of rows that are not written. */
  readonly problems: readonly RowProblem[];
  readonly first: number;
  readonly last: number;
}

/** What of a row may be long. */
const charsOf = ({ pageTexts, values }: SourceRow): number =>
  (pageTexts ?? []).reduce((sum, text) => sum + text.length, 0) + (typeof values === 'string' ? values.length : 0);

class RowImport {
  readonly #held: HeldImport;
  readonly #source: RowSource;
  readonly #context: ChunkContext;
  readonly #size: number;
  /** Resolves when the last chunk so far is committed. */
  #committed: Promise<void> = Promise.resolve();
  #committedTo: number;
  /** Rows that were written without their parents. Null: more than are remembered, or written by whoever had the import before. */
  #late: readonly number[] | null;
  readonly #writing = new Set<Promise<void>>();
  #gathered: SourceRow[] = [];
  #gatheredChars = 0;
  readonly #storedNow = new Map<number, StoredFiles>();
  #ahead = new Map<number, StagedRow>();
  #aheadTo = 0;

  constructor(held: HeldImport, source: RowSource) {
    this.#held = held;
    this.#source = source;
    this.#size = held.parts.chunkRows ?? defaultChunkRows;
    this.#committedTo = held.job.row_done;
    this.#late = held.job.row_done === 0 ? [] : null;
    const { job, parts, caseId } = held;
    this.#context = {
      caseId,
      actor: job.actor,
      jobId: job.job_id,
      batchId: job.batch_id,
      batchName: job.batch_name,
      importedAt: job.created_at.toISOString(),
      model: parts.records.model,
      objects: parts.objects,
      fields: parts.fields,
      shared: new SharedRecords(parts.records.model),
    };
  }

  /** @returns the rows whose parents are not linked yet; null when that is not known */
  async run(): Promise<readonly number[] | null> {
    try {
      for await (const row of this.#source.rows(this.#held.job.row_done)) {
        this.#held.signal.throwIfAborted();
        if (this.#source.sequential) await this.#storeNow(row);
        // Its text is stored, and a thousand texts need not fit into memory.
        await this.#gather(this.#source.sequential ? { ...row, pageTexts: null } : row);
      }
      for (let after = this.#held.job.row_done; ;) {
        const documents = await this.#held.transaction(
          async (tx) => readImageDocuments(tx, this.#held.job.job_id, after, this.#size),
          { ...chunkOptions, readOnly: true },
        );
        for (const document of documents) await this.#gather(await this.#source.imageRow(document));
        const last = documents.at(-1);
        if (last === undefined) break;
        after = last.row;
      }
      await this.#flush();
      await this.#committed;
      return this.#late;
    } finally {
      await Promise.allSettled(this.#writing);
    }
  }

  get #isOverlay(): boolean {
    return this.#held.job.request.overlay !== undefined;
  }

  async #gather(row: SourceRow): Promise<void> {
    this.#gathered.push(row);
    this.#gatheredChars += charsOf(row);
    if (this.#gathered.length >= this.#size || this.#gatheredChars >= maxChunkChars) await this.#flush();
  }

  async #flush(): Promise<void> {
    const rows = this.#gathered;
    this.#gathered = [];
    this.#gatheredChars = 0;
    if (rows.length === 0) return;
    const prepared = await this.#prepare(rows);
    while (this.#writing.size >= (this.#held.parts.writers ?? defaultWriters)) await Promise.race(this.#writing);
    const isLast = this.#held.isSliceOver;
    const writing = this.#write(prepared, isLast, this.#committed);
    this.#committed = writing;
    this.#writing.add(writing);
    writing.then(
      () => this.#writing.delete(writing),
      // Stays, so that the next look at it throws.
      () => undefined,
    );
    if (!isLast) return;
    await writing;
    throw new HandedOn();
  }

  /** Writes what the rows share with others, once. */
  async #share(rows: readonly SourceRow[]): Promise<void> {
    const { parts, caseId } = this.#held;
    const { shared } = this.#context;
    for (let attempt = 1; ; attempt += 1) {
      shared.begin();
      const names = shared.namesOf(rows);
      if (names.size === 0) return;
      try {
        await this.#held.transaction(async (tx) => {
          await bulkWrite(await parts.records.within(caseId, tx), await shared.rowsFor(tx, names), {
            onRow: requireNew,
          });
        });
        shared.keep();
        return;
      } catch (error) {
        if (!hasCode(error, 'conflict_retries_exhausted') || attempt === writeAttempts) throw error;
      }
    }
  }

  /** What the stage says of a row, read a chunk ahead. */
  async #stagedAhead(row: number): Promise<StagedRow | undefined> {
    if (row > this.#aheadTo) {
      this.#aheadTo = row + this.#size;
      this.#ahead = await this.#held.transaction(
        async (tx) => readStaged(tx, this.#held.job.job_id, row, this.#aheadTo, this.#isOverlay),
        { ...chunkOptions, readOnly: true },
      );
    }
    return this.#ahead.get(row);
  }

  async #storeNow(row: SourceRow): Promise<void> {
    const staged = await this.#stagedAhead(row.row);
    requireSamePlace(row, staged);
    if (staged.fate !== 'pending') return;
    const documentKey = documentKeyOf(this.#held.job.job_id, row.row);
    this.#storedNow.set(row.row, await this.#store(row, documentKey, staged, []));
  }

  async #store(
    row: SourceRow,
    documentKey: string,
    staged: StagedRow,
    listed: readonly ListedPage[],
  ): Promise<StoredFiles> {
    if (row.rejected) return noFiles;
    const { caseId, job, parts, signal } = this.#held;
    const place = {
      caseId,
      batchId: staged.match?.batchId ?? job.batch_id,
      documentKey: staged.match?.documentKey ?? documentKey,
      overlay: staged.match === null ? undefined : job.job_id,
    };
    return storeFiles(parts.objects, row, place, listed, { signal, imageList: this.#source.imageList });
  }

  /** Looks up what the stage says of the rows and stores the files of those that are imported. */
  async #prepare(rows: readonly SourceRow[]): Promise<Prepared> {
    const first = rows[0]?.row ?? 0;
    const last = rows.at(-1)?.row ?? 0;
    const jobId = this.#held.job.job_id;
    const { staged, pages } = await this.#held.transaction(
      async (tx) => {
        const found = await readStaged(tx, jobId, first, last, this.#isOverlay);
        const keys = [...found.values()].flatMap((it) =>
          it.fate === 'pending' && it.controlNumber !== null && this.#source.imageList !== null
            ? [it.controlNumber]
            : [],
        );
        return { staged: found, pages: keys.length === 0 ? [] : await readStagedPages(tx, jobId, keys) };
      },
      { ...chunkOptions, readOnly: true },
    );
    await this.#share(rows.filter((row) => staged.get(row.row)?.fate === 'pending'));
    const byDocument = Map.groupBy(pages, (page) => page.docKey);
    const prepared: ChunkRow[] = [];
    const problems: RowProblem[] = [];
    const withFiles: { readonly row: SourceRow; readonly place: StagedRow; readonly images: readonly StagedImage[] }[] =
      [];
    for (const row of rows) {
      const place = staged.get(row.row);
      requireSamePlace(row, place);
      if (place.fate === 'pending' && !row.rejected) {
        const images = byDocument.get(place.controlNumber ?? '') ?? [];
        const waits = images.length > 0 || hasFiles(row) || this.#storedNow.has(row.row);
        if (waits) withFiles.push({ row, place, images });
        else prepared.push(this.#withoutFiles(row, place));
      }
      const changed = overwrittenDuplicate(row, place);
      if (changed !== undefined) problems.push(changed);
    }
    await workAtOnce(withFiles, filesAtOnce, async ({ row, place, images }) => {
      prepared.push(await this.#prepareRow(row, place, images));
    });
    return { rows: prepared.sort((a, b) => a.row.row - b.row.row), problems, first, last };
  }

  /** A row without files, such as those of a load file that only states values: nothing is waited for. */
  #withoutFiles(row: SourceRow, staged: StagedRow): ChunkRow {
    const documentKey = documentKeyOf(this.#held.job.job_id, row.row);
    return { row: numberedAs(row, staged), documentKey, staged, stored: noFiles };
  }

  async #prepareRow(row: SourceRow, staged: StagedRow, pages: readonly StagedImage[]): Promise<ChunkRow> {
    const numbered = numberedAs(row, staged);
    const documentKey = documentKeyOf(this.#held.job.job_id, row.row);
    const now = this.#storedNow.get(row.row);
    this.#storedNow.delete(row.row);
    if (now !== undefined) return { row: numbered, documentKey, staged, stored: now };
    const listed: ListedPage[] = [];
    let original: ListedPage | undefined;
    for (const { position, pageId, line, path } of pages) {
      const page = { position, pageId, line, file: await this.#source.imageFile(path) };
      if (position === originalPosition) original = page;
      else listed.push(page);
    }
    const whole = original === undefined || row.native !== null ? numbered : this.#withOriginal(numbered, original);
    return { row: whole, documentKey, staged, stored: await this.#store(whole, documentKey, staged, listed) };
  }

  /** The row with the original file that the image list names for it. */
  #withOriginal(row: SourceRow, { file, line, pageId }: ListedPage): SourceRow {
    if (!('refused' in file)) return { ...row, native: file };
    const at = { row: row.row, line, path: this.#source.imageList, field: 'nativePath', value: pageId };
    const code = file.code === 'missing' ? 'native_missing' : file.code;
    return {
      ...row,
      problems: [...row.problems, problem('error', code, `The original cannot be taken: ${file.refused}`, at)],
    };
  }

  async #write(prepared: Prepared, isLast: boolean, before: Promise<void>): Promise<void> {
    const { parts, caseId } = this.#held;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const late = await this.#writeOnce(prepared, isLast, before);
        this.#committedTo = prepared.last;
        this.#late = this.#late === null || this.#late.length > maxLate ? null : [...this.#late, ...late];
        parts.onAudited?.(caseId);
        parts.crashPoint('import.chunk.committed');
        return;
      } catch (error) {
        if (!hasCode(error, 'conflict_retries_exhausted') || attempt === writeAttempts) throw error;
      }
    }
  }

  async #writeOnce(
    { rows, problems, first, last }: Prepared,
    isLast: boolean,
    before: Promise<void>,
  ): Promise<readonly number[]> {
    const held = this.#held;
    const { parts, caseId, job } = held;
    const done = await held.transaction(async (tx) => {
      const store = await parts.records.within(caseId, tx);
      const { overlay, strict } = job.request;
      let counts = { imported: 0, overlaid: 0, rejected: 0 };
      let late: readonly number[] = [];
      let files: OverlaidFiles = { places: [], unused: [] };
      let written = rows;
      if (overlay === undefined) {
        const taken = await readTaken(
          tx,
          rows.map((it) => it.row.controlNumber ?? ''),
        );
        written = rows.filter((it) => !taken.has(it.row.controlNumber ?? ''));
        const clashes = rows.filter((it) => taken.has(it.row.controlNumber ?? '')).map(takenMeanwhile);
        const changed = written.filter((it) => isOverwritten(it.row, it.staged, it.stored)).map((it) => it.row);
        await insertProblems(tx, job.job_id, 'importing', [...clashes, ...problems, ...changed.map(overwritten)]);
        await insertLostDuplicates(
          tx,
          job.job_id,
          changed.map((it) => it.row),
        );
        const result = await importChunk(tx, store, this.#context, written, {
          chunkStart: first,
          committedTo: this.#committedTo,
        });
        late = result.late;
        counts = { imported: result.imported, overlaid: 0, rejected: result.rejected + clashes.length };
      } else {
        const result = await overlayChunk(tx, store, this.#context, rows, { mode: overlay.mode, chunkStart: first });
        counts = { imported: 0, overlaid: result.overlaid, rejected: result.rejected };
        files = result.files;
      }
      if (strict && counts.rejected > 0) {
        throw new CaseboundError(
          'validation_failed',
          `${counts.rejected} rows of a chunk were rejected, and the import is strict.`,
        );
      }
      await parts.objects.flush();
      await before;
      parts.crashPoint('import.chunk.written');
      await held.advance(
        tx,
        ['importing'],
        `row_done = $4, imported = imported + $5, overlaid = overlaid + $6, rejected = rejected + $7, files = files + $8, bytes = bytes + $9`,
        [
          last,
          counts.imported,
          counts.overlaid,
          counts.rejected,
          written.reduce((sum, it) => sum + it.stored.files, 0),
          written.reduce((sum, it) => sum + it.stored.bytes, 0),
        ],
      );
      await held.publishProgress(tx);
      if (isLast) await held.handOn(tx);
      // Nobody else has the import until this commits.
      await placeTexts(parts.objects, files);
      return { late, files };
    });
    await parts.objects.delete(done.files.unused);
    return done.late;
  }
}

/**
 * What the stage says of a row is of the row that stood in this place then. A file more or less in a folder moves all that follow it, and
 * they would get the numbers, families and duplicates of others.
 */
function requireSamePlace(row: SourceRow, staged: StagedRow | undefined): asserts staged is StagedRow {
  // As COPY into the stage has written it.
  const path = row.path?.toWellFormed().replaceAll('\0', '\uFFFD') ?? null;
  if (staged !== undefined && staged.path === path) return;
  throw new CaseboundError(
    'import_source_invalid',
    `${row.path ?? `Row ${row.row}`} was not in this place when the source was first read: it changed after the import had begun. The import is undone; wait until whatever writes it has finished, then import it again.`,
  );
}

/** The row with the control number that it was judged by. */
const numberedAs = (row: SourceRow, { controlNumber }: StagedRow): SourceRow =>
  row.controlNumber === controlNumber ? row : { ...row, controlNumber };

const takenMeanwhile = ({ row }: ChunkRow): RowProblem =>
  problem('error', 'control_number_exists', 'An exhibit of the case has this control number.', {
    row: row.row,
    line: row.line,
    path: row.path,
    field: 'controlNumber',
    value: row.controlNumber,
    rejected: true,
  });

/**
 * Imports the rows that are left. Throws `HandedOn` when the slice is over first.
 * @returns the rows whose parents are not linked yet; null when that is not known
 */
export const importRows = async (held: HeldImport, source: RowSource): Promise<readonly number[] | null> =>
  new RowImport(held, source).run();
