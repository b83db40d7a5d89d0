/**
 * What a file is: by its bytes where they tell, by its name where they do not. Names lie, so content wins; but content that
 * only says "some zip", "some compound file" or "some text" is made precise by looking further inside and at the name.
 */
import { isUtf8 } from 'node:buffer';
import { fileTypeFromBuffer } from 'file-type';
import { readCompoundNames } from './compound-file.ts';
import type { RandomBytes } from './random-bytes.ts';

/** How many bytes of a file are looked at. */
export const headBytes = 64 * 1024;

const mimeByExtension: ReadonlyMap<string, string> = new Map(
  Object.entries({
    eml: 'message/rfc822',
    emlx: 'message/x-emlx',
    mht: 'multipart/related',
    mhtml: 'multipart/related',
    msg: 'application/vnd.ms-outlook',
    oft: 'application/vnd.ms-outlook',
    mbox: 'application/mbox',
    mbx: 'application/mbox',
    pst: 'application/vnd.ms-outlook-pst',
    ost: 'application/vnd.ms-outlook-pst',
    zip: 'application/zip',
    '7z': 'application/x-7z-compressed',
    rar: 'application/x-rar-compressed',
    gz: 'application/gzip',
    tar: 'application/x-tar',
    pdf: 'application/pdf',
    doc: 'application/msword',
    dot: 'application/msword',
    xls: 'application/vnd.ms-excel',
    xlt: 'application/vnd.ms-excel',
    ppt: 'application/vnd.ms-powerpoint',
    pps: 'application/vnd.ms-powerpoint',
    docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    docm: 'application/vnd.ms-word.document.macroenabled.12',
    xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    xlsm: 'application/vnd.ms-excel.sheet.macroenabled.12',
    xlsb: 'application/vnd.ms-excel.sheet.binary.macroenabled.12',
    pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
    pptm: 'application/vnd.ms-powerpoint.presentation.macroenabled.12',
    odt: 'application/vnd.oasis.opendocument.text',
    ods: 'application/vnd.oasis.opendocument.spreadsheet',
    odp: 'application/vnd.oasis.opendocument.presentation',
    rtf: 'application/rtf',
    htm: 'text/html',
    html: 'text/html',
    xhtml: 'application/xhtml+xml',
    txt: 'text/plain',
    text: 'text/plain',
    log: 'text/plain',
    md: 'text/markdown',
    csv: 'text/csv',
    tsv: 'text/tab-separated-values',
    xml: 'application/xml',
    json: 'application/json',
    yaml: 'application/yaml',
    yml: 'application/yaml',
    ics: 'text/calendar',
    vcf: 'text/vcard',
    tif: 'image/tiff',
    tiff: 'image/tiff',
    jpg: 'image/jpeg',
    jpeg: 'image/jpeg',
    png: 'image/png',
    gif: 'image/gif',
    bmp: 'image/bmp',
    webp: 'image/webp',
    heic: 'image/heic',
    wmf: 'image/wmf',
    emf: 'image/emf',
    svg: 'image/svg+xml',
    mp3: 'audio/mpeg',
    wav: 'audio/wav',
    mp4: 'video/mp4',
    mov: 'video/quicktime',
    avi: 'video/x-msvideo',
  }),
);

/** Names that libraries give the same thing. */
const sameMime: ReadonlyMap<string, string> = new Map([
  ['application/vnd.ms-outlook', 'application/vnd.ms-outlook-pst'],
  ['audio/vnd.wave', 'audio/wav'],
  ['text/rtf', 'application/rtf'],
  ['video/vnd.avi', 'video/x-msvideo'],
]);

const compoundMime = 'application/x-cfb';
const zipMime = 'application/zip';
const officeInZip = /^application\/(?:vnd\.openxmlformats|vnd\.oasis|vnd\.ms-(?:word|excel|powerpoint)\.)/u;
const textByName =
  /^(?:text\/|application\/(?:json|yaml|xml|xhtml\+xml)|image\/svg|message\/|application\/mbox|multipart\/)/u;

export interface FileType {
  /** By content, else by name, else `application/octet-stream`. */
  readonly mime: string;
  readonly byContent: string | null;
  readonly byName: string | null;
  /** Office files that need a password, told from their container. */
  readonly encrypted: boolean;
}

export const extensionOf = (name: string): string => {
  const dot = name.lastIndexOf('.');
  return dot < 1 ? '' : name.slice(dot + 1).toLowerCase();
};

export const mimeOfName = (name: string): string | null => mimeByExtension.get(extensionOf(name)) ?? null;

