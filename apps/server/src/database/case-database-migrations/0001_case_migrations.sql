-- Which migrations each case of this database has. Written in the transaction that applies them.
CREATE TABLE casebound.case_migration (
  case_id    bigint NOT NULL,
  set        text NOT NULL,
  number     integer NOT NULL,
  name       text NOT NULL,
  checksum   text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (case_id, set, number)
);
