/** Makes one PDF of images, a page for each, in order; each page has the size that the image states, or fits US Letter. */
import { CaseboundError } from '@casebound/contract';
import { createCosFile } from '../cos/cos-file.ts';
import { array, type CosRef, dict, emptyDict, name } from '../cos/objects.ts';
import { formatNumber } from '../cos/serialize.ts';
import type { Matrix } from '../geometry.ts';
import { defaultLimits, type PdfLimits } from '../limits.ts';
import { embedImage } from './embed-image.ts';

const LETTER_WIDTH = 612;
const LETTER_HEIGHT = 792;

/** Where the unit square of an image goes on a page of `width` x `height`, by EXIF orientation. */
const placement = (orientation: number, width: number, height: number): Matrix => {
  switch (orientation) {
    case 2:
      return [-width, 0, 0, height, width, 0];
    case 3:
      return [-width, 0, 0, -height, width, height];
    case 4:
      return [width, 0, 0, -height, 0, height];
    case 5:
      return [0, -height, -width, 0, width, height];
    case 6:
      return [0, -height, width, 0, 0, height];
    case 7:
      return [0, height, width, 0, 0, 0];
    case 8:
      return [0, height, -width, 0, width, 0];
    default:
      return [width, 0, 0, height, 0, 0];
  }
};

/** Merges TIFF (all pages), JPEG and PNG files. Throws `image_unreadable`, `pdf_too_large`, `validation_failed` without images. */
export const mergeImages = (images: readonly Uint8Array[], limits: Partial<PdfLimits> = {}): Uint8Array => {
  if (images.length === 0) throw new CaseboundError('validation_failed', 'There are no images to merge.');
  const file = createCosFile({ ...defaultLimits, ...limits });
  const pages: CosRef[] = [];
  const tree = file.add(null);
  for (const bytes of images)
    for (const image of embedImage(file, bytes)) {
      const turned = image.orientation >= 5 && image.orientation <= 8;
      let [width, height] = [
        (image.width / (image.dpiX ?? Number.NaN)) * 72,
        (image.height / (image.dpiY ?? image.dpiX ?? Number.NaN)) * 72,
      ];
      if (!(width >= 3 && height >= 3 && width <= 14_400 && height <= 14_400)) {
        const scale = Math.min(LETTER_WIDTH / image.width, LETTER_HEIGHT / image.height);
        [width, height] = [image.width * scale, image.height * scale];
      }
      if (turned) [width, height] = [height, width];
      const matrix = placement(image.orientation, width, height).map(formatNumber).join(' ');
      pages.push(
        file.add(
          dict({
            Type: name('Page'),
            Parent: tree,
            MediaBox: array([0, 0, width, height]),
            Resources: dict({ XObject: dict({ Im1: image.ref }) }),
            Contents: file.addStream(emptyDict, Buffer.from(`q ${matrix} cm /Im1 Do Q`)),
          }),
        ),
      );
    }
  file.replace(tree, dict({ Type: name('Pages'), Kids: array(pages), Count: pages.length }));
  file.replace(file.catalogRef, dict({ Type: name('Catalog'), Pages: tree }));
  return file.write();
};
