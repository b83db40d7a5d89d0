/** Annotations for tests, one of every kind. */
import type { CommentAnnotation, PageAnnotation } from '@casebound/pdf';
import { deflateSync } from 'node:zlib';

const crcTable = Array.from({ length: 256 }, (_, at) => {
  let value = at;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

const crc = (bytes: Uint8Array): number => {
  let value = 0xffffffff;
  for (const byte of bytes) value = ((crcTable[(value ^ byte) & 255] ?? 0) ^ (value >>> 8)) >>> 0;
  return (value ^ 0xffffffff) >>> 0;
};

const chunk = (type: string, data: Uint8Array): Buffer => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc(body), body.length + 4);
  return out;
};

/** A picture of one grey; other values give other bytes. */
export const samplePng = (value = 128, width = 8, height = 4): Uint8Array => {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const rows = Buffer.alloc(height * (width + 1), value);
  for (let row = 0; row < height; row += 1) rows[row * (width + 1)] = 0;
  return Uint8Array.from(
    Buffer.concat([
      Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
      chunk('IHDR', header),
      chunk('IDAT', deflateSync(rows)),
      chunk('IEND', new Uint8Array(0)),
    ]),
  );
};

type Box = [number, number, number, number];

export const highlight = (id: string, pageIndex = 0, bbox: Box = [200, 200, 80, 12]): PageAnnotation => ({
  v: 2,
  id,
  type: 'pspdfkit/markup/highlight',
  pageIndex,
  bbox,
  rects: [bbox],
  color: '#FFFF00',
  blendMode: 'multiply',
});

export const note = (id: string, text = 'a note', pageIndex = 0): PageAnnotation => ({
  v: 2,
  id,
  type: 'pspdfkit/note',
  pageIndex,
  bbox: [300, 20, 24, 24],
  text: { format: 'plain', value: text },
  icon: 'comment',
  customData: { tags: ['a', 1] },
});

export const redaction = (id: string, bbox: Box, pageIndex = 0): PageAnnotation => ({
  v: 2,
  id,
  type: 'pspdfkit/markup/redaction',
  pageIndex,
  bbox,
  rects: [bbox],
  fillColor: '#000000',
});

export const sticker = (id: string, attachmentId: string, pageIndex = 0): PageAnnotation => ({
  v: 2,
  id,
  type: 'pspdfkit/image',
  pageIndex,
  bbox: [200, 240, 40, 20],
  imageAttachmentId: attachmentId,
  contentType: 'image/png',
});

export const stamp = (
  id: string,
  text: string,
  type: 'bates_stamp' | 'confidentiality_stamp' = 'bates_stamp',
): PageAnnotation => ({
  v: 2,
  id,
  type: 'pspdfkit/text',
  pageIndex: 0,
  bbox: [280, 270, 110, 20],
  text: { format: 'plain', value: text },
  fontSize: 10,
  customData: { type },
});

export const comment = (id: string, rootId: string, text = 'why?', pageIndex = 0): CommentAnnotation => ({
  v: 2,
  id,
  type: 'pspdfkit/comment',
  pageIndex,
  rootId,
  text: { format: 'plain', value: text },
});
