-- Who changed what. Append-only: nothing updates or deletes rows; `row_hash` follows from the row, so an edited row shows.
CREATE FUNCTION model_audit_hash(actor text, request_id text, origin text, resource text, record_id bigint, record_key text, changes jsonb, at_us bigint)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sha256(convert_to(jsonb_build_array(actor, request_id, origin, resource, record_id, record_key, changes, at_us)::text, 'UTF8'))
$$;

CREATE TABLE model_audit (
  audit_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- The transaction; the sealer takes rows of transactions that are over, in this order.
  xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
  -- Microseconds since 1970, for a hash that no time zone changes.
  at_us       bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  actor       text NOT NULL,
  request_id  text,
  -- What made the change: `import {job}`, `exchange {job}`, `overlay {job}`, or null for a person's single change.
  origin      text,
  resource    text NOT NULL,
  record_id   bigint NOT NULL,
  -- The record's natural identity as people know it (control number).
  record_key  text NOT NULL,
  -- {field: [old, new]}
  changes     jsonb NOT NULL,
  row_hash    bytea NOT NULL GENERATED ALWAYS AS (model_audit_hash(actor, request_id, origin, resource, record_id, record_key, changes, at_us)) STORED
);
CREATE INDEX model_audit_record ON model_audit (record_id, audit_id);
CREATE INDEX model_audit_xid ON model_audit (xid, audit_id);
