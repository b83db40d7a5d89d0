/**
 * Writes a sample: the production of a fictional dispute, as one party would send it to the other.
 *
 * - The same options give the same bytes, whatever the machine, the time zone and the day.
 * - Memory does not grow with the number of documents: a family is planned, rendered, written and forgotten.
 * - A folder holds a marker until its sample is whole.
 */
import { CaseboundError } from '@casebound/contract';
import path from 'node:path';
import { listSampleFields } from './custom-fields.ts';
import { renderGlyphs } from './formats/draw-page.ts';
import { BODY_SIZE, HEADING_SIZE } from './formats/lay-out-text.ts';
import { VolumePaths } from './output/volume-paths.ts';
import { createFolderSink } from './output/write-folder.ts';
import { LoadFileOutput } from './output/write-load-files.ts';
import { createZipSink } from './output/write-zip.ts';
import { planFamilies } from './plan-families.ts';
import { FlawPlan } from './plant-flaws.ts';
import { fileNames, prepareFolder, releaseFolder } from './prepare-folder.ts';
import { checkOptions, type SampleOptions, type SampleSummary } from './sample-options.ts';
import { CountingSink, type Parts, startTally } from './sample-parts.ts';
import { writeFamily } from './write-family.ts';
import { writeMail } from './write-mail.ts';

const REPORT_EVERY_MS = 500;

/**
 * Writes a sample to `folder`.
 * @throws CaseboundError `validation_failed` for options that cannot be, and for a folder that is not empty; `request_aborted` when
 *   `signal` aborts, which leaves the marker.
 */
export const createSample = async (folder: string, given: SampleOptions): Promise<SampleSummary> => {
  const options = checkOptions(given);
  const started = performance.now();
  const root = path.resolve(folder);
  await prepareFolder(root, options.force);
  const sink = new CountingSink(options.zip ? createZipSink(root) : createFolderSink(root));
  const fields = listSampleFields(options.fields);
  const parts: Parts = {
    options,
    fields,
    sink,
    loadFiles: new LoadFileOutput(sink, fields, { loadFile: !options.mailOnly }),
    glyphs: options.loadFileOnly ? { glyph: () => undefined } : await renderGlyphs([BODY_SIZE, HEADING_SIZE]),
    tally: startTally(),
    flaws: new FlawPlan(options.flaws),
    paths: new VolumePaths(),
    numbers: new Map(),
  };
  const { tally, loadFiles } = parts;
  const seconds = (): number => (performance.now() - started) / 1000;
  const summarize = (): Omit<SampleSummary, 'folder' | 'seconds' | 'files' | 'bytes'> => ({
    seed: options.seed,
    documents: tally.documents,
    families: tally.families,
    duplicates: tally.duplicates,
    pages: tally.pages,
    fields: options.mailOnly ? 0 : fields.length,
    custodians: tally.custodians.size,
    documentsByKind: tally.byKind,
    annotations: tally.annotations,
    redactedDocuments: tally.redactedDocuments,
    flaws: parts.flaws.planted,
    loadFile: options.mailOnly ? undefined : fileNames.loadFile,
    imageList: options.mailOnly || options.loadFileOnly ? undefined : fileNames.imageList,
    truth: fileNames.truth,
  });
  try {
    await loadFiles.start(options);
    let reported = performance.now();
    const write = options.mailOnly ? writeMail : writeFamily;
    for (const family of planFamilies(options.seed, options)) {
      if (given.signal?.aborted === true)
        throw new CaseboundError('request_aborted', `The sample was given up; what is in \`${root}\` is not whole.`);
      await write(parts, family, options.documents - tally.documents);
      tally.families += 1;
      tally.custodians.add(family.custodian.sortName);
      if (performance.now() - reported >= REPORT_EVERY_MS) {
        reported = performance.now();
        given.onProgress?.({ documents: tally.documents, total: options.documents, seconds: seconds() });
        // Lets signals in.
        await new Promise(setImmediate);
      }
      if (tally.documents >= options.documents) break;
    }
    await loadFiles.finish(summarize());
    await sink.finish();
    await releaseFolder(root);
  } catch (error) {
    await sink.abandon();
    throw error;
  }
  return { folder: root, ...summarize(), files: sink.files, bytes: sink.bytes, seconds: seconds() };
};
