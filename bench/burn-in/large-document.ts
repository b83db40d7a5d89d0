/**
 * A process that burns in one large document through the worker pool and prints time and memory:
 * `large-document.ts pages | bytes`.
 */
import { defaultRouting, parseInstantJson } from '@casebound/pdf';
import { pdfWorkersConfigSchema } from '../../apps/server/src/platform/document-engine/config.ts';
import { createPdfWorkers } from '../../apps/server/src/platform/document-engine/pdf-workers/create-pdf-workers.ts';

const mebibyte = 1024 * 1024;

interface Large {
  readonly pdf: Uint8Array;
  readonly pages: number;
}

/** `pages` pages of 40 lines; each with a picture of `pixels` x `pixels` noise, which nothing compresses. */
const build = (pages: number, pixels: number): Large => {
  const parts: Buffer[] = [Buffer.from('%PDF-1.7\n')];
  const offsets: number[] = [];
  let at = parts[0]?.length ?? 0;
  const add = (...bytes: readonly Buffer[]): void => {
    offsets.push(at);
    const whole = [Buffer.from(`${offsets.length} 0 obj\n`), ...bytes, Buffer.from('\nendobj\n')];
    for (const part of whole) at += part.length;
    parts.push(...whole);
  };
  const step = pixels === 0 ? 2 : 3;
  const first = 4;
  add(Buffer.from('<</Type/Catalog/Pages 2 0 R>>'));
  add(
    Buffer.from(
      `<</Type/Pages/MediaBox[0 0 612 792]/Count ${pages}/Kids[${Array.from({ length: pages }, (_, page) => `${first + page * step} 0 R`).join(' ')}]>>`,
    ),
  );
  add(Buffer.from('<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>'));
  let seed = 1;
  for (let page = 0; page < pages; page += 1) {
    const own = first + page * step;
    const image = pixels === 0 ? '' : `/XObject<</Im ${own + 2} 0 R>>`;
    add(Buffer.from(`<</Type/Page/Parent 2 0 R/Resources<</Font<</F1 3 0 R>>${image}>>/Contents ${own + 1} 0 R>>`));
    const lines = Array.from(
      { length: 40 },
      (_, line) =>
        `BT /F1 10 Tf 60 ${740 - line * 16} Td (Page ${page} line ${line} says what a line of a page says) Tj ET`,
    );
    if (pixels > 0) lines.unshift('q 200 0 0 200 380 60 cm /Im Do Q');
    const content = lines.join('\n');
    add(Buffer.from(`<</Length ${content.length}>>\nstream\n${content}\nendstream`));
    if (pixels === 0) continue;
    const noise = Buffer.allocUnsafeSlow(pixels * pixels * 3);
    for (let byte = 0; byte + 4 <= noise.length; byte += 4) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) | 0;
      noise.writeInt32LE(seed, byte);
    }
    add(
      Buffer.from(
        `<</Type/XObject/Subtype/Image/Width ${pixels}/Height ${pixels}/ColorSpace/DeviceRGB/BitsPerComponent 8/Length ${noise.length}>>\nstream\n`,
      ),
      noise,
      Buffer.from('\nendstream'),
    );
  }
  const start = at;
  parts.push(
    Buffer.from(
      `xref\n0 ${offsets.length + 1}\n0000000000 65535 f \n${offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')}trailer\n<</Size ${offsets.length + 1}/Root 1 0 R>>\nstartxref\n${start}\n%%EOF\n`,
    ),
  );
  const pdf = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let target = 0;
  for (const part of parts) {
    pdf.set(part, target);
    target += part.length;
  }
  return { pdf, pages };
};

const { pdf, pages } = process.argv[2] === 'bytes' ? build(470, 600) : build(5_000, 0);
const size = pdf.byteLength;
const annotations = parseInstantJson({
  annotations: Array.from({ length: 10 }, (_, at) => ({
    id: `r${at}`,
    type: 'pspdfkit/markup/redaction',
    pageIndex: Math.floor((at * pages) / 10),
    rects: [
      [60, 100, 120, 14],
      [400, 600, 100, 60],
    ],
  })),
});
const workers = createPdfWorkers(pdfWorkersConfigSchema.parse({ workers: 1 }));
await workers.text({ pdf: Uint8Array.from(pdf.subarray(0)), pages: [0] });
const before = process.memoryUsage().rss;
let peak = before;
const watch = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage().rss);
}, 50);
const started = performance.now();
const result = await workers.burnIn({
  pdf,
  annotations,
  routing: defaultRouting,
  stamps: [{ anchor: 'bottom-right', text: Array.from({ length: pages }, (_, page) => `ACME${page}`) }],
});
const seconds = (performance.now() - started) / 1000;
clearInterval(watch);
console.log(
  JSON.stringify({
    pages,
    'size MiB': Math.round(size / mebibyte),
    seconds: Math.round(seconds * 10) / 10,
    'pages/s': Math.round(pages / seconds),
    'peak MiB': Math.round(peak / mebibyte),
    'times the size': Math.round((peak / size) * 10) / 10,
    proved: result.redactionReport.verification?.verified === true,
  }),
);
await workers.close();
