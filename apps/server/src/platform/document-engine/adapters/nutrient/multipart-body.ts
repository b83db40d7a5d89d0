/** `multipart/form-data` (RFC 7578) of parts that lie in memory: nothing is copied, and the body can be sent again. */
import { randomUUID } from 'node:crypto';

export interface BodyPart {
  readonly name: string;
  readonly content: string | Uint8Array;
  /** With it the part is a file. */
  readonly contentType?: string;
}

export interface RequestBody {
  readonly contentType: string;
  readonly chunks: readonly Uint8Array[];
}

const plainName = /^[A-Za-z0-9._-]+$/;
const plainType = /^[A-Za-z0-9.+-]+\/[A-Za-z0-9.+-]+$/;

export const multipartBody = (parts: readonly BodyPart[]): RequestBody => {
  const boundary = `casebound-${randomUUID()}`;
  const chunks: Uint8Array[] = [];
  for (const { name, content, contentType } of parts) {
    // Names are words of the protocol and hashes, types come from attachments: neither may break out of its header.
    if (!plainName.test(name)) throw new RangeError('the name of a part is not plain');
    const type = contentType === undefined || plainType.test(contentType) ? contentType : 'application/octet-stream';
    const head =
      type === undefined
        ? `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`
        : `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${name}"\r\nContent-Type: ${type}\r\n\r\n`;
    chunks.push(Buffer.from(head), typeof content === 'string' ? Buffer.from(content) : content, Buffer.from('\r\n'));
  }
  chunks.push(Buffer.from(`--${boundary}--\r\n`));
  return { contentType: `multipart/form-data; boundary=${boundary}`, chunks };
};

export const jsonBody = (value: unknown): RequestBody => ({
  contentType: 'application/json',
  chunks: [Buffer.from(JSON.stringify(value))],
});
