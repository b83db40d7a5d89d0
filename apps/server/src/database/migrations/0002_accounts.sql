-- Accounts and their tokens.

CREATE TABLE core.accounts (
  account_id      uuid PRIMARY KEY,
  name            text NOT NULL,
  -- The name in NFC, lower case: what "unique without regard to case" compares.
  name_key        text NOT NULL CONSTRAINT accounts_name_key_unique UNIQUE,
  permissions     text[] NOT NULL,
  -- SHA-256 of the token; the token itself is nowhere.
  token_hash      bytea NOT NULL CONSTRAINT accounts_token_hash_unique UNIQUE CHECK (octet_length(token_hash) = 32),
  token_issued_at timestamptz NOT NULL DEFAULT now(),
  created_at      timestamptz NOT NULL DEFAULT now(),
  disabled_at     timestamptz
);
