/**
 * The case model: what a legal case holds, as an API schema. Rendered to `schemas/case.api-schema.json`, from which every case's
 * record store is made; an installation adds object types and fields by extension schemas, without code.
 *
 * - What reviewers change by the thousand (custodians, labels, folders of an exhibit) are collections keyed by their reference:
 *   a tagging is one narrow row. Variants and pages are collections too, for they live and travel with their owner (ADR 0100).
 * - The values of custom fields are not here: they live in the object store (features/fields).
 */
import { buildSchema, type MemberSpec, type Members } from '../../packages/records/src/testing/build-schema.ts';

const text = (maxLength = 300): MemberSpec => ({ kind: 'string', maxLength });
/** Header lines and lists of people may be long. */
const long: MemberSpec = { kind: 'string', maxLength: 65_536 };
const choice = (...choices: readonly string[]): MemberSpec => ({ kind: 'string', choices });
const integer: MemberSpec = { kind: 'integer' };
const timestamp: MemberSpec = { kind: 'timestamp' };
const hash = (digits: number): MemberSpec => ({ kind: 'string', maxLength: digits });

const refersTo = (target: string, queryAs?: string): MemberSpec => ({
  kind: 'reference',
  target,
  ...(queryAs === undefined ? {} : { queryAs }),
});

const required = <M extends MemberSpec>(spec: M): M & { readonly required: true } => ({ ...spec, required: true });

const association = (member: string, target: string, element: readonly string[], extra: Members = {}): MemberSpec => ({
  kind: 'list',
  members: { [member]: required(refersTo(target)), ...extra },
  unique: element.map((name) => `${member}.${name}`),
});

const mailMembers: Members = {
  messageId: text(2_000),
  messageIdHash: hash(32),
  inReplyTo: text(2_000),
  references: long,
  conversationIndex: text(2_000),
  threadId: text(2_000),
  from: long,
  to: long,
  cc: long,
  bcc: long,
  participants: long,
  subject: long,
  importance: text(),
  sensitivity: text(),
  dateSent: timestamp,
  dateReceived: timestamp,
  meetingStart: timestamp,
  meetingEnd: timestamp,
};

const fileMembers: Members = {
  fileName: text(4_000),
  fileExtension: text(),
  sourcePath: long,
  allPaths: { kind: 'values', item: long },
  mimeType: text(),
  fileType: text(),
  fileSize: integer,
  md5Hash: hash(32),
  sha1Hash: hash(40),
  sha256Hash: hash(64),
  title: long,
  author: long,
  lastSavedBy: long,
  dateCreated: timestamp,
  dateModified: timestamp,
  dateAccessed: timestamp,
  datePrinted: timestamp,
  documentDate: timestamp,
  timeZone: text(),
  language: text(),
  volume: text(),
  source: long,
  pageCount: integer,
  attachmentCount: integer,
  attachmentNames: long,
};

const logMembers = (changed: Members): Members => ({
  exhibitReference: required(refersTo('Exhibit')),
  sequence: required(integer),
  ...changed,
  changedBy: required(text()),
  changedAt: required(timestamp),
  reason: long,
});

