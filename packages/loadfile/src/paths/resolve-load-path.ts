/**
 * Paths of load files are untrusted: written by another party, for another machine, sometimes to harm.
 *
 * - The result is a list of plain segments below the import root, or a refusal. Nothing in it can leave the root, name a
 *   device, or mean something else on another platform.
 * - It is a pure function of the text; whether such a file exists, and under which case of letters, is the caller's to find.
 */

export type PathRefusal =
  | 'empty'
  | 'nul'
  | 'control-character'
  | 'absolute'
  | 'drive-letter'
  | 'unc'
  | 'url'
  | 'parent-segment'
  | 'reserved-name'
  | 'stream'
  | 'trailing-dot-or-space'
  | 'too-long';

export type LoadPath =
  | { readonly ok: true; readonly segments: readonly string[] }
  | { readonly ok: false; readonly reason: PathRefusal; readonly detail: string };

export interface LoadPathOptions {
  /**
   * `refuse` paths that start at a drive or a root (default), or `strip` that start: productions made on a vendor's
   * drive write `D:\VOL01\NATIVES\1.doc` and mean the volume. `..` and everything else stay refused.
   */
  readonly rooted?: 'refuse' | 'strip';
  /** Of the whole path, in UTF-16 code units. */
  readonly maxLength?: number;
}

const defaultMaxLength = 4096;
/** The limit of the usual file systems, in bytes of UTF-8. */
const maxSegmentBytes = 255;

/** Names that Windows gives to devices, with any extension (learn.microsoft.com, "Naming Files, Paths, and Namespaces"). */
const reserved = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/iu;

const refuse = (reason: PathRefusal, detail: string): LoadPath => ({ ok: false, reason, detail });

const hasControl = (text: string): boolean => {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  }
  return false;
};

/**
 * Resolves a path of a load file to segments below the import root. Backslash and slash both separate; `.` segments and
 * repeated separators are dropped; percent signs stand for themselves and are never decoded.
 */
export const resolveLoadPath = (path: string, options: LoadPathOptions = {}): LoadPath => {
  const { rooted = 'refuse', maxLength = defaultMaxLength } = options;
  if (path.length > maxLength) return refuse('too-long', `The path has more than ${maxLength} characters.`);
  if (path.includes('\0')) return refuse('nul', 'The path contains U+0000.');
  let rest = path.trim().replaceAll('\\', '/');
  if (hasControl(rest) || !rest.isWellFormed()) {
    return refuse('control-character', 'The path contains a control character or half a character.');
  }
  if (/^[a-z][a-z0-9+.-]+:/iu.test(rest)) return refuse('url', 'The path is a URL or names a scheme.');
  if (rest.startsWith('//')) return refuse('unc', 'The path names another machine or a device (UNC).');
  const drive = /^[a-z]:/iu.exec(rest);
  if (drive !== null) {
    if (rooted === 'refuse') return refuse('drive-letter', `The path starts at the drive ${drive[0]}`);
    rest = rest.slice(2);
  }
  if (rest.startsWith('/')) {
    if (rooted === 'refuse') return refuse('absolute', 'The path starts at the root of the file system.');
    rest = rest.replace(/^\/+/u, '');
  }
  const segments = rest.split('/').filter((segment) => segment !== '' && segment !== '.');
  for (const segment of segments) {
    const refusal = refuseSegment(segment);
    if (refusal !== undefined) return refusal;
  }
  if (segments.length === 0) return refuse('empty', 'The path names no file.');
  return { ok: true, segments };
};

const refuseSegment = (segment: string): LoadPath | undefined => {
  const shown = JSON.stringify(segment.slice(0, 80));
  if (/^\.\.[\s.]*$/u.test(segment)) return refuse('parent-segment', `The path leaves its folder by ${shown}.`);
  if (segment.includes(':'))
    return refuse('stream', `The segment ${shown} contains a colon, which names a drive or a stream.`);
  if (/[. ]$/u.test(segment)) {
    return refuse('trailing-dot-or-space', `The segment ${shown} ends with a dot or space, which Windows drops.`);
  }
  if (reserved.test(segment)) return refuse('reserved-name', `The segment ${shown} is the name of a device.`);
  if (Buffer.byteLength(segment, 'utf8') > maxSegmentBytes) {
    return refuse('too-long', `The segment ${shown}… has more than ${maxSegmentBytes} bytes.`);
  }
  return undefined;
};
