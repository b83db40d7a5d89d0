/**
 * The paths and images of a page, as PDFium lists them.
 *
 * - Nothing is left out in silence: a page of more objects, or deeper forms, than can be listed fails.
 */
import { CaseboundError } from '@casebound/contract';
import { type Box, identity, type Matrix, multiply, overlaps, transformBox } from '../geometry.ts';
import type { OpenDocument } from './open-document.ts';

/** PDFium's page objects (fpdf_edit.h). */
const PATH = 2;
const IMAGE = 3;
const FORM = 5;
const MAX_DEPTH = 100;
const MAX_OBJECTS = 2_000_000;
/** Points by which bounds are widened before they are compared with an area. */
const MARGIN = 1;

const unit: Box = { left: 0, bottom: 0, right: 1, top: 1 };

export interface DrawnObject {
  readonly kind: 'path' | 'image';
  readonly handle: number;
  readonly matrix: Matrix;
}

/** The paths and images of a page that may meet an area (user space), those within forms too, with the matrix to user space. */
export const listObjects = (
  document: OpenDocument,
  pageIndex: number,
  areas?: readonly Box[],
): readonly DrawnObject[] => {
  const page = document.page(pageIndex);
  return document.engine.call('list the objects of a page', (native, heap, runtime) =>
    heap.scope((allocate) => {
      const hot = runtime.wasmExports;
      const target = allocate(32);
      const objects: DrawnObject[] = [];
      let seen = 0;
      const matrixOf = (object: number): Matrix => {
        hot.FPDFPageObj_GetMatrix(object, target);
        const floats = runtime.HEAPF32;
        const at = target >>> 2;
        return [
          floats[at] ?? 1,
          floats[at + 1] ?? 0,
          floats[at + 2] ?? 0,
          floats[at + 3] ?? 1,
          floats[at + 4] ?? 0,
          floats[at + 5] ?? 0,
        ];
      };
      const mayMeet = (bounds: Box): boolean => {
        const wide = {
          left: bounds.left - MARGIN,
          bottom: bounds.bottom - MARGIN,
          right: bounds.right + MARGIN,
          top: bounds.top + MARGIN,
        };
        return areas === undefined || areas.some((area) => overlaps(area, wide));
      };
      /** True also where PDFium states no bounds. */
      const pathMayMeet = (object: number, outer: Matrix): boolean => {
        // left, bottom, right, top in floats, in the space of the form that holds the path.
        if (areas === undefined || hot.FPDFPageObj_GetBounds(object, target, target + 4, target + 8, target + 12) === 0)
          return true;
        const floats = runtime.HEAPF32;
        const at = target >>> 2;
        const bounds = {
          left: floats[at] ?? Number.NaN,
          bottom: floats[at + 1] ?? Number.NaN,
          right: floats[at + 2] ?? Number.NaN,
          top: floats[at + 3] ?? Number.NaN,
        };
        if (!Object.values(bounds).every(Number.isFinite)) return true;
        return mayMeet(outer === identity ? bounds : transformBox(outer, bounds));
      };
      const visit = (object: number, outer: Matrix, depth: number): void => {
        seen += 1;
        if (seen > MAX_OBJECTS || depth > MAX_DEPTH)
          throw new CaseboundError(
            'pdf_too_large',
            `The page with index ${pageIndex} has more than ${MAX_OBJECTS} objects, or forms in more than ${MAX_DEPTH} levels.`,
          );
        const type = hot.FPDFPageObj_GetType(object);
        if (type === PATH) {
          if (pathMayMeet(object, outer))
            objects.push({ kind: 'path', handle: object, matrix: multiply(matrixOf(object), outer) });
        } else if (type === IMAGE) {
          const matrix = multiply(matrixOf(object), outer);
          if (mayMeet(transformBox(matrix, unit))) objects.push({ kind: 'image', handle: object, matrix });
        } else if (type === FORM) {
          const inner = multiply(matrixOf(object), outer);
          const count = native.FPDFFormObj_CountObjects(object);
          for (let at = 0; at < count; at += 1) visit(hot.FPDFFormObj_GetObject(object, at), inner, depth + 1);
        }
      };
      const count = native.FPDFPage_CountObjects(page);
      for (let at = 0; at < count; at += 1) visit(hot.FPDFPage_GetObject(page, at), identity, 0);
      return objects;
    }),
  );
};
