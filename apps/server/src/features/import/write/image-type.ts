/** What the first bytes of a page image say it is: productions name files `.tif` that are something else. */
export type ImageType = 'image/tiff' | 'image/jpeg' | 'image/png' | 'application/pdf' | 'image/gif' | 'image/bmp';

const signatures: readonly (readonly [ImageType, readonly number[]])[] = [
  ['image/tiff', [0x49, 0x49, 0x2a, 0x00]],
  ['image/tiff', [0x4d, 0x4d, 0x00, 0x2a]],
  ['image/tiff', [0x49, 0x49, 0x2b, 0x00]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['application/pdf', [0x25, 0x50, 0x44, 0x46]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
  ['image/bmp', [0x42, 0x4d]],
];

/** Undefined for bytes that are no page image. */
export const imageTypeOf = (head: Uint8Array): ImageType | undefined =>
  signatures.find(([, signature]) => signature.every((byte, index) => head[index] === byte))?.[0];

/** Images that become pages: a loose one, or one that is the native of a row, is a document of as many pages as it has. */
const pageTypes: ReadonlySet<string> = new Set<ImageType>(['image/tiff', 'image/jpeg', 'image/png']);

export const isPageImage = (mime: string | null | undefined): boolean =>
  mime !== null && mime !== undefined && pageTypes.has(mime);
