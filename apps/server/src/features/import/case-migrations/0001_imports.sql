-- Imports of a case. State, plan and counters live in one row; whoever works on it holds `fence`, and a worker that lost it can
-- commit nothing.
CREATE TABLE import_job (
  job_id       uuid PRIMARY KEY,
  batch_id     bigint NOT NULL,
  batch_name   text NOT NULL,
  state        text NOT NULL CHECK (state IN ('accepted', 'planning', 'staging', 'importing', 'cancelling', 'finished', 'finished_with_errors', 'failed', 'cancelled')),
  request      jsonb NOT NULL,
  plan         jsonb,
  fence        bigint NOT NULL DEFAULT 0,
  -- The last row whose effects are committed.
  row_done     bigint NOT NULL DEFAULT 0,
  rows         bigint NOT NULL DEFAULT 0,
  imported     bigint NOT NULL DEFAULT 0,
  duplicates   bigint NOT NULL DEFAULT 0,
  overlaid     bigint NOT NULL DEFAULT 0,
  rejected     bigint NOT NULL DEFAULT 0,
  files        bigint NOT NULL DEFAULT 0,
  bytes        bigint NOT NULL DEFAULT 0,
  created_by   text NOT NULL,
  actor        jsonb NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  started_at   timestamptz,
  updated_at   timestamptz NOT NULL DEFAULT now(),
  finished_at  timestamptz,
  error_code   text,
  error_detail text
);

CREATE TABLE import_problem (
  problem_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id     uuid NOT NULL,
  -- Problems of a stage are written anew when the stage is.
  stage      text NOT NULL,
  severity   text NOT NULL,
  code       text NOT NULL,
  row_no     bigint,
  line       bigint,
  path       text,
  field      text,
  value      text,
  reason     text NOT NULL,
  rejected   boolean NOT NULL
);
CREATE INDEX import_problem_job ON import_problem (job_id, problem_id);
CREATE INDEX import_problem_code ON import_problem (job_id, code);

-- What the whole source says about a row's place: numbers, families, hashes. A crash of the database server empties unlogged
-- tables; the stage is then made again from the source.
CREATE UNLOGGED TABLE import_row (
  job_id         uuid NOT NULL,
  row_no         bigint NOT NULL,
  line           bigint,
  path           text,
  control_number text,
  -- Control number of the parent as the row names it: PARENTID, or the first of the family's range.
  parent_key     text,
  family_key     text,
  md5            text,
  sha1           text,
  sha256         text,
  custodian      text,
  parent_row     bigint,
  root_row       bigint,
  fate           text NOT NULL DEFAULT 'pending' CHECK (fate IN ('pending', 'rejected', 'duplicate')),
  -- Row, or exhibit, that a duplicate is the same as.
  same_as_row    bigint,
  same_as_document bigint,
  PRIMARY KEY (job_id, row_no)
);

-- Page images of an image list, by the control number of their document.
CREATE UNLOGGED TABLE import_page (
  job_id     uuid NOT NULL,
  doc_key    text NOT NULL,
  position   integer NOT NULL,
  page_id    text NOT NULL,
  path       text NOT NULL,
  line       bigint NOT NULL,
  PRIMARY KEY (job_id, doc_key, position)
);