const headerLine = /^(?:[\x21-\x39\x3b-\x7e]{1,76}[ \t]*:|[ \t])/u;
const mailHeaders =
  /^(?:received|return-path|delivered-to|message-id|from|to|subject|date|mime-version|x-[\w-]+|dkim-signature|content-type|reply-to)[ \t]*:/imu;

/** True for text that starts with header lines as mail has them. */
const looksLikeMail = (text: string): boolean => {
  const lines = text.split(/\r?\n/u, 12);
  const blank = lines.indexOf('');
  const header = (blank < 0 ? lines : lines.slice(0, blank)).filter((line) => !/^>?From /u.test(line));
  return header.length > 1 && header.every((line) => headerLine.test(line)) && mailHeaders.test(header.join('\n'));
};

/** Separators of a mailbox (RFC 4155, appendix A): sender and date, of which a month and a time are always there. */
export const fromLine =
  /^From .{0,1000}\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\b.{0,40}\d{1,2}:\d{2}/iu;

const textType = (head: Buffer, byName: string | null, extension: string): string | null => {
  const start = head.subarray(0, 4096);
  if (head.length === 0) return null;
  const utf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  if (!utf16 && start.includes(0)) return null;
  const text = start.toString('latin1').replace(/^\u00EF\u00BB\u00BF/u, '');
  const trimmed = text.trimStart().slice(0, 256).toLowerCase();
  if (!utf16) {
    const mailName = extension === '' || byName === 'message/rfc822' || byName === 'application/mbox';
    const [first = '', second = ''] = text.split(/\r?\n/u, 2);
    if ((mailName || extension === 'mail') && fromLine.test(first) && headerLine.test(second))
      return 'application/mbox';
    if (byName === 'message/x-emlx' && /^\d+\s*$/u.test(first)) return byName;
    // By its name it is mail: then one header that mail has is enough, however broken the others are.
    if (byName === 'message/rfc822' && mailHeaders.test(text.slice(0, 16_384))) return byName;
    if (mailName && looksLikeMail(text)) return 'message/rfc822';
    if (byName === 'multipart/related' && looksLikeMail(text)) return byName;
    if (trimmed.startsWith('<!doctype html') || /^<html[\s>]/u.test(trimmed)) return 'text/html';
    if (trimmed.startsWith('{\\rtf')) return 'application/rtf';
  }
  const controls = start.reduce((count, byte) => count + (byte < 9 || (byte > 13 && byte < 27) ? 1 : 0), 0);
  if (!utf16 && controls > start.length / 100 && !isUtf8(start)) return null;
  // A message in name only: what has no header is text.
  if (byName === 'message/rfc822' || byName === 'application/mbox') return 'text/plain';
  return byName !== null && textByName.test(byName) ? byName : 'text/plain';
};

const compoundType = async (
  head: Buffer,
  bytes: RandomBytes | null,
  byName: string | null,
): Promise<{ readonly mime: string; readonly encrypted: boolean }> => {
  const names = bytes === null ? [] : await readCompoundNames(head, bytes);
  const has = (name: string): boolean => names.includes(name);
  if (has('EncryptedPackage')) return { mime: byName ?? compoundMime, encrypted: true };
  if (has('__properties_version1.0') || has('__nameid_version1.0')) {
    return { mime: 'application/vnd.ms-outlook', encrypted: false };
  }
  if (has('WordDocument')) return { mime: 'application/msword', encrypted: false };
  if (has('Workbook') || has('Book')) return { mime: 'application/vnd.ms-excel', encrypted: false };
  if (has('PowerPoint Document')) return { mime: 'application/vnd.ms-powerpoint', encrypted: false };
  const kept = byName !== null && /^application\/(?:msword|vnd\.ms-)/u.test(byName) ? byName : compoundMime;
  return { mime: kept, encrypted: false };
};

/**
 * @param head the first `headBytes` of the file. @param bytes the whole of it, where it can be read from any position.
 */
export const detectFileType = async (name: string, head: Buffer, bytes: RandomBytes | null): Promise<FileType> => {
  const extension = extensionOf(name);
  const byName = mimeByExtension.get(extension) ?? null;
  const done = (byContent: string | null, encrypted = false): FileType => ({
    mime: byContent ?? byName ?? 'application/octet-stream',
    byContent,
    byName,
    encrypted,
  });
  const found = await fileTypeFromBuffer(head).catch(() => undefined);
  const mime = found === undefined ? undefined : (sameMime.get(found.mime) ?? found.mime);
  if (mime === compoundMime) {
    const compound = await compoundType(head, bytes, byName);
    return done(compound.mime, compound.encrypted);
  }
  if (mime === zipMime) return done(byName !== null && officeInZip.test(byName) ? byName : zipMime);
  if (mime === 'application/xml' || mime === undefined) return done(textType(head, byName, extension) ?? mime ?? null);
  return done(mime);
};
