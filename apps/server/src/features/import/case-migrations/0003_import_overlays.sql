-- Overlays: the value that a row is matched by, and the exhibit that it is matched with.
ALTER TABLE import_row ADD COLUMN match_key text, ADD COLUMN match_exhibit bigint;
-- Documents that the image list alone names are rows after those of the load file.
ALTER TABLE import_row ADD COLUMN origin text NOT NULL DEFAULT 'row' CHECK (origin IN ('row', 'image'));
-- Values of a custom field by exhibit, while rows are matched by it.
CREATE UNLOGGED TABLE import_match (
  job_id     uuid NOT NULL,
  exhibit_id bigint NOT NULL,
  value      text NOT NULL,
  PRIMARY KEY (job_id, exhibit_id)
);
-- Last time that progress was published.
ALTER TABLE import_job ADD COLUMN progress_at timestamptz;
-- Exhibits that an overlay changed, for the search index; and the last exhibit that was indexed.
CREATE TABLE import_overlaid (
  job_id     uuid NOT NULL,
  exhibit_id bigint NOT NULL,
  PRIMARY KEY (job_id, exhibit_id)
);
ALTER TABLE import_job ADD COLUMN indexed_to bigint NOT NULL DEFAULT 0;
