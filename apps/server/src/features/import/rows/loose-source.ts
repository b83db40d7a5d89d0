/**
 * A folder or zip of plain files and mail as rows: a message or file is a row, its attachments follow it as its children.
 *
 * - Numbered by the order in which the source is read, which is the same in every reading.
 * - Files can be opened only until the next item is asked for, so they are stored as they come.
 * - Containers (zip, mbox, pst) are no evidence themselves; what is wrong with them is reported at their path.
 */
import { CaseboundError, type ImportRequest } from '@casebound/contract';
import type { JsonValue } from '@casebound/records';
import { problem, type RowProblem } from '../import-problem.ts';
import type { RowFile, RowHashes, RowKeys, RowSource, SourceRow } from '../source-row.ts';
import { expandEntry } from '../sources/expand-entry.ts';
import { hashBytes } from '../sources/hash-bytes.ts';
import type { OpenedRoot } from '../sources/open-import-root.ts';
import type { ContentItem, MailAddress, SourceProblem } from '../sources/source-model.ts';
import { extractText } from '../text/extract-text.ts';

export interface LooseSourceOptions {
  readonly root: OpenedRoot;
  readonly request: Pick<ImportRequest, 'controlNumberPrefix' | 'custodian' | 'deduplicate'>;
}

const keysPerBatch = 500;
const digits = 8;
const noHashes: RowHashes = { md5: null, sha1: null, sha256: null };

/** The document is taken whole: what is told of it is what the case cannot show of it. */
const warnings = new Set<SourceProblem['code']>(['empty', 'content_mismatch', 'no_extractor']);

const fromSource = ({ path, code, reason }: SourceProblem, row: number | null): RowProblem =>
  problem(warnings.has(code) ? 'warning' : 'error', code, reason, { path, row });

const people = (addresses: readonly MailAddress[]): string =>
  addresses
    .map(({ name, address }) => (name === '' ? address : address === '' ? name : `${name} <${address}>`))
    .join('; ');

/** Members without a value are left out. */
const filled = (members: Readonly<Record<string, JsonValue | null>>): Record<string, JsonValue> =>
  Object.fromEntries(
    Object.entries(members).filter((entry): entry is [string, JsonValue] => entry[1] !== null && entry[1] !== ''),
  );

const documentOf = (item: ContentItem): Record<string, JsonValue> => {
  const { mail } = item;
  const dot = item.fileName.lastIndexOf('.');
  return filled({
    fileName: item.fileName.slice(0, 4_000),
    fileExtension: dot > 0 ? item.fileName.slice(dot + 1, dot + 21).toLowerCase() : null,
    sourcePath: item.path,
    mimeType: item.mime,
    dateModified: item.modifiedAt?.toISOString() ?? null,
    ...(mail === null
      ? {}
      : {
          messageId: mail.messageId,
          messageIdHash: mail.messageIdHash,
          inReplyTo: mail.inReplyTo,
          references: mail.references.join(' '),
          conversationIndex: mail.conversation.index,
          threadId: mail.conversation.rootId?.slice(0, 2_000) ?? null,
          from: people(mail.from),
          to: people(mail.to),
          cc: people(mail.cc),
          bcc: people(mail.bcc),
          subject: mail.subject,
          title: mail.conversation.topic,
          dateSent: mail.sentAt?.utc ?? null,
          dateReceived: mail.receivedAt?.utc ?? null,
        }),
  });
};

interface Numbered {
  readonly row: number;
  readonly item: ContentItem;
  /** Of the file that the item is in. */
  readonly mark: string;
  readonly controlNumber: string;
  readonly parentControl: string | null;
  readonly problems: readonly RowProblem[];
}

