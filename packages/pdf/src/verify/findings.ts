/** What a verification found. No finding quotes removed text. */
export type FindingCode =
  /** A character lies under a redaction. */
  | 'text_under_redaction'
  /** The pixels of a redaction are not of one colour. */
  | 'pixels_not_flat'
  /** An image holds pixels of more than one colour under a redaction. */
  | 'image_under_redaction'
  /** A line or outline runs under a redaction. */
  | 'vector_under_redaction'
  /** An annotation or form field lies under a redaction. */
  | 'annotation_under_redaction'
  /** A removed string stands elsewhere in the file. */
  | 'removed_text_in_document'
  /** An annotation or comment that stays repeats a removed string. */
  | 'removed_text_in_annotation'
  /** An image that was redacted is still in the file. */
  | 'removed_image_in_document'
  /** The file holds an earlier revision, or bytes outside its structure. */
  | 'earlier_revision'
  /** The file holds objects that nothing refers to. */
  | 'unreachable_objects'
  /** The redaction does not lie on the page. */
  | 'redaction_off_page'
  /** A part of the file could not be read, so nothing can be said about it. */
  | 'unreadable';

export interface Finding {
  readonly code: FindingCode;
  readonly redactionId: string | undefined;
  readonly pageIndex: number | undefined;
  /** A sentence for people. */
  readonly detail: string;
}
