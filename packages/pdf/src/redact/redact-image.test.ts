import { hasCode } from '@casebound/contract';
import { deflateSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import type { PdfEngine } from '../engine/create-engine.ts';
import { decodeImageObject } from '../engine/decode-image.ts';
import { listObjects } from '../engine/list-objects.ts';
import { openDocument } from '../engine/open-document.ts';
import { buildPdf, greyPicture, onePage, stream } from '../testing/build-pdf.ts';
import { jbig2Picture, jbig2Pixels, jpeg2000Codestream, jpeg2000File } from '../testing/image-codecs.ts';
import { createTestEngine, expectVerified, findRedactions, redact, textOf } from '../testing/with-engine.ts';
import type { Redaction } from './apply-redactions.ts';

let engine: PdfEngine;
beforeAll(async () => {
  engine = await createTestEngine();
});

/** A gradient of 48 x 32 pixels, baseline JPEG of three components. */
const jpeg = Buffer.from(
  '/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT09PT0//wAARCAAgADADASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDzu06itu17ViWnUVt2vagDatOgratOorFtOgratOooA2rXtW3adqxLXtW3adqAPnu06itu17ViWnUVt2vagDatOgratOorFtOgratOooA2rXtW3adqxLXtW3adqAP/2Q==',
  'base64',
);

const width = 48;
const height = 32;
const grey = greyPicture(width, height);
const area: Redaction = { id: 'r1', pageIndex: 0, rects: [{ left: 90, top: 110, width: 60, height: 40 }] };

const decodeAll = (
  pdf: Uint8Array,
  pageIndex = 0,
): readonly { readonly width: number; readonly channels: number; readonly pixels: Uint8Array }[] => {
  using document = openDocument(engine, pdf);
  return listObjects(document, pageIndex).flatMap(({ kind, handle }) =>
    kind === 'image' ? (decodeImageObject(engine, handle) ?? []) : [],
  );
};

const image = (dict: string, data: string | Uint8Array): string =>
  stream(`/Type/XObject/Subtype/Image/Width ${width}/Height ${height}${dict}`, data);

/** The image covers 50..350 x 50..250: 6.25 points a pixel. */
const page = (objects: readonly string[], content = 'q 300 0 0 200 50 50 cm /Im Do Q'): Uint8Array =>
  onePage({ content, resources: '/XObject<</Im 6 0 R>>', more: objects });

const rgb = Buffer.from(Array.from(grey, (value, at) => [value, 255 - value, at % 256]).flat());
const cmyk = Buffer.from(Array.from(grey, (value, at) => [value, 255 - value, at % 256, 10]).flat());
const bits = Buffer.from(Array.from({ length: (width / 8) * height }, (_, at) => (at * 37 + (at >> 3)) & 255));

describe('pixels under a redaction', () => {
  it.each([
    ['grey', [image('/ColorSpace/DeviceGray/BitsPerComponent 8', grey)]],
    [
      'RGB, deflated with a predictor',
      [image('/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode', deflateSync(rgb))],
    ],
    ['CMYK', [image('/ColorSpace/DeviceCMYK/BitsPerComponent 8', cmyk)]],
    [
      'indexed',
      [
        image('/ColorSpace[/Indexed/DeviceRGB 255 7 0 R]/BitsPerComponent 8', grey),
        stream('', Buffer.from(Array.from({ length: 768 }, (_, at) => (at * 5) % 256))),
      ],
    ],
    ['bitonal', [image('/ColorSpace/DeviceGray/BitsPerComponent 1', bits)]],
    ['JPEG', [image('/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode', jpeg)]],
    [
      'hex in ASCII',
      [
        image(
          '/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/ASCIIHexDecode',
          Buffer.from(grey).toString('hex') + '>',
        ),
      ],
    ],
    [
      'JPEG 2000, a bare codestream',
      [image('/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/JPXDecode', jpeg2000Codestream)],
    ],
    ['JPEG 2000, a JP2 file that brings its own colour space', [image('/Filter/JPXDecode', jpeg2000File)]],
    ['JBIG2', [image('/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/JBIG2Decode', jbig2Picture)]],
    [
      'JBIG2 with globals',
      [
        image(
          '/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/JBIG2Decode/DecodeParms<</JBIG2Globals 7 0 R>>',
          jbig2Picture,
        ),
        // A comment: segment 5 of type 62, of no page, with 8 bytes.
        stream('', Buffer.from('000000053e000000000008200000006100620000', 'hex')),
      ],
    ],
    ['a stencil mask of JBIG2', [image('/ImageMask true/BitsPerComponent 1/Filter/JBIG2Decode', jbig2Picture)]],
    [
      'an image with a stencil mask of JBIG2',
      [
        image('/ColorSpace/DeviceGray/BitsPerComponent 8/Mask 7 0 R', grey),
        image('/ImageMask true/BitsPerComponent 1/Filter/JBIG2Decode', jbig2Picture),
      ],
    ],
    [
      'an image with a soft mask of JPEG 2000',
      [
        image('/ColorSpace/DeviceGray/BitsPerComponent 8/SMask 7 0 R', grey),
        image('/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/JPXDecode', jpeg2000Codestream),
      ],
    ],
    ['a stencil mask', [image('/ImageMask true/BitsPerComponent 1', bits)]],
    [
      'an image with a soft mask',
      [
        image('/ColorSpace/DeviceGray/BitsPerComponent 8/SMask 7 0 R', grey),
        image('/ColorSpace/DeviceGray/BitsPerComponent 8', grey),
      ],
    ],
    ['an image with a colour-key mask', [image('/ColorSpace/DeviceGray/BitsPerComponent 8/Mask[10 20]', grey)]],
  ])('go: %s', async (_name, objects) => {
    const pdf = page(objects);
    const before = decodeAll(pdf)[0];
    const result = await redact(engine, pdf, [area]);
    expectVerified(result);
    expect(result.report.removed.images).toBe(1);
    const after = decodeAll(result.output)[0];
    if (before === undefined || after === undefined) throw new Error('no image');
    // Far from the area every sample is what it was; colour spaces may widen grey to RGB or narrow it.
    for (let row = 0; row < height; row += 1)
      for (let column = 0; column < 5; column += 1) {
        const one = before.pixels[(row * width + column) * before.channels];
        expect(after.pixels[(row * width + column) * after.channels]).toBe(one);
      }
  });

  it('of JBIG2 outside the area stay black and white as they were', async () => {
    const pdf = page([image('/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/JBIG2Decode', jbig2Picture)]);
    const [before] = decodeAll(pdf);
    const black = (row: number, column: number): boolean =>
      (((jbig2Pixels[(row * width + column) >> 3] ?? 0) >> (7 - (column & 7))) & 1) === 1;
    for (let row = 0; row < height; row += 1)
      for (let column = 0; column < width; column += 1)
        expect(before?.pixels[(row * width + column) * before.channels]).toBe(black(row, column) ? 0 : 255);
    const { output } = await redact(engine, pdf, [area]);
    expect(Buffer.from(output).toString('latin1')).toMatch(/\/BitsPerComponent 1\b/);
  });

  it.each([
    ['JPEG 2000', '/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/JPXDecode', jpeg2000Codestream.subarray(0, 60)],
    ['JBIG2', '/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/JBIG2Decode', jbig2Picture.subarray(0, 20)],
    ['JPEG', '/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode', jpeg.subarray(0, 40)],
    ['a codec that nobody knows', '/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/Secret', Buffer.from('SECRET')],
    [
      'JPEG 2000 with transparency of its own',
      '/ColorSpace/DeviceGray/BitsPerComponent 8/SMaskInData 1/Filter/JPXDecode',
      jpeg2000Codestream,
    ],
  ])('that cannot be read under a redaction stop the document, with a reason: %s', async (_name, dict, data) => {
    const failure = await redact(engine, page([image(dict, data)]), [area]).catch((error: unknown) => error);
    expect(hasCode(failure, 'pdf_damaged'), String(failure)).toBe(true);
    expect(String(failure)).toMatch(/image/);
    // Elsewhere on the page it does no harm.
    const beside = [{ ...area, rects: [{ left: 5, top: 5, width: 20, height: 20 }] }];
    expectVerified(await redact(engine, page([image(dict, data)]), beside));
  });

  it('go from an inline image that holds the letters EI, and the image stays elsewhere', async () => {
    const data = Buffer.from(grey);
    data.set(Buffer.from(' EI Q '), 100);
    const content = Buffer.concat([
      Buffer.from(`q 300 0 0 200 50 50 cm BI /W ${width} /H ${height} /CS /G /BPC 8 ID `),
      data,
      Buffer.from('\nEI Q BT /F1 12 Tf 60 20 Td (after) Tj ET'),
    ]);
    const result = await redact(engine, onePage({ content }), [area]);
    expectVerified(result);
    expect(decodeAll(result.output)).toHaveLength(1);
    expect(textOf(engine, result.output)).toContain('after');
  });

  it('go with the whole image when it lies under the redaction', async () => {
    const pdf = page([image('/ColorSpace/DeviceGray/BitsPerComponent 8', grey)], 'q 40 0 0 20 100 155 cm /Im Do Q');
    const result = await redact(engine, pdf, [area]);
    expectVerified(result);
    expect(decodeAll(result.output)).toHaveLength(0);
    expect(Buffer.from(result.output).includes(Buffer.from(grey))).toBe(false);
  });

  it('go from a turned image', async () => {
    const pdf = page(
      [image('/ColorSpace/DeviceGray/BitsPerComponent 8', grey)],
      'q 150 100 -80 120 150 40 cm /Im Do Q',
    );
    const result = await redact(engine, pdf, [{ ...area, rects: [{ left: 150, top: 120, width: 50, height: 50 }] }]);
    expectVerified(result);
    expect(result.report.removed.images).toBe(1);
  });

  it('go together with the recognised text over the scan', async () => {
    const pdf = page(
      [image('/ColorSpace/DeviceGray/BitsPerComponent 8', grey)],
      'q 300 0 0 200 50 50 cm /Im Do Q BT 3 Tr /F1 14 Tf 60 150 Td (Pay SECRET now) Tj ET',
    );
    const result = await redact(engine, pdf, findRedactions(engine, pdf, 'SECRET'));
    expectVerified(result);
    expect(textOf(engine, result.output)).toMatch(/Pay\s+now/);
    expect(result.report.removed).toMatchObject({ glyphs: 6, images: 1 });
  });

  it('stay on another page that draws the same image, and go from a page that only lists it', async () => {
    const resources = '/Resources<</XObject<</Im 9 0 R/Other 10 0 R>>>>';
    const build = (second: string): Uint8Array =>
      buildPdf([
        '<</Type/Catalog/Pages 2 0 R>>',
        `<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2${resources}>>`,
        '<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Contents 5 0 R>>',
        '<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 300]/Contents 6 0 R>>',
        stream('', 'q 300 0 0 200 50 50 cm /Im Do Q'),
        stream('', second),
        'null',
        'null',
        image('/ColorSpace/DeviceGray/BitsPerComponent 8', grey),
        image(
          '/ColorSpace/DeviceGray/BitsPerComponent 8',
          grey.map((value) => 255 - value),
        ),
      ]);
    const shared = await redact(engine, build('q 300 0 0 200 50 50 cm /Im Do Q'), [area]);
    expectVerified(shared);
    expect(decodeAll(shared.output, 1)[0]?.pixels).toEqual(grey);
    const listed = await redact(engine, build('q 300 0 0 200 50 50 cm /Other Do Q'), [area]);
    expectVerified(listed);
    const everything = Buffer.from(listed.output).toString('latin1');
    expect(everything.match(/\/Subtype ?\/Image/g)).toHaveLength(2);
  });
});

describe('paths under a redaction', () => {
  it('are cut, and what lies outside stays', async () => {
    const pdf = onePage({
      content:
        '0.2 0.4 0.8 rg 100 140 80 30 re 20 20 10 10 re f 2 w 60 100 m 200 200 l 200 100 l S 1 0 0 RG 95 155 m 120 180 130 120 160 160 c S',
    });
    const result = await redact(engine, pdf, [area]);
    expectVerified(result);
    expect(result.report.removed.paths).toBe(3);
  });

  it('stay when they only surround it: a background says nothing about what was there', async () => {
    const pdf = onePage({ content: '0.9 g 0 0 400 300 re f 0 0 400 300 re W n' });
    const result = await redact(engine, pdf, [area]);
    expectVerified(result);
    expect(result.report.removed.paths).toBe(0);
  });
});
