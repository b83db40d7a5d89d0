/**
 * Where the core fields of load files go in the case model. A core field that is named in none of these tables is kept as a custom
 * field under the name of its column: nothing of a load file is dropped in silence.
 */
import type { CoreField } from '@casebound/loadfile';

/** Members of Document that are text. */
export const documentTexts: Partial<Readonly<Record<CoreField, string>>> = {
  fileName: 'fileName',
  fileExtension: 'fileExtension',
  mimeType: 'mimeType',
  fileType: 'fileType',
  originalPath: 'sourcePath',
  messageId: 'messageId',
  messageIdHash: 'messageIdHash',
  inReplyTo: 'inReplyTo',
  references: 'references',
  conversationIndex: 'conversationIndex',
  threadId: 'threadId',
  from: 'from',
  to: 'to',
  cc: 'cc',
  bcc: 'bcc',
  participants: 'participants',
  author: 'author',
  lastSavedBy: 'lastSavedBy',
  subject: 'subject',
  title: 'title',
  importance: 'importance',
  sensitivity: 'sensitivity',
  timeZone: 'timeZone',
  language: 'language',
  volume: 'volume',
  source: 'source',
  attachmentNames: 'attachmentNames',
};

export const documentIntegers: Partial<Readonly<Record<CoreField, string>>> = {
  fileSize: 'fileSize',
  pageCount: 'pageCount',
  attachmentCount: 'attachmentCount',
};

/** Dates, with the core field of the time of day that may stand in a column of its own. */
export const documentDates: Partial<
  Readonly<Record<CoreField, { readonly member: string; readonly time?: CoreField }>>
> = {
  dateSent: { member: 'dateSent', time: 'timeSent' },
  dateReceived: { member: 'dateReceived', time: 'timeReceived' },
  dateCreated: { member: 'dateCreated', time: 'timeCreated' },
  dateModified: { member: 'dateModified', time: 'timeModified' },
  dateAccessed: { member: 'dateAccessed' },
  datePrinted: { member: 'datePrinted' },
  documentDate: { member: 'documentDate' },
  meetingStart: { member: 'meetingStart' },
  meetingEnd: { member: 'meetingEnd' },
};

export const exhibitTexts: Partial<Readonly<Record<CoreField, string>>> = {
  controlNumberEnd: 'controlNumberEnd',
  relevancy: 'relevancy',
  privilege: 'privilege',
  notes: 'notes',
};

/** Fields that rows are built from in other ways: numbers, families, hashes, files, shared records. */
export const structuralFields: ReadonlySet<CoreField> = new Set<CoreField>([
  'controlNumber',
  'attachmentBegin',
  'attachmentEnd',
  'familyRange',
  'parentId',
  'attachmentIds',
  'familyId',
  'custodian',
  'allCustodians',
  'allPaths',
  'folderPath',
  'md5Hash',
  'sha1Hash',
  'sha256Hash',
  'nativePath',
  'textPath',
  'imagePath',
  'annotationsPath',
  'extractedText',
  'confidentiality',
  'redacted',
  'labels',
  'timeSent',
  'timeReceived',
  'timeCreated',
  'timeModified',
]);

export const isStoredCoreField = (field: CoreField): boolean =>
  field in documentTexts ||
  field in documentIntegers ||
  field in documentDates ||
  field in exhibitTexts ||
  structuralFields.has(field);
