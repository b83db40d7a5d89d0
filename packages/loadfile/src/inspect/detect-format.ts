/** Which format a load file is in, from the beginning of its text and, where that leaves it open, the ending of its name. */

export type LoadFileFormat = 'delimited' | 'opticon' | 'lfp' | 'edrm-xml';

export interface FormatDetection {
  readonly format: LoadFileFormat;
  /** 0 to 1. */
  readonly confidence: number;
  readonly reason: string;
}

const imageFile = /\.(?:tiff?|jpe?g|png|pdf|bmp|gif|jp2|jb2)$/iu;

/** Judges complete lines only, at most 200 of them. */
const firstLines = (text: string, complete: boolean): string[] => {
  const lines = text.slice(0, 65_536).split(/\r\n|\n|\r/u);
  if (!(complete && text.length <= 65_536) && lines.length > 1) lines.pop();
  return lines.filter((line) => line.trim() !== '').slice(0, 200);
};

const share = (lines: readonly string[], fits: (line: string) => boolean): number =>
  lines.length === 0 ? 0 : lines.filter(fits).length / lines.length;

const isOpticonLine = (line: string): boolean => {
  const cells = line.split(',').map((cell) => cell.trim());
  if (cells.length < 4 || cells.length > 7) return false;
  const flags = cells.slice(3, 6);
  return (
    imageFile.test(cells[2] ?? '') &&
    flags.every((flag) => flag === '' || /^[yn]$/iu.test(flag)) &&
    /^\d*$/u.test(cells[6] ?? '')
  );
};

/** Decides on the format of a text. Everything that is no image list and no XML is delimited. */
export const detectFormat = (text: string, complete: boolean, fileName = ''): FormatDetection => {
  const extension = /\.([a-z]{2,4})$/iu.exec(fileName)?.[1]?.toLowerCase() ?? '';
  const start = text
    .replace(/^\uFEFF/u, '')
    .trimStart()
    .slice(0, 2000);
  if (start.startsWith('<?xml') || /^<(?:!--|!DOCTYPE|[a-z]*:?root\b)/iu.test(start)) {
    return { format: 'edrm-xml', confidence: /<(?:\w+:)?root\b/iu.test(start) ? 1 : 0.5, reason: 'The text is XML.' };
  }
  const lines = firstLines(text, complete);
  const lfp = share(lines, (line) => /^(?:IM|OF),[^,]*,/iu.test(line) || line.startsWith('##'));
  if (lfp >= 0.5 || (extension === 'lfp' && lfp > 0)) {
    return { format: 'lfp', confidence: Math.max(lfp, 0.5), reason: 'Lines start with IPRO commands.' };
  }
  const opticon = share(lines, isOpticonLine);
  if (opticon >= 0.5 || (extension === 'opt' && lines.length > 0)) {
    const reason = opticon > 0 ? 'Lines name a page, a volume, an image file and breaks.' : 'The name ends with .opt.';
    return { format: 'opticon', confidence: Math.round(opticon * 100) / 100, reason };
  }
  const reason = 'The text is neither XML nor a list of images.';
  return { format: 'delimited', confidence: lines.length === 0 ? 0 : 0.9, reason };
};
