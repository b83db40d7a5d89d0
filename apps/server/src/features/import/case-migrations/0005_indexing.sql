-- Indexing is a step of its own, with numbers of its own. Rates are those of the step that is under way.
ALTER TABLE import_job DROP CONSTRAINT import_job_state_check;
ALTER TABLE import_job ADD CONSTRAINT import_job_state_check CHECK (state IN ('accepted', 'planning', 'staging', 'importing', 'processing', 'indexing', 'cancelling', 'finished', 'finished_with_errors', 'failed', 'cancelled'));
ALTER TABLE import_job ADD COLUMN to_index bigint NOT NULL DEFAULT 0, ADD COLUMN indexed bigint NOT NULL DEFAULT 0, ADD COLUMN step_started_at timestamptz;
