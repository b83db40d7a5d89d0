-- Documents of the built-in engine. The PDF is an object that never changes; replacing it means another object.
CREATE TABLE engine_document (
  engine_document_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  batch_id bigint NOT NULL,
  document_id bigint NOT NULL,
  exhibit_id bigint NOT NULL,
  object_key text NOT NULL,
  size bigint NOT NULL,
  sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  -- Width and height of each page as shown, in points, one after the other.
  page_sizes double precision[] NOT NULL,
  put_by text NOT NULL,
  put_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (batch_id, document_id, exhibit_id)
);

-- Versions never come back, so a version of a deleted annotation does not fit one that took its id.
CREATE SEQUENCE engine_version;

CREATE TABLE engine_annotation (
  engine_document_id bigint NOT NULL REFERENCES engine_document ON DELETE CASCADE,
  annotation_id text NOT NULL,
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  page_index integer NOT NULL CHECK (page_index >= 0),
  kind text NOT NULL,
  -- Instant JSON.
  value jsonb NOT NULL,
  version bigint NOT NULL DEFAULT nextval('engine_version'),
  created_by text NOT NULL,
  updated_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (engine_document_id, annotation_id)
);
CREATE INDEX engine_annotation_by_page ON engine_annotation (engine_document_id, page_index, ordinal);

CREATE TABLE engine_comment (
  engine_document_id bigint NOT NULL,
  comment_id text NOT NULL,
  root_id text NOT NULL,
  ordinal bigint GENERATED ALWAYS AS IDENTITY,
  value jsonb NOT NULL,
  version bigint NOT NULL DEFAULT nextval('engine_version'),
  created_by text NOT NULL,
  updated_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (engine_document_id, comment_id),
  FOREIGN KEY (engine_document_id, root_id) REFERENCES engine_annotation ON DELETE CASCADE
);
CREATE INDEX engine_comment_by_root ON engine_comment (engine_document_id, root_id, ordinal);

CREATE TABLE engine_attachment (
  engine_document_id bigint NOT NULL REFERENCES engine_document ON DELETE CASCADE,
  -- SHA-256 of the bytes, or the name that an imported document gave it.
  attachment_id text NOT NULL,
  content_type text NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (engine_document_id, attachment_id)
);
-- Pictures are compressed already.
ALTER TABLE engine_attachment ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Objects that no document points at: written down before they are written, and when a document lets go of them. They are deleted
-- after the time given.
CREATE TABLE engine_loose_object (
  object_key text PRIMARY KEY,
  delete_after timestamptz NOT NULL
);
