/**
 * The tables in which a destination store keeps its copies.
 *
 * - They belong to every store, because the role that copies may write to a store without owning it.
 * - No foreign keys to `document`: what others delete must not be held by a journal, and a check per row would cost a fifth of a copy.
 */
import { quoteIdentifier } from '../derive/naming.ts';

/** Every name begins with `record_copy_`, which no resource's table may. */
export const copyTablesDdl = (schema: string): readonly string[] => {
  const s = quoteIdentifier(schema);
  return [
    `CREATE TABLE ${s}.record_copy_job (
  job_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_key text NOT NULL UNIQUE,
  source_store text NOT NULL,
  plan_fingerprint text NOT NULL,
  state text NOT NULL,
  generation integer NOT NULL DEFAULT -1,
  batch integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
)`,
    `CREATE TABLE ${s}.record_copy_selection (
  job_id integer NOT NULL,
  source_document_id bigint NOT NULL,
  PRIMARY KEY (job_id, source_document_id)
)`,
    `CREATE TABLE ${s}.record_copy_map (
  job_id integer NOT NULL,
  source_document_id bigint NOT NULL,
  document_id bigint,
  resource_key_id smallint NOT NULL,
  generation smallint NOT NULL,
  batch smallint NOT NULL,
  action "char" NOT NULL,
  source_etag bigint NOT NULL,
  referential_id uuid,
  alias_id uuid,
  PRIMARY KEY (job_id, source_document_id)
)`,
    `CREATE TABLE ${s}.record_copy_chunk (
  job_id integer NOT NULL,
  chunk integer NOT NULL,
  level integer NOT NULL,
  kind text NOT NULL,
  resource_key_id smallint NOT NULL,
  batch smallint NOT NULL,
  first_id bigint NOT NULL,
  last_id bigint NOT NULL,
  documents integer NOT NULL,
  done_at timestamptz,
  PRIMARY KEY (job_id, chunk)
)`,
    `CREATE TABLE ${s}.record_copy_value (
  job_id integer NOT NULL,
  map_name text NOT NULL,
  old_value text NOT NULL,
  new_value text NOT NULL,
  PRIMARY KEY (job_id, map_name, old_value)
)`,
    `CREATE TABLE ${s}.record_copy_before (
  job_id integer NOT NULL,
  document_id bigint NOT NULL,
  table_name text NOT NULL,
  body jsonb NOT NULL
)`,
    `CREATE INDEX record_copy_before_document ON ${s}.record_copy_before (job_id, document_id)`,
    `CREATE TABLE ${s}.record_copy_provenance (
  document_id bigint PRIMARY KEY,
  job_id integer NOT NULL,
  source_document_uuid uuid NOT NULL,
  etag bigint NOT NULL
)`,
  ];
};
