-- Workflows: one row holds all of a workflow's state; every change compares the fencing token.
create table messaging.workflow (
  workflow_id uuid primary key,
  name text not null,
  version int not null,
  fairness_key bigint not null,
  -- At most one workflow of a name for a key, whatever the timing: a repeated start finds the first one.
  start_key text not null,
  state text not null check (state in ('running', 'compensating', 'succeeded', 'failed', 'cancelled', 'stuck')),
  -- Index of the step that is next to run, or next to compensate.
  step int not null default 0,
  attempt int not null default 0,
  fencing_token bigint not null default 0,
  cancel_requested boolean not null default false,
  input jsonb not null,
  -- Results of the finished steps, by name.
  results jsonb not null default '{}',
  -- What went wrong, newest last: [{step, phase, attempt, at, worker, code, error}]; the newest 100.
  errors jsonb not null default '[]',
  -- Who drives it now, as far as is known; null while it waits or has ended.
  worker text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  unique (name, start_key)
);
create index workflow_open on messaging.workflow (workflow_id) where state in ('running', 'compensating', 'stuck');
