/** The paths and images of a page, as PDFium lists them. */
import { type Matrix, multiply } from '../geometry.ts';
import type { OpenDocument } from './open-document.ts';

/** PDFium's page objects (fpdf_edit.h). */
const PATH = 2;
const IMAGE = 3;
const FORM = 5;
const MAX_DEPTH = 30;
const MAX_OBJECTS = 2_000_000;

export interface DrawnObject {
  readonly kind: 'path' | 'image';
  readonly handle: number;
  readonly matrix: Matrix;
}

/** All paths and images of a page, those within forms too, with the matrix to user space. */
export const listObjects = (document: OpenDocument, pageIndex: number): readonly DrawnObject[] => {
  const page = document.page(pageIndex);
  return document.engine.call('list the objects of a page', (native, heap) =>
    heap.scope((allocate) => {
      const target = allocate(24);
      const objects: DrawnObject[] = [];
      const matrixOf = (object: number): Matrix => {
        native.FPDFPageObj_GetMatrix(object, target);
        const [a = 1, b = 0, c = 0, d = 1, e = 0, f = 0] = [0, 4, 8, 12, 16, 20].map((offset) =>
          heap.float32(target + offset),
        );
        return [a, b, c, d, e, f];
      };
      const visit = (object: number, outer: Matrix, depth: number): void => {
        if (objects.length > MAX_OBJECTS || depth > MAX_DEPTH) return;
        const type = native.FPDFPageObj_GetType(object);
        if (type === PATH) objects.push({ kind: 'path', handle: object, matrix: multiply(matrixOf(object), outer) });
        else if (type === IMAGE)
          objects.push({ kind: 'image', handle: object, matrix: multiply(matrixOf(object), outer) });
        else if (type === FORM) {
          const inner = multiply(matrixOf(object), outer);
          const count = native.FPDFFormObj_CountObjects(object);
          for (let at = 0; at < count; at += 1) visit(native.FPDFFormObj_GetObject(object, at), inner, depth + 1);
        }
      };
      const count = native.FPDFPage_CountObjects(page);
      for (let at = 0; at < count; at += 1) visit(native.FPDFPage_GetObject(page, at), [1, 0, 0, 1, 0, 0], 0);
      return objects;
    }),
  );
};
