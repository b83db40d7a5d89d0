-- Documents of an import whose pages are to be made and read: page images become a PDF, PDFs tell their pages, annotations go to the
-- document engine. Written with the row, ended one set at a time.
CREATE TABLE import_processing (
  job_id          uuid NOT NULL,
  exhibit_id      bigint NOT NULL,
  document_id     bigint NOT NULL,
  document_key    text NOT NULL,
  row_no          bigint NOT NULL,
  line            bigint,
  has_annotations boolean NOT NULL,
  done            boolean NOT NULL DEFAULT false,
  PRIMARY KEY (job_id, exhibit_id)
);
CREATE INDEX import_processing_pending ON import_processing (job_id, exhibit_id) WHERE NOT done;
ALTER TABLE import_job ADD COLUMN processed bigint NOT NULL DEFAULT 0, ADD COLUMN to_process bigint NOT NULL DEFAULT 0;
ALTER TABLE import_job DROP CONSTRAINT import_job_state_check;
ALTER TABLE import_job ADD CONSTRAINT import_job_state_check CHECK (state IN ('accepted', 'planning', 'staging', 'importing', 'processing', 'cancelling', 'finished', 'finished_with_errors', 'failed', 'cancelled'));
