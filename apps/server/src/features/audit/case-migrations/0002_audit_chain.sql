-- The chain over the audit trail. A block stands for the rows of transactions that were over when it was sealed: xid from first_xid up to,
-- not including, end_xid; audit_id above floor_id, and at most ceil_id where that is set (for rows of a cluster that this database was
-- restored from, whose transaction numbers mean nothing here).
CREATE TABLE audit_block (
  block_no      bigint PRIMARY KEY,
  first_xid     xid8 NOT NULL,
  end_xid       xid8 NOT NULL,
  floor_id      bigint NOT NULL,
  ceil_id       bigint,
  row_count     bigint NOT NULL,
  -- SHA-256 over the rows' hashes in the order of (xid, audit_id).
  rows_hash     bytea NOT NULL,
  previous_hash bytea NOT NULL,
  sealed_at_us  bigint NOT NULL,
  block_hash    bytea NOT NULL
);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'The audit trail is append-only.';
END $$;
CREATE TRIGGER model_audit_append_only BEFORE UPDATE OR DELETE ON model_audit FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_block_append_only BEFORE UPDATE OR DELETE ON audit_block FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
