/** The files that describe a production: DAT, OPT, and the truth about it. They grow while documents are written, some hundred rows at a time. */
import { datDialect, type OpticonPage, writeDelimited, writeOpticon } from '@casebound/loadfile';
import type { SampleField } from '../custom-fields.ts';
import { loadHeader, VOLUME } from '../load-columns.ts';
import { fileNames } from '../prepare-folder.ts';
import type { CheckedOptions } from '../sample-options.ts';
import type { SampleSink } from './Sink.ts';

const ROWS_AT_A_TIME = 500;

export class LoadFileOutput {
  readonly #sink: SampleSink;
  readonly #fields: readonly SampleField[];
  readonly #hasLoadFile: boolean;
  #rows: string[][] = [];
  #pages: OpticonPage[] = [];
  #truth = '';
  #started = false;

  constructor(sink: SampleSink, fields: readonly SampleField[], { loadFile }: { readonly loadFile: boolean }) {
    this.#sink = sink;
    this.#fields = fields;
    this.#hasLoadFile = loadFile;
  }

  async start({ seed, prefix, documents, flaws, mailOnly, loadFileOnly }: CheckedOptions): Promise<void> {
    await this.addTruth({ kind: 'sample', seed, prefix, documents, flaws, mailOnly, loadFileOnly });
    if (!this.#hasLoadFile) return;
    for (const field of this.#fields) await this.addTruth({ ...field, kind: 'field' });
    if (!loadFileOnly) await this.#sink.append(fileNames.imageList, new Uint8Array(0));
  }

  async addRow(cells: string[]): Promise<void> {
    this.#rows.push(cells);
    if (this.#rows.length >= ROWS_AT_A_TIME) await this.#flush();
  }

  async addPage(page: Pick<OpticonPage, 'pageId' | 'path' | 'documentBreak' | 'pageCount'>): Promise<void> {
    this.#pages.push({
      ...page,
      path: page.path.replaceAll('/', '\\'),
      volume: VOLUME,
      folderBreak: false,
      boxBreak: false,
    });
    if (this.#pages.length >= ROWS_AT_A_TIME) await this.#flush();
  }

  async addTruth(line: Record<string, unknown>): Promise<void> {
    this.#truth += `${JSON.stringify(line)}\n`;
    if (this.#truth.length >= 65_536) await this.#flush();
  }

  async finish(summary: Record<string, unknown>): Promise<void> {
    await this.addTruth({ ...summary, kind: 'summary' });
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const [rows, pages, truth] = [this.#rows, this.#pages, this.#truth];
    this.#rows = [];
    this.#pages = [];
    this.#truth = '';
    if (this.#hasLoadFile && (rows.length > 0 || !this.#started)) {
      const header = [...loadHeader, ...this.#fields.map(({ name }) => name)];
      const once = this.#started ? { bom: false } : { bom: true, header };
      this.#started = true;
      for await (const piece of writeDelimited(rows, { dialect: datDialect, ...once }))
        await this.#sink.append(fileNames.loadFile, piece);
    }
    for await (const piece of writeOpticon(pages)) await this.#sink.append(fileNames.imageList, piece);
    if (truth !== '') await this.#sink.append(fileNames.truth, Buffer.from(truth));
  }
}
