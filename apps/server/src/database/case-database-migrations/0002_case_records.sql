-- Which version of the case model the record store of each case has. Written in the transaction that makes or migrates the store,
-- so that cases that are behind are found by one query a database.
CREATE TABLE casebound.case_records (
  case_id     bigint PRIMARY KEY,
  fingerprint text NOT NULL,
  applied_at  timestamptz NOT NULL DEFAULT now()
);