export const createLooseSource = ({ root, request }: LooseSourceOptions): RowSource => {
  const numberOf = (row: number): string => `${request.controlNumberPrefix}-${String(row).padStart(digits, '0')}`;

  /** All items that are evidence, numbered; what is wrong with the rest goes to `onProblem`. */
  const items = async function* (onProblem: (found: RowProblem) => void): AsyncGenerator<Numbered> {
    let row = 0;
    for await (const entry of root.list({ onProblem: (found) => onProblem(fromSource(found, null)) })) {
      const mark = `${entry.size} bytes of ${entry.modifiedAt?.toISOString() ?? 'no time'}`;
      /** Control numbers of the family that is being read. */
      const family = new Map<string, string>();
      for await (const expansion of expandEntry(root, entry)) {
        if (expansion.type === 'problem') {
          onProblem(fromSource(expansion.problem, null));
          continue;
        }
        if (expansion.kind === 'container' && expansion.parentPath === null) {
          for (const found of expansion.problems) onProblem(fromSource(found, null));
          continue;
        }
        row += 1;
        if (expansion.parentPath === null) family.clear();
        const controlNumber = numberOf(row);
        family.set(expansion.path, controlNumber);
        yield {
          row,
          item: expansion,
          mark,
          controlNumber,
          parentControl: expansion.parentPath === null ? null : (family.get(expansion.parentPath) ?? null),
          problems: expansion.problems.map((found) => fromSource(found, row)),
        };
      }
    }
  };

  const hashesOf = async (item: ContentItem): Promise<RowHashes> => {
    try {
      const hashed = hashBytes(await item.open());
      for await (const _chunk of hashed.body) continue;
      const { md5, sha1, sha256 } = hashed.digests();
      return { md5, sha1, sha256 };
    } catch {
      // What is wrong with the bytes is reported when they are stored.
      return noHashes;
    }
  };

  const keysOf = (numbered: Numbered, hashes: RowHashes): RowKeys => ({
    row: numbered.row,
    line: null,
    path: numbered.item.path,
    controlNumber: numbered.controlNumber,
    parentKey: numbered.parentControl,
    familyKey: null,
    matchKey: null,
    hashes,
    ...(request.deduplicate === 'none' ? {} : { mark: numbered.mark }),
    custodian: request.custodian ?? null,
    rejected: false,
  });

  return {
    sequential: true,
    async *keys(onProblem) {
      let batch: RowKeys[] = [];
      for await (const numbered of items(onProblem)) {
        const isRoot = numbered.parentControl === null;
        batch.push(
          keysOf(numbered, request.deduplicate !== 'none' && isRoot ? await hashesOf(numbered.item) : noHashes),
        );
        if (batch.length >= keysPerBatch) {
          yield batch;
          batch = [];
        }
      }
      if (batch.length > 0) yield batch;
    },
    async *pages() {
      yield* [];
    },
    async *rows(after) {
      for await (const numbered of items(() => undefined)) {
        if (numbered.row <= after) continue;
        const { item } = numbered;
        const text = await extractText(item, root.workspace);
        const native: RowFile = { name: item.fileName, path: item.path, open: async () => item.open() };
        yield {
          ...keysOf(numbered, noHashes),
          document: documentOf(item),
          exhibit: {},
          values: {},
          emptied: { document: [], exhibit: [], values: [] },
          custodians: request.custodian === undefined ? [] : [request.custodian],
          labels: [],
          folders: [],
          confidentiality: [],
          native,
          text: null,
          pageTexts: text.pages.length === 0 ? null : text.pages,
          pages: [],
          annotations: null,
          listedIn: null,
          problems: [...numbered.problems, ...text.problems.map((found) => fromSource(found, numbered.row))],
        } satisfies SourceRow;
      }
    },
    imageList: null,
    imageRow: async () => Promise.reject(new CaseboundError('internal', 'Loose files have no image list.')),
    async *unreferenced() {
      yield* [];
    },
    imageFile: async () => Promise.resolve({ refused: 'Loose files have no image list.', code: 'missing' }),
    close: async () => root.close(),
  };
};
