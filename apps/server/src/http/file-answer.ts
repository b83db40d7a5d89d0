/**
 * A file as an answer: its headers, whole or in part (RFC 9110, 14; RFC 6266; RFC 8187).
 *
 * 1. Always an attachment, under a name that holds no path, no control character and nothing that ends the header: what was in a
 *    production is never shown by a browser as a page of this server.
 * 2. The content type is one that was made here or looks like a media type; anything else is `application/octet-stream`.
 */
import type { FileAnswer } from '@casebound/contract';
import type { Answer } from './serve-operation.ts';

const mediaType = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,60}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,90}$/;
/** What a browser would run or read as markup goes as bytes. */
const active = /html|xml|svg|javascript|ecmascript|css|json|x-shockwave/;

const maxNameLength = 200;

/** A name without folders, control characters, and marks that turn the direction of text (which hide an extension). */
export const safeFileName = (given: string): string => {
  const last = given.normalize('NFC').split(/[/\\]/).at(-1) ?? '';
  const clean = last
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '')
    .replaceAll(/[<>:"|?*]/g, '_')
    .replace(/^[. ]+/, '')
    .replace(/[. ]+$/, '');
  if (clean === '') return 'file';
  if (clean.length <= maxNameLength) return clean;
  const extension = /\.[^.]{1,10}$/.exec(clean)?.[0] ?? '';
  // Half of a character that is cut in two goes too.
  return `${clean.slice(0, maxNameLength - extension.length).replace(/[\uD800-\uDBFF]$/, '')}${extension}`;
};

/** `attachment` with the name in ASCII for old clients, and in UTF-8 (RFC 8187) where that loses something. */
export const contentDisposition = (fileName: string): string => {
  const name = safeFileName(fileName);
  const ascii = name.replaceAll(/[^\x20-\x7e]/g, '_').replaceAll(/["\\%;]/g, '_');
  const plain = `attachment; filename="${ascii}"`;
  if (ascii === name) return plain;
  const encoded = encodeURIComponent(name).replaceAll(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${plain}; filename*=UTF-8''${encoded}`;
};

const safeType = (given: string): string => {
  const [type = ''] = given.trim().toLowerCase().split(';');
  const name = type.trim();
  return mediaType.test(name) && !active.test(name) ? name : 'application/octet-stream';
};

export const fileAnswer = (file: FileAnswer): Answer => {
  const { part, size } = file;
  return {
    status: part === undefined ? 200 : 206,
    contentType: safeType(file.contentType),
    headers: {
      'content-disposition': contentDisposition(file.fileName),
      'content-length': String(part === undefined ? size : part.end - part.start),
      'accept-ranges': 'bytes',
      etag: `"${file.sha256}"`,
      ...(part === undefined ? {} : { 'content-range': `bytes ${part.start}-${part.end - 1}/${size}` }),
    },
    body: file.body,
  };
};
