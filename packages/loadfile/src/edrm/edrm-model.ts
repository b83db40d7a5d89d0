/**
 * EDRM XML 1.2 as records. Names follow the schema (edrm.net, "EDRM XML Interchange Format Schema", version 1.2); values
 * are text as written, because the schema's types are kept loosely by the tools that write it.
 */

/** Attributes of the root element. */
export interface EdrmHeader {
  readonly kind: 'header';
  readonly majorVersion: string;
  readonly minorVersion: string;
  readonly description: string;
  readonly locale: string;
  readonly dataInterchangeType: string;
}

/** A field that documents may have values for. */
export interface EdrmField {
  readonly kind: 'field';
  readonly name: string;
  /** The name of the element under `FieldValues` that holds its values. */
  readonly key: string;
  readonly dataType: string;
}

export interface EdrmTag {
  readonly name: string;
  readonly value: string;
  /** `Text`, `LongText`, `DateTime`, `Integer`, `Boolean` ...; empty if absent. */
  readonly dataType: string;
}

export interface EdrmFile {
  /** `Native`, `Image`, `Text` ... */
  readonly fileType: string;
  readonly files: readonly EdrmExternalFile[];
}

export interface EdrmExternalFile {
  readonly filePath: string;
  readonly fileName: string;
  /** Bytes, as written; empty if absent. */
  readonly fileSize: string;
  readonly hash: string;
  /** `MD5`, `SHA1` ...; empty if absent, then MD5 by the schema. */
  readonly hashType: string;
}

export interface EdrmLocation {
  readonly custodian: string;
  readonly uri: string;
  readonly description: string;
}

export interface EdrmDocument {
  readonly kind: 'document';
  readonly docId: string;
  readonly docType: string;
  readonly mimeType: string;
  readonly tags: readonly EdrmTag[];
  readonly fieldValues: readonly { readonly key: string; readonly value: string }[];
  readonly files: readonly EdrmFile[];
  readonly locations: readonly EdrmLocation[];
}

export interface EdrmRelationship {
  readonly kind: 'relationship';
  /** `Attachment`, `Container`, `Conversation` ... */
  readonly type: string;
  readonly parentDocId: string;
  readonly childDocId: string;
}

export type EdrmRecord = EdrmHeader | EdrmField | EdrmDocument | EdrmRelationship;

/** A record and the line at which its element starts. */
export interface EdrmLine {
  readonly line: number;
  readonly record: EdrmRecord;
}