export const caseSchema = (): object =>
  buildSchema({
    name: 'Casebound',
    endpoint: 'case',
    version: '1.0.0',
    resources: {
      Custodian: {
        endpoint: 'custodians',
        identity: ['$.name'],
        allowIdentityUpdates: true,
        members: { name: required(text()), organisation: text(), email: text(), notes: long },
      },
      Batch: {
        endpoint: 'batches',
        identity: ['$.name'],
        members: {
          name: required(text()),
          kind: required(choice('import', 'exchange')),
          jobId: text(),
          source: long,
          startedAt: timestamp,
          finishedAt: timestamp,
          state: text(30),
          createdBy: text(),
        },
      },
      Document: {
        endpoint: 'documents',
        identity: ['$.documentKey'],
        members: {
          documentKey: required(text(100)),
          ...fileMembers,
          ...mailMembers,
          familyRootReference: refersTo('Document', 'familyRoot'),
          documentProperties: { kind: 'json' },
          variants: {
            kind: 'list',
            members: {
              type: required(choice('native', 'pdf', 'text', 'image')),
              position: required(integer),
              objectKey: required(text(1_000)),
              size: required(integer),
              sha256: required(hash(64)),
              mimeType: text(),
              fileName: text(4_000),
            },
            unique: ['type', 'position'],
          },
        },
        relational: {
          rootTableNameOverride: 'source_document',
          indexedQueryFields: ['md5Hash', 'sha256Hash', 'messageIdHash'],
        },
      },
      Exhibit: {
        endpoint: 'exhibits',
        identity: ['$.controlNumber'],
        allowIdentityUpdates: true,
        members: {
          controlNumber: required(text(255)),
          controlNumberEnd: text(255),
          documentReference: required(refersTo('Document')),
          batchReference: required(refersTo('Batch', 'batch')),
          parentExhibitReference: refersTo('Exhibit', 'parent'),
          familyReference: refersTo('Exhibit', 'family'),
          number: integer,
          relevancy: text(),
          privilege: text(),
          confidentialityStatus: integer,
          redacted: { kind: 'boolean' },
          notes: long,
          custodians: association('custodianReference', 'Custodian', ['name'], { isPrimary: { kind: 'boolean' } }),
          labels: association('labelReference', 'Label', ['categoryName', 'name']),
          folders: association('folderTagReference', 'FolderTag', ['path']),
          pages: {
            kind: 'list',
            members: {
              batesNumber: text(255),
              width: { kind: 'number' },
              height: { kind: 'number' },
              rotation: integer,
              textSource: choice('load_file', 'document', 'ocr', 'none'),
              textSize: integer,
              textSha256: hash(64),
            },
          },
        },
      },
      LabelCategory: {
        endpoint: 'labelCategories',
        identity: ['$.categoryName'],
        allowIdentityUpdates: true,
        members: { categoryName: required(text()), isExclusive: { kind: 'boolean' }, color: text(20) },
      },
      Label: {
        endpoint: 'labels',
        identity: ['$.labelCategoryReference.categoryName', '$.name'],
        allowIdentityUpdates: true,
        members: {
          labelCategoryReference: required(refersTo('LabelCategory')),
          name: required(text()),
          description: long,
          color: text(20),
        },
      },
      FolderTag: {
        endpoint: 'folderTags',
        identity: ['$.path'],
        allowIdentityUpdates: true,
        members: { path: required(text(2_000)), parentFolderReference: refersTo('FolderTag', 'parent') },
      },
      ConfidentialityCode: {
        endpoint: 'confidentialityCodes',
        identity: ['$.code'],
        members: { code: required(text(100)), labelText: text(), bit: required(integer), color: text(20) },
      },
      ConfidentialityLog: {
        endpoint: 'confidentialityLogs',
        identity: ['$.exhibitReference.controlNumber', '$.sequence'],
        members: logMembers({ oldStatus: integer, newStatus: integer }),
      },
      RelevancyLog: {
        endpoint: 'relevancyLogs',
        identity: ['$.exhibitReference.controlNumber', '$.sequence'],
        members: logMembers({ oldRelevancy: text(), newRelevancy: text() }),
      },
      CustomField: {
        endpoint: 'customFields',
        identity: ['$.title'],
        // Values name their field by its title, so a title stays.
        members: {
          title: required(text()),
          inputType: required(choice('text', 'long_text', 'date', 'number', 'yes_no', 'single_choice', 'multi_choice')),
          description: long,
          displayOrder: integer,
          choices: { kind: 'values', item: text(2_000) },
          settings: { kind: 'json' },
        },
      },
    },
  });

export const renderCaseSchema = (): string => `${JSON.stringify(caseSchema(), undefined, 2)}\n`;
