-- Exchanges. One row holds all that steers one: its state, what was made for it under its real names, its options and counters.
--
-- 1. Every change names the fencing token under which its author took the job; when another process has taken it since, nothing changes.
-- 2. A step's result and the move to the next state are one change.
-- 3. A key is used once: a second request with it finds the job of the first.
create schema if not exists exchange;

create table exchange.job (
  job_id uuid primary key,
  idempotency_key text not null unique,
  -- SHA-256 of the canonical request: another request under a used key is told from the same one.
  request_hash text not null,
  source_case_id bigint not null,
  destination_case_id bigint not null,
  -- Record of the batch in the destination; null until it is made.
  batch_id bigint,
  state text not null,
  -- How it ends when it is being undone: FAILED, CANCELLED or ROLLED_BACK.
  ends_as text,
  cancel_requested boolean not null default false,
  -- 0 at first; one more with each retry of failed items.
  round int not null default 0,
  -- Tries of the present step that failed.
  attempt int not null default 0,
  fencing_token bigint not null default 0,
  worker text,
  -- Until when the worker is believed to live; it renews this while it drives the job.
  lease_until timestamptz,
  request jsonb not null,
  -- What the present step remembers between its parts.
  checkpoint jsonb not null default '{}',
  -- [{kind, name, address}] of what exists now.
  resources jsonb not null default '[]',
  -- Counters: exhibits, records by resource, messages.
  counters jsonb not null default '{}',
  failure jsonb,
  manifest_key text,
  created_by jsonb not null,
  traceparent text not null,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz
);

create index job_source on exchange.job (source_case_id, job_id);
create index job_destination on exchange.job (destination_case_id, job_id);
create index job_open on exchange.job (state, job_id) where finished_at is null;
