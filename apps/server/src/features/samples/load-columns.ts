/** The columns of the load file, by names that review tools know, and what stands in them. */
import { createHash } from 'node:crypto';
import type { FamilyPlan, ItemPlan } from './plan-families.ts';
import { showAddress } from './story/cast.ts';
import { showTime } from './story/mail-threads.ts';

/** What a reviewer decided. */
export interface Coding {
  readonly confidentiality: readonly string[];
  readonly privilege: string;
  readonly relevancy: string;
  /** `Category\Label` */
  readonly labels: readonly string[];
  readonly notes: string;
}

/** A document as the load file has it. Paths have backslashes, as in every production; empty for what it has not. */
export interface LoadDocument {
  readonly plan: ItemPlan;
  readonly family: FamilyPlan;
  readonly begin: string;
  readonly end: string;
  /** First and last number of the family; undefined for a document by itself. */
  readonly familyRange: { readonly begin: string; readonly end: string } | undefined;
  readonly parentId: string;
  readonly childIds: readonly string[];
  readonly childNames: readonly string[];
  readonly pageCount: number;
  readonly fileSize: number;
  readonly mimeType: string;
  readonly md5: string;
  readonly sha1: string;
  readonly sha256: string;
  readonly nativePath: string;
  readonly textPath: string;
  readonly pdfPath: string;
  readonly annotationsPath: string;
  readonly redactionReasons: readonly string[];
  readonly coding: Coding;
}

export const VOLUME = 'VOL001';

const MULTI = '; ';

const categories: Readonly<Record<ItemPlan['kind'], string>> = {
  mail: 'E-mail',
  pdf: 'PDF',
  docx: 'Word document',
  xlsx: 'Spreadsheet',
  csv: 'Spreadsheet',
  txt: 'Text',
  photo: 'Picture',
  'scan-pdf': 'Scanned paper',
  'scan-tiff': 'Scanned paper',
  'scan-multi-tiff': 'Scanned paper',
  'scan-png': 'Scanned paper',
};

/** A path as on the custodian's computer. */
const originalPath = ({ plan, family }: LoadDocument): string => {
  const [, ...folders] = family.folder;
  return ['C:', 'Users', family.custodian.login, ...folders, plan.fileName].join('\\');
};

const isPaper = ({ kind }: ItemPlan): boolean => kind.startsWith('scan-');

const people = (list: readonly Parameters<typeof showAddress>[0][] | undefined): string =>
  (list ?? []).map(showAddress).join(MULTI);

/** The EDRM message identification hash: MD5 of the Message-ID with its angle brackets. */
const messageIdHash = (messageId: string): string => createHash('md5').update(messageId).digest('hex');

const columns: readonly (readonly [name: string, value: (document: LoadDocument) => string])[] = [
  ['BEGBATES', ({ begin }) => begin],
  ['ENDBATES', ({ end }) => end],
  ['BEGATTACH', ({ familyRange }) => familyRange?.begin ?? ''],
  ['ENDATTACH', ({ familyRange }) => familyRange?.end ?? ''],
  ['PARENTID', ({ parentId }) => parentId],
  ['ATTCHIDS', ({ childIds }) => childIds.join(MULTI)],
  ['CUSTODIAN', ({ family }) => family.custodian.sortName],
  ['ALLCUSTODIANS', ({ family }) => family.allCustodians.map(({ sortName }) => sortName).join(MULTI)],
  ['FROM', ({ plan }) => (plan.message === undefined ? '' : showAddress(plan.message.from))],
  ['TO', ({ plan }) => people(plan.message?.to)],
  ['CC', ({ plan }) => people(plan.message?.cc)],
  ['BCC', ({ plan }) => people(plan.message?.bcc)],
  ['SUBJECT', ({ plan }) => plan.message?.subject ?? ''],
  ['TITLE', ({ plan }) => (plan.message === undefined ? plan.title : '')],
  ['AUTHOR', ({ plan }) => (plan.message === undefined && !isPaper(plan) ? plan.author.name : '')],
  ['DATESENT', ({ plan }) => (plan.message === undefined ? '' : showTime(plan.message.sentAt))],
  ['DATERECEIVED', ({ plan }) => (plan.message === undefined ? '' : showTime(plan.message.sentAt + 2000))],
  ['DATECREATED', ({ plan }) => (isPaper(plan) ? '' : showTime(plan.created))],
  ['DATEMODIFIED', ({ plan }) => (isPaper(plan) ? '' : showTime(plan.modified))],
  ['DOCDATE', ({ family }) => showTime(family.root.created).slice(0, 10)],
  ['TIMEZONE', () => 'UTC'],
  ['FILENAME', ({ plan }) => (isPaper(plan) ? '' : plan.fileName)],
  ['FILEEXT', ({ plan }) => plan.fileName.slice(plan.fileName.lastIndexOf('.') + 1)],
  ['FILESIZE', ({ fileSize }) => String(fileSize)],
  ['MIMETYPE', ({ mimeType }) => mimeType],
  ['DOCTYPE', ({ plan }) => categories[plan.kind]],
  ['FILEPATH', (document) => (isPaper(document.plan) ? '' : originalPath(document))],
  ['FOLDERPATH', ({ family }) => family.folder.join('\\')],
  ['MD5HASH', ({ md5 }) => md5],
  ['SHA1HASH', ({ sha1 }) => sha1],
  ['SHA256HASH', ({ sha256 }) => sha256],
  ['MESSAGEID', ({ plan }) => plan.message?.messageId ?? ''],
  ['EDRM MIH', ({ plan }) => (plan.message === undefined ? '' : messageIdHash(plan.message.messageId))],
  ['INREPLYTO', ({ plan }) => plan.message?.inReplyTo ?? ''],
  ['REFERENCES', ({ plan }) => plan.message?.references.join(MULTI) ?? ''],
  ['THREADID', ({ plan }) => plan.message?.threadId ?? ''],
  ['IMPORTANCE', ({ plan }) => (plan.message?.important === true ? 'High' : '')],
  ['PGCOUNT', ({ pageCount }) => String(pageCount)],
  ['ATTCOUNT', ({ plan, childIds }) => (plan.message === undefined ? '' : String(childIds.length))],
  ['ATTACHMENTS', ({ childNames }) => childNames.join(MULTI)],
  ['CONFIDENTIALITY', ({ coding }) => coding.confidentiality.join(MULTI)],
  ['PRIVILEGE', ({ coding }) => coding.privilege],
  ['RELEVANCY', ({ coding }) => coding.relevancy],
  ['REDACTED', ({ redactionReasons }) => (redactionReasons.length > 0 ? 'Yes' : 'No')],
  ['REDACTIONREASON', ({ redactionReasons }) => redactionReasons.join(MULTI)],
  ['ISSUES', ({ coding }) => coding.labels.join(MULTI)],
  ['NOTES', ({ coding }) => coding.notes],
  ['VOLUME', () => VOLUME],
  ['SOURCE', ({ plan }) => (isPaper(plan) ? 'Paper archive' : 'Collected files')],
  ['NATIVELINK', ({ nativePath }) => nativePath],
  ['TEXTLINK', ({ textPath }) => textPath],
  ['PDFLINK', ({ pdfPath }) => pdfPath],
  ['ANNOTATIONSLINK', ({ annotationsPath }) => annotationsPath],
];

export const loadHeader: readonly string[] = columns.map(([name]) => name);

export const loadCells = (document: LoadDocument): string[] => columns.map(([, value]) => value(document));
