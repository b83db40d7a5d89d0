/** Messages of Outlook (.msg) for tests: compound files with the properties of MS-OXMSG. */
import type { Entry } from '@kenjiuno/msgreader/lib/Burner.js';
import { burn } from '@kenjiuno/msgreader/lib/Burner.js';
import { TypeEnum } from '@kenjiuno/msgreader/lib/Reader.js';

export interface MsgAttachment {
  readonly fileName: string;
  readonly content: Buffer | MsgSpec;
  readonly mime?: string;
  readonly contentId?: string;
}

export interface MsgSpec {
  readonly subject: string;
  readonly body?: string;
  readonly html?: Buffer;
  /** As it is stored: compressed, with its header. */
  readonly rtf?: Buffer;
  readonly codePage?: number;
  readonly headers?: string;
  readonly messageId?: string;
  readonly sentAt?: Date;
  readonly sender?: { readonly name: string; readonly address: string };
  readonly recipients?: readonly { readonly kind: 1 | 2 | 3; readonly name: string; readonly address: string }[];
  readonly attachments?: readonly MsgAttachment[];
}

type Properties = readonly (readonly [tag: number, value: Buffer])[];

/** FILETIME: 100 ns since 1601. */
const fileTime = (date: Date): Buffer => {
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE((BigInt(date.getTime()) + 11_644_473_600_000n) * 10_000n);
  return value;
};

const int32 = (number: number): Buffer => {
  const value = Buffer.alloc(8);
  value.writeInt32LE(number);
  return value;
};

class Builder {
  readonly #entries: Entry[] = [];

  #add(entry: Omit<Entry, 'length'> & { readonly content?: Buffer }): number {
    const { content, ...rest } = entry;
    this.#entries.push({
      ...rest,
      length: content?.length ?? 0,
      ...(content === undefined ? {} : { binaryProvider: () => Uint8Array.from(content) }),
    });
    return this.#entries.length - 1;
  }

  /** @param header bytes before the properties: 32 for a message, 24 for one within another, 8 for the rest. */
  #fill(index: number, header: number, fixed: Properties, streams: Properties, folders: number[]): void {
    const table = Buffer.alloc(header + 16 * fixed.length);
    for (const [position, [tag, value]] of fixed.entries()) {
      table.writeUInt32LE(tag, header + position * 16);
      value.copy(table, header + position * 16 + 8);
    }
    const children = [
      ...folders,
      this.#add({ name: '__properties_version1.0', type: TypeEnum.DOCUMENT, content: table }),
    ];
    for (const [tag, content] of streams) {
      if (content.length === 0) continue;
      const name = `__substg1.0_${tag.toString(16).toUpperCase().padStart(8, '0')}`;
      children.push(this.#add({ name, type: TypeEnum.DOCUMENT, content }));
    }
    const entry = this.#entries[index];
    if (entry !== undefined) entry.children = children;
  }

  message(index: number, spec: MsgSpec, header: 24 | 32): void {
    const text = (value: string | undefined): Buffer => Buffer.from(value ?? '', 'utf16le');
    const number = (position: number): string => position.toString(16).padStart(8, '0').toUpperCase();
    const folders: number[] = [];
    for (const [position, { kind, name, address }] of (spec.recipients ?? []).entries()) {
      const folder = this.#add({ name: `__recip_version1.0_#${number(position)}`, type: TypeEnum.DIRECTORY });
      const streams: Properties = [
        [0x3001001f, text(name)],
        [0x39fe001f, text(address)],
      ];
      this.#fill(folder, 8, [[0x0c150003, int32(kind)]], streams, []);
      folders.push(folder);
    }
    for (const [position, attachment] of (spec.attachments ?? []).entries()) {
      const folder = this.#add({ name: `__attach_version1.0_#${number(position)}`, type: TypeEnum.DIRECTORY });
      const inner: number[] = [];
      if (!Buffer.isBuffer(attachment.content)) {
        const message = this.#add({ name: '__substg1.0_3701000D', type: TypeEnum.DIRECTORY });
        this.message(message, attachment.content, 24);
        inner.push(message);
      }
      const streams: Properties = [
        [Buffer.isBuffer(attachment.content) ? 0x3707001f : 0x3001001f, text(attachment.fileName)],
        [0x370e001f, text(attachment.mime)],
        [0x3712001f, text(attachment.contentId)],
        [0x37010102, Buffer.isBuffer(attachment.content) ? attachment.content : Buffer.alloc(0)],
      ];
      this.#fill(folder, 8, [[0x37050003, int32(Buffer.isBuffer(attachment.content) ? 1 : 5)]], streams, inner);
      folders.push(folder);
    }
    const fixed: Properties = [
      ...(spec.sentAt === undefined ? [] : ([[0x00390040, fileTime(spec.sentAt)]] as const)),
      ...(spec.codePage === undefined ? [] : ([[0x3fde0003, int32(spec.codePage)]] as const)),
    ];
    const streams: Properties = [
      [0x001a001f, text('IPM.Note')],
      [0x0037001f, text(spec.subject)],
      [0x1000001f, text(spec.body)],
      [0x10130102, spec.html ?? Buffer.alloc(0)],
      [0x10090102, spec.rtf ?? Buffer.alloc(0)],
      [0x007d001f, text(spec.headers)],
      [0x1035001f, text(spec.messageId)],
      [0x0c1a001f, text(spec.sender?.name)],
      [0x5d01001f, text(spec.sender?.address)],
    ];
    this.#fill(index, header, fixed, streams, folders);
  }

  static build(spec: MsgSpec): Buffer {
    const builder = new Builder();
    const root = builder.#add({ name: 'Root Entry', type: TypeEnum.ROOT });
    builder.message(root, spec, 32);
    return Buffer.from(burn(builder.#entries));
  }
}

export const buildMsg = (spec: MsgSpec): Buffer => Builder.build(spec);
