-- Objects that hold payloads too large for a message. The row is written before the object, so that no object is without an owner.
create table messaging.claim_check (
  object_key text primary key,
  expires_at timestamptz not null
);
create index claim_check_expiry on messaging.claim_check (expires_at);

-- Attempts that failed on queues outside this database, for the history of their dead letters.
create table messaging.attempt (
  queue_name text not null,
  message_id text not null,
  at timestamptz not null default clock_timestamp(),
  entry jsonb not null
);
create index attempt_message on messaging.attempt (queue_name, message_id);
create index attempt_age on messaging.attempt (at);

-- Dedupe keys of messages sent to queues outside this database.
create table messaging.sent_key (
  queue_name text not null,
  dedupe_key text not null,
  expires_at timestamptz not null,
  primary key (queue_name, dedupe_key)
);
create index sent_key_expiry on messaging.sent_key (expires_at);
