/** The pages of an exhibit's PDF: their sizes, their pictures, and where words stand on them. */
import { CaseboundError, type FileAnswer } from '@casebound/contract';
import type { TextMatch } from '@casebound/pdf';
import type { PageSize } from '../../platform/document-engine/Port.ts';
import { fileOf } from './attachments.ts';
import type { AnnotationDependencies } from './dependencies.ts';
import { engineCall, type ExhibitCall, openExhibit } from './exhibit-document.ts';

/** Of one picture: a page of A2 at 300 dpi. */
const maxPixels = 40_000_000;
const maxMatches = 10_000;
const pointsPerInch = 72;

export const listPages = async (parts: AnnotationDependencies, call: ExhibitCall): Promise<readonly PageSize[]> => {
  const { engineId } = await openExhibit(parts, call);
  return parts.engine.pageSizes(engineId, engineCall(call));
};

/** Errors: `pdf_page_out_of_range`, `pdf_too_large`. */
export const renderPage = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  pageIndex: number,
  { dpi, annotations }: { readonly dpi: number; readonly annotations: boolean },
): Promise<FileAnswer> => {
  const { engineId, controlNumber } = await openExhibit(parts, call);
  const pages = await parts.engine.pageSizes(engineId, engineCall(call));
  const page = pages[pageIndex];
  if (page === undefined)
    throw new CaseboundError(
      'pdf_page_out_of_range',
      `The document has ${pages.length} pages, counted from 0; ${pageIndex} is none.`,
    );
  if (page.width * page.height * (dpi / pointsPerInch) ** 2 > maxPixels)
    throw new CaseboundError(
      'pdf_too_large',
      `The page has more than ${maxPixels} pixels at ${dpi} dpi; ask for fewer.`,
    );
  const png = await parts.engine.renderPage(engineId, pageIndex, { ...engineCall(call), dpi, annotations });
  return fileOf(png, 'image/png', `${controlNumber}-page-${pageIndex + 1}.png`);
};

/** Errors: `validation_failed` for a pattern that is none, `pdf_timeout` for one that takes too long. */
export const searchText = async (
  parts: AnnotationDependencies,
  call: ExhibitCall,
  query: string,
): Promise<readonly TextMatch[]> => {
  const { engineId } = await openExhibit(parts, call);
  const matches = await parts.engine.searchText(engineId, query, engineCall(call));
  if (matches.length > maxMatches)
    throw new CaseboundError(
      'validation_failed',
      `There are ${matches.length} matches, more than ${maxMatches}; ask for rarer words.`,
    );
  return matches;
};
