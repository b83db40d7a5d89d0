-- Cases, the databases that hold them, and which is where.

-- One row: what this installation is. The key never leaves the control database and the memory of its servers.
CREATE TABLE core.installation (
  singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  case_role_key text NOT NULL CHECK (case_role_key ~ '^[0-9a-f]{64}$'),
  created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE core.case_database (
  case_database_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  server           text NOT NULL,
  database_name    text NOT NULL,
  -- creating: being made, finished by whoever finds it; open: takes cases; closed: takes no more.
  state            text NOT NULL CHECK (state IN ('creating', 'open', 'closed')),
  case_count       integer NOT NULL DEFAULT 0 CHECK (case_count >= 0),
  created_at       timestamptz NOT NULL DEFAULT now(),
  UNIQUE (server, database_name)
);

CREATE TABLE core.cases (
  case_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL,
  -- The name in NFC, case folded: what "unique without regard to case" compares.
  name_key   text NOT NULL CONSTRAINT cases_name_key_unique UNIQUE,
  state      text NOT NULL CHECK (state IN ('creating', 'active', 'archived', 'deleting')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cases_unsettled ON core.cases (case_id) WHERE state IN ('creating', 'deleting');

CREATE TABLE core.case_placement (
  case_id          bigint PRIMARY KEY REFERENCES core.cases ON DELETE CASCADE,
  case_database_id integer NOT NULL REFERENCES core.case_database,
  schema_name      text NOT NULL,
  UNIQUE (case_database_id, schema_name)
);
